"""Properties of the measures that hold for any picture: light, size and tilt are no drift, and chance is told from drift."""

import math

import numpy as np
import pytest

from likeness.errors import LikenessError
from likeness.faces import Face, FaceFinder
from likeness.faces.arrays import Floats
from likeness.faces.copying import CopyScale, near_copy, same_setting, setting, thumbnail
from likeness.faces.drift import MEASURES, OwnLooks, drift
from likeness.faces.face import OVAL
from likeness.faces.frontal import GRID, FlatFace
from likeness.faces.regions import LIPS
from likeness.faces.shape import shape
from likeness.faces.skin import read_skin, texture
from tests import photos
from tests.photos import Pixels

FINDER = FaceFinder()


def selfie(person: int, photo: int = 2) -> tuple[Pixels, Face]:
    rgb = photos.pixels(photos.selfies(photos.people()[person])[photo])
    return rgb, FINDER.find(rgb)[0]


def whole(person: int, photo: int) -> tuple[Pixels, Face, Floats]:
    rgb, face = selfie(person, photo)
    return rgb, face, FINDER.person_mask(rgb)


def test_drift_follows_shifts_and_scales() -> None:
    draw = np.random.default_rng(0)
    for _ in range(200):
        own, values = draw.normal(size=draw.integers(4, 20)), draw.normal(size=draw.integers(1, 30))
        plain = drift(own, values, 1.0)
        moved = drift(7 - 3 * own, 7 - 3 * values, 3.0)
        assert (moved.shift, moved.z) == pytest.approx((-3 * plain.shift, -plain.z))
        assert plain.spread <= max(1.0, 1.4826 * float(np.abs(own - np.median(own)).max()))


def test_chance_is_rarely_called_drift_and_drift_is_not_missed() -> None:
    draw = np.random.default_rng(1)
    for photos_of_own, pictures in ((5, 1), (10, 8), (15, 40)):
        z = [abs(drift(draw.normal(size=photos_of_own), draw.normal(size=pictures), 1.0).z) for _ in range(2000)]
        assert np.mean(np.array(z) > 3) < 0.02
    shifted = [drift(draw.normal(size=10), draw.normal(3, 1, size=8), 1.0).beyond for _ in range(500)]
    assert np.mean(shifted) > 0.95


def test_what_distance_does_is_no_drift_and_only_the_rest_counts() -> None:
    draw = np.random.default_rng(5)
    for _ in range(50):
        own, afar = draw.normal(size=10), float(draw.uniform(0.5, 4))
        middle = float(np.median(own))
        for shift, counts in ((0.3 * afar, 0.0), (afar + 1, 1.0), (-1.0, -1.0)):
            plain = drift(own, np.array([middle + counts]), 1.0)
            far = drift(own, np.array([middle + shift]), 1.0, afar)
            assert (far.shift, far.z) == pytest.approx((shift, plain.z))


def test_a_turned_head_is_hardly_wider() -> None:
    """Over the selfies of 16 people; turned back by all of the mesh's depth, both correlations are 0.63."""
    rows = []
    for folder in photos.people()[::3]:
        faces = [FINDER.find(photos.pixels(path))[0] for path in photos.selfies(folder)]
        widths = np.array([shape(face)["face_width"] for face in faces])
        rows += [
            (width, abs(face.yaw), face.pitch) for width, face in zip(widths - np.median(widths), faces, strict=True)
        ]
    turned, nodded = np.corrcoef(np.array(rows).T)[0, 1:]
    assert abs(turned) < 0.3 and abs(nodded) < 0.3


def test_more_or_other_light_is_no_lighter_skin() -> None:
    """The whole picture through a filter: raw colour moves ten times as far as that under the person's own light, and more."""
    draw, raw, corrected = np.random.default_rng(2), [], []
    for person in range(0, 48, 10):
        rgb, face = selfie(person)
        plain = read_skin(rgb, face)
        for _ in range(3):
            gains = draw.uniform(0.5, 1.0, 3)  # down only: a burnt picture has lost its colours
            light = (rgb / 255) ** 2.2 * gains
            other = read_skin(np.round(light ** (1 / 2.2) * 255).astype(np.uint8), face)
            corrected.append(float(np.abs(other.under(plain.light) - plain.under(plain.light)).max()))
            raw.append(float(np.abs(other.under(other.light) - plain.under(plain.light)).max()))
    assert max(corrected) < 1  # half of what can just be told side by side
    assert np.median(raw) > 10 * np.median(corrected)


def test_shape_is_one_of_the_face_and_not_of_its_size_tilt_or_place() -> None:
    draw = np.random.default_rng(3)
    for person in range(0, 48, 8):
        _, face = selfie(person)
        angle, scale = math.radians(float(draw.uniform(-40, 40))), float(draw.uniform(0.3, 3))
        turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
        moved = Face.from_landmarks(scale * face.landmarks @ turn.T + draw.normal(size=3) * 50, face.score)
        assert shape(moved) == pytest.approx(shape(face), abs=0.01)


