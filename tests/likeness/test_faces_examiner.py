"""Who is examined by which photographs: likeness by the held-out ones, copying by those that were trained on, and by no others."""

from functools import cache

import numpy as np
import pytest

from likeness.errors import LikenessError
from likeness.faces import FaceFinder, embedder
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.examiner import Examiner
from likeness.faces.reference import embed_photo
from tests import photos

FINDER, RECOGNISER = FaceFinder(), embedder()
NAMES = [f"{number}.jpg" for number in range(7)]
TRAINED, CHOSE, HELD_OUT = NAMES[:4], NAMES[4:5], NAMES[5:]


def picture(name: str) -> Pixels:
    return photos.pixels(photos.selfies(photos.people()[3])[int(name[0])])


@cache
def vector(name: str) -> Floats:
    found = embed_photo(picture(name), FINDER, RECOGNISER)
    assert found is not None
    return found


@cache
def examiner(held_out: bool = True) -> Examiner:
    own = HELD_OUT if held_out else None
    return Examiner([(name, picture(name)) for name in NAMES], own, FINDER, RECOGNISER, CHOSE if held_out else ())


def test_likeness_is_to_the_held_out_photographs_on_the_scale_of_all() -> None:
    assert np.array_equal(examiner().reference.embeddings, [vector(name) for name in HELD_OUT])
    among = [float(vector(a) @ vector(b)) for a in NAMES for b in NAMES if a < b]
    assert examiner().reference.own == pytest.approx(np.median(among))
    assert len(examiner(held_out=False).reference.embeddings) == len(NAMES), "who chooses by it has none held out"


def test_copies_are_of_what_was_trained_on_alone() -> None:
    copying = examiner().copying
    assert np.array_equal(copying.trained[: len(TRAINED)], [vector(name) for name in TRAINED])
    assert len(copying.trained) == 2 * len(TRAINED)
    for name in NAMES:
        findings, _ = examiner().examine(picture(name)) or pytest.fail("no face")
        assert findings.copied == (name in TRAINED) and findings.pixels_of in TRAINED
        assert findings.setting_of is None or findings.setting_of in TRAINED
        assert name not in TRAINED or (findings.pixels_of, findings.copy_score) == (name, pytest.approx(1, abs=1e-3))


def test_a_photograph_is_not_held_against_itself() -> None:
    expected = [np.mean([float(vector(a) @ vector(b)) for b in HELD_OUT if b != a]) for a in NAMES]
    assert examiner().own_cosines() == pytest.approx(expected, abs=1e-6)
    alone = [np.mean([float(vector(a) @ vector(b)) for b in NAMES if b != a]) for a in NAMES]
    assert examiner(held_out=False).own_cosines() == pytest.approx(alone, abs=1e-6)


def test_without_a_held_out_face_there_is_nothing_to_report_by() -> None:
    with pytest.raises(LikenessError, match="held out of the training"):
        Examiner([(name, picture(name)) for name in NAMES[:4]], ["other.jpg"], FINDER, RECOGNISER)
