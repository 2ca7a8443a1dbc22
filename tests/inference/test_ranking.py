"""Which picture is the better one: likeness and faults, on the cohort's photographs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from inference.ranking import Assessment, Judge, best_first, judge_of
from likeness import files, resources
from likeness.faces import FaceFinder, Reference, embedder
from likeness.gates import Failure, Gates
from likeness.person import Person
from scripts.plants import lightened as lighten

COHORT = resources.assets() / "cohort"
SELFIES = sorted(COHORT.glob("p900000/selfie_*.jpg"))
OTHERS = sorted(COHORT.glob("p90000[1-4]/headshot_00.jpg"))
NO_FACE = Failure("faults", "no face", 0, 1)
PLASTIC = Failure("texture", "fine texture of the skin", -4.2, -3.0)
MOLE = Failure("marks", "moles and marks kept", -3.5, -3.0)


@pytest.fixture(scope="module")
def judge() -> Judge:
    finder, recognise = FaceFinder(), embedder()
    return Judge(Reference.of(SELFIES[:5], finder, recognise), finder, recognise)


def test_only_photographs_that_were_trained_on_choose(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those that were held out, nor what lies there beside: a friend, or a smaller copy of one that was held out."""
    left_out: list[str] = []

    def cohort(each: int, but: str = "") -> list[list[Path]]:
        left_out.append(but)
        return [[path] for path in OTHERS]

    monkeypatch.setattr(resources, "cohort", cohort)
    for path in SELFIES[:6]:
        shutil.copy(path, person.selfies)
    shutil.copy(OTHERS[0], person.selfies / "friend.jpg")
    Image.open(SELFIES[0]).resize((256, 256)).save(person.selfies / "copy.jpg")
    shutil.copy(SELFIES[5], person.selfies / "twin.jpg")
    everything = judge_of(person, "dlib", None).reference
    chosen_by = judge_of(person, "dlib", {files.sha256(path) for path in SELFIES[2:6]}).reference
    assert everything is not None and chosen_by is not None
    assert (len(everything.embeddings), len(chosen_by.embeddings)) == (9, 4)
    assert set(left_out) == {person.name}, "nobody is a stranger to themselves"


def test_the_person_is_liker_than_others(judge: Judge) -> None:
    own = [judge.assess(Image.open(path)) for path in COHORT.glob("p900000/headshot_*.jpg")]
    others = [judge.assess(Image.open(path)) for path in OTHERS]
    assert all(shot.faults == () for shot in own)
    own_likeness = [shot.likeness for shot in own if shot.likeness is not None]
    other_likeness = [shot.likeness for shot in others if shot.likeness is not None]
    assert len(own_likeness) == 4 and min(own_likeness) > max(other_likeness)


def test_faults(judge: Judge) -> None:
    photo = Image.open(SELFIES[0])
    assert judge.assess(Image.new("RGB", (256, 256), "grey")).faults == ("no face",)
    pair = Image.new("RGB", (2 * photo.width, photo.height))
    pair.paste(photo, (0, 0))
    pair.paste(Image.open(OTHERS[0]).resize(photo.size), (photo.width, 0))
    assert "several faces" in judge.assess(pair).faults
    face = FaceFinder().find(np.asarray(photo))[0]
    cut = photo.crop((round(face.centre[0] - 0.15 * face.size), 0, photo.width, photo.height))
    assert judge.assess(cut).faults in (("cut off",), ("no face",))


def test_what_the_gates_find_on_real_pictures(person: Person) -> None:
    for path in SELFIES[:8]:
        shutil.copy(path, person.selfies)
    judge = judge_of(person, "dlib", None)
    own = judge.assess(Image.open(COHORT / "p900000" / "headshot_00.jpg"))
    assert own.measured and not {"faults", "copying", "setting", "skin"} & {one.gate for one in own.failures}
    copied = judge.assess(ImageOps.mirror(Image.open(SELFIES[2])))
    assert {"copying", "setting"} <= {failure.gate for failure in copied.failures}
    stranger = judge.assess(Image.open(OTHERS[0]))
    assert "likeness" in {failure.gate for failure in stranger.failures}
    rgb = np.asarray(Image.open(COHORT / "p900000" / "headshot_00.jpg").convert("RGB"))
    lightened = judge.assess(Image.fromarray(lighten(rgb, judge.finder.find(rgb)[0], 30)))
    assert "skin" in {failure.gate for failure in lightened.failures}
    drifts = [failure for failure in lightened.failures if failure.gate == "skin"]
    assert all(abs(drift.value) > abs(drift.limit) == 3.0 for drift in drifts)


def test_order() -> None:
    shots = [Assessment(0.2, 0), Assessment(0.9, 0, (NO_FACE,)), Assessment(None, None, (NO_FACE, PLASTIC))]
    shots += [Assessment(0.7, 0, (MOLE,)), Assessment(0.2, 0)]
    assert best_first(shots) == [3, 0, 4, 1, 2]
    assert best_first(shots, Gates(faults="warn", texture="off")) == [1, 3, 0, 4, 2]


def test_one_drift_counts_once_and_a_fault_most() -> None:
    """Of too few that pass: skin that is lighter and of another hue is one drift, and a picture without a face is none."""
    pale = Assessment(0.95, 0, (Failure("skin", "lightness", 3.4, 3.0), Failure("skin", "hue", 3.4, 3.0)))
    plastic = Assessment(0.9, 0, (PLASTIC,))
    both = Assessment(0.99, 0, (*pale.failures, PLASTIC))
    assert best_first([Assessment(None, None, (NO_FACE,)), both, plastic, pale]) == [3, 2, 1, 0]
