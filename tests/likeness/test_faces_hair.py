"""Greyness follows the truth of drawn people and what was done to a picture, and is not measured where there is no hair."""

import math
from functools import cache

import numpy as np
from scipy.stats import spearmanr

from likeness.faces import Face, FaceFinder
from likeness.faces.arrays import Floats
from likeness.faces.hair import blue_of_hair
from likeness.faces.skin import read_skin
from scripts import plants
from tests import photos
from tests.photos import Pixels

FINDER = FaceFinder()
SELFIES = 2, 5, 8


def greyness(rgb: Pixels, face: Face, person: Floats) -> float:
    reading = read_skin(rgb, face)
    return blue_of_hair(rgb, face, person, reading.skin) - float(reading.light[2])


def selfie(person: int, photo: int = 2) -> tuple[Pixels, Face, Floats]:
    rgb = photos.pixels(photos.selfies(photos.people()[person])[photo])
    return rgb, FINDER.find(rgb)[0], FINDER.person_mask(rgb)


@cache
def measured() -> list[tuple[float | None, list[float]]]:
    """Of everybody the truth, and what three selfies say."""
    people = enumerate(photos.people())
    return [(photos.grey(folder), [greyness(*selfie(index, photo)) for photo in SELFIES]) for index, folder in people]


def test_greyer_people_read_as_greyer() -> None:
    found = [
        (true, float(np.nanmedian(read))) for true, read in measured() if true is not None and np.isfinite(read).any()
    ]
    assert len(found) >= 44
    assert spearmanr(*zip(*found, strict=True)).statistic > 0.7
    plain, grey = [read for true, read in found if true <= 0.1], [read for true, read in found if true >= 0.45]
    assert np.mean(np.subtract.outer(grey, plain) > 0) > 0.95


def test_hair_is_measured_where_it_is_and_not_on_bald_heads() -> None:
    with_hair = [np.isfinite(value) for true, read in measured() if true is not None for value in read]
    bald = [np.isfinite(value) for true, read in measured() if true is None for value in read]
    assert np.mean(with_hair) > 0.9 and len(bald) == 9 and np.mean(bald) < 0.25


def test_whiter_hair_is_greyer_and_a_light_that_changes_the_whole_picture_is_not() -> None:
    draw = np.random.default_rng(0)
    for person in range(3, 48, 6):  # all of them with plenty of hair
        rgb, face, mask = selfie(person)
        plain = greyness(rgb, face, mask)
        assert 1 < greyness(plants.greyed(rgb, face, mask), face, mask) - plain < 5
        filtered = (rgb / 255) ** 2.2 * draw.uniform(0.5, 1.0, 3)
        assert abs(greyness(np.round(filtered ** (1 / 2.2) * 255).astype(np.uint8), face, mask) - plain) < 0.5


def test_the_background_and_clothes_are_no_hair() -> None:
    for person in (10, 21, 34):
        rgb, face, mask = selfie(person)
        green = plants.with_background(rgb, mask, np.full_like(rgb, (40, 200, 60)))
        green[int(face.box[3]) :] = (200, 30, 160)
        assert abs(greyness(green, face, mask) - greyness(rgb, face, mask)) < 0.35


def test_who_is_not_on_the_picture_has_no_hair_on_it() -> None:
    rgb, face, mask = selfie(10)
    assert math.isnan(greyness(rgb, face, np.zeros_like(mask)))
    assert math.isnan(greyness(rgb, face.moved(5000, 5000), mask))
