"""A measure that can be gamed is worthless: each planted fault moves its own measure beyond its limit, and leaves the others."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from likeness.faces import Face, FaceFinder, Reference, embedder
from likeness.faces.drift import MEASURES
from likeness.faces.examiner import Examiner, Findings
from likeness.faces.panel import Panel
from likeness.statistics import threshold
from tests import photos, plants
from tests.photos import Pixels

pytestmark = pytest.mark.slow
FINDER, RECOGNISER = FaceFinder(), embedder()
# Of light, middle and dark skin.
PEOPLE = "p900010", "p900016", "p900027", "p900047", "p900026"
KNOWN, HELD_OUT = 6, 2  # of ten selfies; the other four stand in for pictures that an adapter has drawn


@dataclass
class Planted:
    """A person whose selfies all show a painted mole, as an examiner knows them, and material for pictures of them."""

    examiner: Examiner
    accepted_above: float
    selfies: list[Pixels]
    drawn: list[tuple[Pixels, Face]]
    moleless: list[Pixels]
    strangers: list[Pixels]

    def moved(self, pictures: list[Pixels]) -> set[str]:
        """Which kinds of measure lie beyond their limits."""
        examined = [self.examiner.examine(rgb) for rgb in pictures]
        found: list[Findings] = [item[0] for item in examined if item]
        assert len(found) == len(pictures)
        drifts = self.examiner.looks.drifts([item.looks for item in found])
        kinds = {str(MEASURES[name].kind) for name, drift in drifts.items() if drift.beyond}
        stranger = np.mean([item.cosine for item in found]) <= self.accepted_above
        return (
            kinds
            | ({"identity"} if stranger else set())
            | ({"copy"} if any(item.copied for item in found) else set())
            | ({"setting"} if any(item.setting_copied for item in found) else set())
        )


@pytest.fixture(scope="module", params=PEOPLE)
def planted(request: pytest.FixtureRequest) -> Iterator[Planted]:
    folders = photos.people()
    own = next(folder for folder in folders if folder.name == request.param)
    others = [folder for folder in folders if folder != own]
    draw = np.random.default_rng(int(request.param[1:]))
    plain = [photos.pixels(path) for path in photos.selfies(own)[:10]]
    faces = [FINDER.find(rgb)[0] for rgb in plain]
    with_mole = [
        plants.with_mole(rgb, face, tuple(draw.normal(0, 1, 2))) for rgb, face in zip(plain, faces, strict=True)
    ]
    names = [(f"{number}.jpg", rgb) for number, rgb in enumerate(with_mole[:KNOWN])]
    held_out = {name for name, _ in names[KNOWN - HELD_OUT :]}
    examiner = Examiner(names, held_out, FINDER, RECOGNISER)
    panel = Panel(examiner.reference, [photos.selfies(folder)[:2] for folder in others[::3]], FINDER, RECOGNISER)
    impostors = [examiner.reference.raw(vector) for other in panel.others for vector in other]
    stranger = photos.selfies(others[(folders.index(own) + 6) % len(others)])
    yield Planted(
        examiner,
        threshold(impostors, 0.05).value,
        with_mole[: KNOWN - HELD_OUT],
        list(zip(with_mole[KNOWN:], faces[KNOWN:], strict=True)),
        plain[KNOWN:],
        [photos.pixels(path) for path in stranger[:4]],
    )


def test_other_photographs_of_the_person_move_nothing(planted: Planted) -> None:
    assert planted.moved([rgb for rgb, _ in planted.drawn]) == set()


def test_another_person_is_not_recognised(planted: Planted) -> None:
    moved = planted.moved(planted.strangers)
    assert "identity" in moved
    assert not moved & {"copy", "setting"}


def test_lightened_skin_moves_skin(planted: Planted) -> None:
    assert planted.moved([plants.lightened(*item) for item in planted.drawn]) == {"skin"}


def test_a_thinned_face_moves_shape(planted: Planted) -> None:
    assert planted.moved([plants.thinned(*item) for item in planted.drawn]) == {"shape"}


def test_blur_moves_texture(planted: Planted) -> None:
    assert planted.moved([plants.blurred_skin(*item) for item in planted.drawn]) == {"texture"}


def test_a_removed_mole_moves_marks(planted: Planted) -> None:
    assert len(planted.examiner.looks.marks.places) > 0
    assert planted.moved(planted.moleless) == {"marks"}


def test_greyed_hair_moves_hair(planted: Planted) -> None:
    people = [(rgb, face, FINDER.person_mask(rgb)) for rgb, face in planted.drawn]
    assert planted.moved([plants.greyed(*person) for person in people]) == {"hair"}


def test_a_new_background_moves_nothing_and_that_of_a_selfie_moves_the_setting(planted: Planted) -> None:
    cut_out = [(rgb, FINDER.person_mask(rgb)) for rgb, _ in planted.drawn]
    new = [plants.with_background(*item, other) for item, other in zip(cut_out, planted.strangers, strict=True)]
    assert planted.moved(new) == set()
    learnt = [plants.with_background(*item, other) for item, other in zip(cut_out, planted.selfies, strict=True)]
    assert planted.moved(learnt) == {"setting"}


def test_a_training_photograph_is_found_in_every_disguise(planted: Planted) -> None:
    for disguise, rgb in plants.disguises(planted.selfies[1]).items():
        assert "copy" in planted.moved([rgb]), disguise


def test_a_copy_does_not_count_as_a_stranger(planted: Planted) -> None:
    assert "identity" not in planted.moved(planted.selfies[:2])


def test_a_reference_of_vectors_is_that_of_the_photographs(planted: Planted) -> None:
    again = Reference.of(planted.selfies, FINDER, RECOGNISER)
    vectors = [RECOGNISER.embed(rgb, FINDER.find(rgb)[0]) for rgb in planted.selfies]
    assert np.allclose(Reference.of_vectors(vectors, RECOGNISER).embeddings, again.embeddings)