def test_texture_falls_with_blur_and_hardly_with_size() -> None:
    for person in range(0, 48, 12):
        rgb, face = selfie(person)
        values = [texture(photos.blurred(rgb, face, sigma), face) for sigma in (0.3, 2, 4, 6)]
        assert values == sorted(values, reverse=True) and values[0] - values[-1] > 0.4
        large = np.repeat(np.repeat(rgb, 2, axis=0), 2, axis=1)
        assert texture(large, face.moved(0.25, 0.25, 2)) == pytest.approx(values[0], abs=0.25)


def test_a_flat_face_has_every_landmark_in_its_place() -> None:
    """A picture that is its own x coordinate, and one of y: what lies on the grid at a landmark is where that one was."""
    rgb, face = selfie(7)
    flat = FlatFace([face, selfie(7, 3)[1]])
    rows, columns = np.mgrid[: rgb.shape[0], : rgb.shape[1]].astype(np.float32)
    (x, seen), (y, _) = flat.lay(columns, face), flat.lay(rows, face)
    for index in range(0, 468, 5):
        column, row = np.round(flat.points[index]).astype(int)
        if 0 <= row < GRID and 0 <= column < GRID and seen[row, column]:
            assert np.hypot(*(face.landmarks[index, :2] - [x[row, column], y[row, column]])) < 3
    lips, face_area = flat.within([LIPS]), flat.within([OVAL])
    assert 0.02 < lips.sum() / face_area.sum() < 0.15 and not (lips & ~face_area).any()


def test_looks_need_photographs_and_leave_out_what_is_not_there() -> None:
    with pytest.raises(LikenessError, match="needs 4 photographs"):
        OwnLooks([whole(0, number) for number in range(3)])
    looks = OwnLooks([whole(0, number) for number in range(4)])
    rows = [looks.measure(*whole(0, 5))]
    assert set(rows[0]) == set(MEASURES)
    assert ("marks" in looks.drifts(rows)) == (len(looks.marks.places) > 0)


def test_a_picture_is_a_copy_of_itself_and_mirrored_and_a_plain_wall_says_nothing() -> None:
    rgb, face = selfie(3)
    small = thumbnail(rgb, face)
    assert near_copy(small, small) == pytest.approx(1) == near_copy(small, small.mirrored())
    other = thumbnail(*selfie(4))
    assert near_copy(small, other) == pytest.approx(near_copy(other, small)) and near_copy(small, other) < 0.9
    place = setting(rgb, FINDER.person_mask(rgb))
    assert same_setting(place, place) == pytest.approx(1)
    wall = setting(np.full((300, 300, 3), 90, np.uint8), np.zeros((300, 300), np.float32))
    assert same_setting(wall, place) is None
    everywhere = setting(rgb, np.ones(rgb.shape[:2], np.float32))
    assert same_setting(everywhere, place) is None


def test_the_copy_score_runs_from_own_photographs_to_the_same_one() -> None:
    draw = np.random.default_rng(4)
    for _ in range(50):
        vectors = draw.normal(size=(8, 16)) + 3
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        mirrored = draw.normal(size=(5, 16)) + 3
        mirrored /= np.linalg.norm(mirrored, axis=1, keepdims=True)
        scale = CopyScale.of(vectors[:5], vectors[5:7], mirrored)
        assert scale.copy_score(mirrored[3]) == pytest.approx(1)
        assert scale.copy_score(vectors[0]) == pytest.approx(1)
        assert [scale.copy_score(vector) for vector in vectors[5:7]] == pytest.approx([0, 0], abs=1e-9)
        assert 0 <= scale.copy_score(vectors[7]) < 1
        between = vectors[0] + 0.02 * vectors[7]
        assert 0 < scale.copy_score(between / np.linalg.norm(between)) < 1
    with pytest.raises(LikenessError, match="two training"):
        CopyScale.of(vectors[:1], vectors[1:], vectors[:1])


@pytest.mark.slow
def test_genuine_portraits_are_rarely_called_drifted() -> None:
    """Four portraits together, by ten selfies, of each of the 48: a limit that lies beyond chance is crossed by one in twenty."""
    crossed = []
    for folder in photos.people():
        shots = [photos.pixels(path) for path in (*photos.selfies(folder)[:10], *sorted(folder.glob("headshot_*.jpg")))]
        seen = [(rgb, FINDER.find(rgb)[0], FINDER.person_mask(rgb)) for rgb in shots]
        looks = OwnLooks(seen[:10])
        drifts = looks.drifts([looks.measure(*one) for one in seen[10:]])
        crossed.append(any(drift.beyond for drift in drifts.values()))
    assert np.mean(crossed) <= 0.05
