"""Colour measures against published reference values and an independent implementation."""

import cv2
import numpy as np
import pytest
from skimage import color

from likeness.faces import FaceFinder, colour
from likeness.faces.colour import ciede2000
from tests import photos

# Sharma, Wu & Dalal 2005, table 1: L, a, b; L, a, b; difference.
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425
50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000
50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669
50 -1 2 50 0 0 2.3669
50 2.4900 -0.0010 50 -2.4900 0.0009 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0010 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0011 7.2195
50 2.4900 -0.0010 50 -2.4900 0.0012 7.2195
50 -0.0010 2.4900 50 0.0009 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0010 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0011 -2.4900 4.7461
50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492
50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030
50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000
50 2.5 0 50 3.2972 0 1.0000
50 2.5 0 50 1.8634 0.5757 1.0000
50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def random_labs(seed: int, count: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return np.column_stack([draw.uniform(0, 100, count), draw.uniform(-90, 90, (count, 2))])


def test_ciede2000_is_the_published_table():
    table = np.array([line.split() for line in SHARMA.split("\n") if line], float)
    assert len(table) == 34
    assert ciede2000(table[:, :3], table[:, 3:6]) == pytest.approx(table[:, 6], abs=1e-4)
    assert ciede2000(table[:, 3:6], table[:, :3]) == pytest.approx(table[:, 6], abs=1e-4)


def test_ciede2000_is_another_implementations_anywhere():
    first, second = random_labs(1, 3000), random_labs(2, 3000)
    assert ciede2000(first, second) == pytest.approx(color.deltaE_ciede2000(first, second), abs=1e-6)
    assert np.allclose(ciede2000(first, first), 0)


def test_lab_is_another_implementations():
    rgb = np.random.default_rng(3).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    assert np.abs(colour.lab(rgb) - color.rgb2lab(rgb)).max() < 0.5
    for pixel in rgb[0]:
        assert np.abs(colour.lab_of_light(colour.linear(pixel)) - color.rgb2lab(pixel)).max() < 0.5


def test_ita_and_hue_are_their_definitions():
    for lightness, a, b in random_labs(4, 200):
        if b > 1:
            assert colour.ita(np.array([lightness, a, b])) == pytest.approx(np.degrees(np.arctan((lightness - 50) / b)))
        assert colour.hue(np.array([lightness, a, b])) % 360 == pytest.approx(np.degrees(np.arctan2(b, a)) % 360)
    ruddy, blueish = (colour.hue(np.array([60.0, 20.0, b])) for b in (1.0, -1.0))
    assert ruddy - blueish == pytest.approx(2 * np.degrees(np.arctan(1 / 20)))


def test_a_picture_whose_only_colour_is_a_face_is_not_black_and_white():
    """Portraits in grey clothes before a white wall, from near and from further away; and grey pictures with a sensor's noise."""
    finder, noise = FaceFinder(), np.random.default_rng(0)
    for person in photos.people()[::6]:
        rgb = photos.pixels(person / "headshot_00.jpg")
        (face,), mask = finder.find(rgb), finder.person_mask(rgb)[..., None]
        grey = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        clothes = np.arange(len(rgb))[:, None, None] > face.box[3] + 0.15 * face.size
        near = np.where(clothes, grey, rgb) * mask + 250 * (1 - mask)
        afar = np.pad(near, ((60, 0), (60, 60), (0, 0)), constant_values=250)
        assert not any(colour.black_and_white(picture.astype(np.uint8)) for picture in (rgb, near, afar))
        grainy = np.clip(grey + noise.normal(0, 6, rgb.shape), 0, 255).astype(np.uint8)
        assert colour.black_and_white(grey) and colour.black_and_white(grainy)


def test_the_monk_scale_places_its_own_swatches_and_moves_smoothly():
    hexes = [[int(swatch[i : i + 2], 16) for i in (1, 3, 5)] for swatch in colour.MONK]
    swatches = colour.lab(np.array([hexes], np.uint8))[0]
    assert [colour.monk_position(swatch) for swatch in swatches] == pytest.approx(range(1, 11), abs=1e-4)
    for number in range(3, 9):
        middle = (swatches[number] + swatches[number + 1]) / 2
        assert colour.monk_position(middle) == pytest.approx(number + 1.5, abs=1e-3)
