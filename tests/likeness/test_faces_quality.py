"""What is measured on a face follows what was done to the picture, and not who is on it."""

import cv2
import numpy as np
import pytest

from likeness.faces import Face, FaceFinder
from likeness.faces import quality as measure
from likeness.faces.face import CHIN, FOREHEAD, NOSE_TIP
from likeness.faces.geometry import Region, similarity_transform
from likeness.faces.mask import face_weight
from tests import photos

FINDER = FaceFinder()


def selfie(person: int = 0, photo: int = 0) -> tuple[photos.Pixels, Face]:
    rgb = photos.pixels(photos.selfies(photos.people()[person])[photo])
    return rgb, FINDER.find(rgb)[0]


def test_blur_is_the_published_measure():
    """Crete et al. 2007, equations 1 to 5, pixel by pixel."""
    luma = np.random.default_rng(0).normal(size=(12, 40)).cumsum(axis=1)
    padded = np.pad(luma, ((0, 0), (5, 5)), mode="symmetric")
    all_changes = lost_changes = 0.0
    for row in range(12):
        blurred_row = [padded[row, x : x + 11].mean() for x in range(40)]
        for x in range(1, 40):
            before, after = abs(luma[row, x] - luma[row, x - 1]), abs(blurred_row[x] - blurred_row[x - 1])
            all_changes += before
            lost_changes += max(0.0, before - after)
    expected = (all_changes - lost_changes) / all_changes
    assert measure.blur_along_rows(luma.astype(np.float32)) == pytest.approx(expected, abs=1e-4)


def test_sharpness_falls_with_blur_and_not_with_light_or_size():
    rgb, face = selfie()
    values = [measure.sharpness(photos.blurred(rgb, face, sigma), face) for sigma in (0.5, 2, 3, 4)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.24 < values[0]
    plain = measure.sharpness(rgb, face)
    assert measure.sharpness((rgb * 0.4).astype(np.uint8), face) == pytest.approx(plain, abs=0.05)


def test_camera_shake_counts_as_blur():
    rgb, face = selfie()
    length = int(14 * face.size / 256)
    shake = np.full((1, length), 1 / length, np.float32)
    assert measure.sharpness(cv2.filter2D(rgb, -1, shake), face) < 0.25


def test_exposure_follows_the_light():
    rgb, face = selfie()
    dark, plain, bright = (measure.exposure(photos.stops(rgb, change), face) for change in (-2, 0, 2))
    assert dark.bright < plain.bright < bright.bright
    assert dark.white < plain.white
    assert plain.burnt < 0.01


def test_light_side_counts_stops():
    rgb, face = selfie()
    left_brighter = rgb.copy()
    middle = int(face.landmarks[NOSE_TIP, 0])
    left_brighter[:, :middle] = photos.stops(rgb, 1)[:, :middle]
    change = measure.light_side(left_brighter, face) - measure.light_side(rgb, face)
    assert change == pytest.approx(1, abs=0.35)


def test_sunglasses_hide_eyes_and_glasses_do_not():
    shaded = []
    for person in range(0, len(photos.people()), 3):
        rgb, face = selfie(person)
        open_eyes, hidden = (
            measure.eye_visibility(rgb, face),
            measure.eye_visibility(photos.with_sunglasses(rgb, face), face),
        )
        assert hidden.contrast < 0.2 < open_eyes.contrast
        shaded += [open_eyes] if open_eyes.contrast <= 0.5 else []
    # Eyes in the shade of their brows show little contrast, as those behind dark lenses do, but under a lid as light as the skin.
    assert len(shaded) <= 1 and all(eyes.lid > 0.75 for eyes in shaded)


def test_glasses_are_seen():
    """Never where there are none; all but wire rims, which can be too thin to be seen at this size, whatever the skin."""
    for index, person in enumerate(photos.people()):
        seen = measure.glasses_rim(*selfie(index)) > 0.15
        assert photos.wears_glasses(person) or not seen, person.name
        assert seen or not photos.wears_rims(person), person.name
    assert sum(map(photos.wears_rims, photos.people())) == 15


def test_share_on_picture_is_the_outlines_area():
    _, face = selfie()
    assert measure.share_on_picture(face, 10_000, 10_000) == pytest.approx(1, abs=1e-3)
    middle = face.centre[0]
    left = measure.share_on_picture(face, 10_000, int(middle))
    right = measure.share_on_picture(face.moved(-int(middle), 0), 10_000, 10_000)
    assert left + right == pytest.approx(1, abs=1e-3)
    assert measure.share_on_picture(face.moved(-2000, 0), 256, 256) == 0


def test_measures_off_the_picture_do_not_fail():
    rgb, face = selfie()
    away = face.moved(5000, 5000)
    assert measure.exposure(rgb, away).burnt == 0
    assert measure.light_side(rgb, away) == 0


def test_similarity_transform_recovers_a_known_one():
    source = np.random.default_rng(1).normal(size=(5, 2)) * 40
    angle, scale, shift = 0.4, 1.7, np.array([12.0, -5.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert np.allclose(similarity_transform(source, source @ turn.T + shift), np.column_stack([turn, shift]))


def test_a_regions_map_takes_the_crops_middle_to_its_centre():
    region = Region(np.array([30.0, 50.0]), 40.0, 0.3)
    matrix = region.to_picture(64)
    assert np.allclose(matrix[:, :2] @ [31.5, 31.5] + matrix[:, 2], [30, 50])
    assert np.sqrt(np.linalg.det(matrix[:, :2])) == pytest.approx(40 / 64)


def test_face_weight_covers_the_face_and_fades():
    rgb, face = selfie()
    mask = face_weight(rgb.shape[:2], face)
    assert mask.dtype == np.float32 and mask.min() >= 0 and mask.max() <= 1
    middle = face.landmarks[:, :2].mean(axis=0)
    inner = middle + 0.7 * (face.landmarks[:, :2] - middle)
    x, y = inner.round().astype(int).T
    assert mask[y, x].min() > 0.9
    assert mask[0, 0] == 0
    hair = face.landmarks[FOREHEAD, :2] + 0.2 * (face.landmarks[FOREHEAD, :2] - face.landmarks[CHIN, :2])
    assert mask[int(hair[1]), int(hair[0])] > 0.4
    nobody = face_weight(rgb.shape[:2], face, np.zeros(rgb.shape[:2], np.float32))
    assert nobody[int(hair[1]), int(hair[0])] < 0.1
    assert nobody[int(face.landmarks[NOSE_TIP, 1]), int(face.landmarks[NOSE_TIP, 0])] > 0.9
