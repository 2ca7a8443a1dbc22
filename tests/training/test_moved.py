"""Moved copies are cuts of the same photograph, near the portrait's own, and hold what is promised."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likeness import randomness
from likeness.faces.arrays import Floats
from likeness.images import load_photo
from likeness.person import Person
from tests.training.test_prepare import FINDER, make_person
from training.crops import Frame, Photograph, Shape
from training.moved import MovedSettings, Mover, moved_frame
from training.prepare import load_portraits, prepare

SIDE = 64
SHAPES: list[Shape] = ["square", "portrait"]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    person = make_person(tmp_path_factory.mktemp("people") / "ana")
    for shape in SHAPES:
        prepare(person, SIDE, shape=shape)
    return person


def _middle(frame: Frame) -> Floats:
    return np.asarray([frame.left + frame.width / 2, frame.top + frame.height / 2])


def test_frames_stay_near_and_within_the_photograph() -> None:
    rng = randomness.rng(0, "frames")
    settings = MovedSettings(shift=0.1, scale=0.2)
    apart = []
    for number in range(300):
        width, height = (int(side) for side in rng.integers(40, 400, 2))
        taller = float(rng.choice([1.0, 1.25]))
        wide = rng.uniform(0.3, 1) * min(width, height / taller)
        left, top = rng.uniform(0, width - wide), rng.uniform(0, height - wide * taller)
        frame = Frame("close", left, top, wide, wide * taller)
        moved = moved_frame(frame, width, height, settings, number)
        assert moved == moved_frame(frame, width, height, settings, number) and moved.crop == "close"
        assert moved.left >= 0 and moved.left + moved.width <= width * (1 + 1e-9)
        assert moved.top >= 0 and moved.top + moved.height <= height * (1 + 1e-9)
        assert moved.height / moved.width == pytest.approx(taller)
        assert 0.8 - 1e-9 <= moved.width / wide <= 1.2 + 1e-9
        apart.append(_middle(moved) - _middle(frame))
        apart[-1] /= wide
        assert np.abs(apart[-1]).max() <= 0.1 + 0.2 * taller
    assert np.abs(np.mean(apart, axis=0)).max() < 0.02 < np.std(apart, axis=0).min()


@pytest.mark.parametrize("shape", SHAPES)
def test_copies_that_go_nowhere_are_the_portraits(person: Person, shape: Shape) -> None:
    mover = Mover(person, MovedSettings(copies=1, shift=0, scale=0))
    for row in load_portraits(person, SIDE, shape):
        (copy,) = mover.copies(row)
        assert all(copy[name].tobytes() == row[name].tobytes() for name in ("image", "mask"))
        assert {name: copy[name] for name in row if name not in ("image", "mask")} == {
            name: row[name] for name in row if name not in ("image", "mask")
        }


def test_copies_differ_and_the_mask_goes_with_the_face(person: Person) -> None:
    mover = Mover(person, MovedSettings(copies=5, shift=0.1, scale=0.1))
    for row in load_portraits(person, SIDE):
        copies = mover.copies(row)
        assert len({copy["image"].tobytes() for copy in [row, *copies]}) == 6
        assert len({copy["original_width"] for copy in copies}) > 1
        for copy in copies:
            assert copy["caption"] == row["caption"] and copy["digest"] == row["digest"]
            (face,) = FINDER.find(np.asarray(copy["image"].resize((256, 256))))
            x, y = (int(v / 4) for v in face.centre)
            assert np.asarray(copy["mask"])[y, x] > 250


def test_a_cut_is_what_pillow_cuts(person: Person) -> None:
    path: Path = person.selfie_files()[0]
    picture = load_photo(path)
    (face, *_) = FINDER.find(np.asarray(picture))
    frame = Frame("close", 10.5, 12.25, 100, 100)
    portrait, mask = Photograph(picture, face, FINDER).cut(frame, (50, 50))
    theirs = picture.resize((50, 50), Image.Resampling.LANCZOS, box=(10.5, 12.25, 110.5, 112.25))
    assert portrait.tobytes() == theirs.tobytes()
    assert mask.size == (50, 50) and mask.mode == "L"


def test_nothing_is_opened_where_no_copies_are_wanted(tmp_path: Path) -> None:
    nobody = Person(tmp_path / "nobody")
    assert Mover(nobody, MovedSettings()).copies({"photo": "none.jpg", "crop": "full"}) == []
