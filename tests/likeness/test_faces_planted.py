"""A measure that can be gamed is worthless: a planted fault moves its own measure beyond its limit, and leaves the others.

Not on everybody. `scripts/evaluate_measures.py` says on how many of the cohort's 48 people (docs/measures.md); here every sixth
is looked at, whoever that is, in the same way: six selfies known, four others with the fault.
"""

import numpy as np
import pytest

from likeness import resources
from likeness.faces import FaceFinder, Reference, embedder
from scripts import plants
from scripts.evaluate_measures import PLANTS, Subject, evaluate, impostors_of, shares

pytestmark = pytest.mark.slow
RECOGNISER = embedder()
EVERY = 6
Moved = dict[str, tuple[set[str], list[set[str]]]]

# On how many of the eight people its own measure must be found, at least, and any other may be, at most: by the four pictures
# together, and of their 32 pictures each alone. Not what this sample gives, but what 19 in 20 random choices of eight out of the 48
# keep, by the run whose shares are in docs/pocket/measures.json (way "selfies"): there 46 of the 48 thinned faces are found together.
LIMITS = {
    "none": ((0, 2), (0, 3)),
    "skin lightened by 18 L*": ((7, 2), (17, 7)),
    "face thinned to 0.84": ((7, 0), (23, 3)),
    "skin blurred": ((8, 4), (24, 13)),
    "mole removed": ((5, 2), (17, 3)),
    "hair greyed": ((5, 1), (13, 3)),
    "another person": ((7, 1), (25, 1)),
    "a new background": ((0, 1), (0, 5)),
    "a known selfie's background": ((8, 1), (30, 5)),
    "a known selfie": ((8, 0), (32, 3)),
}


@pytest.fixture(scope="module")
def subjects() -> list[Subject]:
    folders, finder = resources.cohort_folders(), FaceFinder()
    impostors = impostors_of(folders[::3], finder, RECOGNISER)
    return [
        Subject.of(folders[number], folders[(number + 7) % len(folders)], "selfies", impostors, RECOGNISER)
        for number in range(0, len(folders), EVERY)
    ]


@pytest.fixture(scope="module")
def evaluated(subjects: list[Subject]) -> list[Moved]:
    return [evaluate(subject) for subject in subjects]


@pytest.mark.parametrize("name", PLANTS)
def test_a_fault_moves_its_own_measure_and_rarely_another(evaluated: list[Moved], name: str) -> None:
    plant, shown = PLANTS[name], [one[name] for one in evaluated if name in one]
    together, single = [kinds for kinds, _ in shown], [kinds for _, each in shown for kinds in each]
    for (least, most), moved in zip(LIMITS[name], (together, single), strict=True):
        found = shares(plant, moved)
        assert plant.own is None or round(found["own"] * found["of"]) >= least, found
        assert round(found["others"] * found["of"]) <= most, found


def test_a_training_photograph_is_found_in_every_disguise(subjects: list[Subject]) -> None:
    for subject in subjects:
        for disguise, rgb in plants.disguises(subject.trained[1]).items():
            assert "copy" in subject.beyond(subject.look([rgb])), disguise


def test_a_copy_does_not_count_as_a_stranger(evaluated: list[Moved]) -> None:
    assert all("identity" not in one["a known selfie"][0] for one in evaluated)


def test_a_reference_of_vectors_is_that_of_the_photographs(subjects: list[Subject]) -> None:
    finder, shown = FaceFinder(), subjects[0].trained
    again = Reference.of(shown, finder, RECOGNISER)
    vectors = [RECOGNISER.embed(rgb, finder.find(rgb)[0]) for rgb in shown]
    assert np.allclose(Reference.of_vectors(vectors, RECOGNISER).embeddings, again.embeddings)
