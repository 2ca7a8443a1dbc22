"""Which of the drawn pictures are good: what the gates find on them, and likeness to the person's own photographs."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image

from inference.gates import failures, faults, recognised_above
from likeness.errors import LikenessError
from likeness.faces import FaceEmbedder, FaceFinder, Reference, embedder
from likeness.faces.arrays import Pixels
from likeness.faces.examiner import Examiner
from likeness.faces.panel import cohort_vectors
from likeness.gates import Failure, Gates
from likeness.images import PhotoError, load_photo
from likeness.person import Person

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assessment:
    """What was found on one picture.

    likeness: 1.0 as like as the person's photographs are to each other, 0.0 like somebody else; None without a face or
    a reference. raw: the mean cosine behind it. failures: of every gate, whatever its mode. measured: whether drift and
    copying were looked at, for which the person's photographs may be too few.
    """

    likeness: float | None
    raw: float | None
    failures: tuple[Failure, ...] = ()
    measured: bool = False

    @property
    def faults(self) -> tuple[str, ...]:
        """What anybody sees is wrong, in words."""
        return tuple(failure.what for failure in self.failures if failure.gate == "faults")


class Judge:
    """Looks at finished pictures: with an examiner for all gates, with a reference for faults and likeness, else for faults."""

    def __init__(
        self,
        reference: Reference | None,
        finder: FaceFinder,
        recogniser: FaceEmbedder,
        examiner: Examiner | None = None,
        accepted_above: float = -1.0,
    ) -> None:
        """`accepted_above`: mean cosine above which the examiner's person is recognised."""
        self.reference = reference
        self.finder = finder
        self._recogniser = recogniser
        self._examiner = examiner
        self._accepted_above = accepted_above

    def assess(self, image: Image.Image) -> Assessment:
        """The failures of a picture (any size), and the likeness of its largest face."""
        rgb = np.asarray(image.convert("RGB"))
        faces = self.finder.find(rgb)
        found = faults(faces, *rgb.shape[:2])
        if not faces:
            return Assessment(None, None, tuple(found), self._examiner is not None)
        if self._examiner is not None:
            findings, _ = self._examiner.examine_face(rgb, faces[0])
            found += failures(findings, self._examiner.looks, self._accepted_above)
            return Assessment(findings.likeness, findings.cosine, tuple(found), measured=True)
        if self.reference is None:
            return Assessment(None, None, tuple(found))
        vector = self._recogniser.embed(rgb, faces[0])
        return Assessment(self.reference.likeness(vector), self.reference.raw(vector), tuple(found))


def judge_of(person: Person, recogniser: str, trained: Collection[str] | None) -> Judge:
    """A judge that knows as much of the person as the photographs tell that were trained on (`trained`: their SHA-256).

    Those that were kept from training are kept from choosing too: whoever reports by them reports fairly. Where it is not known
    what was trained on (None or empty) all selfies choose.
    """
    finder, recognise = FaceFinder(), embedder(recogniser)
    photos: list[tuple[str, Pixels]] = []
    if trained:
        selfies = sorted(path for digest, path in person.selfies_by_digest().items() if digest in trained)
    else:
        selfies = person.selfie_files()
    for path in selfies:
        # A broken photograph is what `likeness check` is for; it is no reason not to render.
        with suppress(PhotoError):
            photos.append((path.name, np.asarray(load_photo(path))))
    try:
        examiner = Examiner(photos, None, finder, recognise)
    except LikenessError as error:
        return Judge(_reference(photos, finder, recognise, error), finder, recognise)
    cohort = cohort_vectors(1, finder, recognise, but=person.name)
    accepted_above = recognised_above(examiner.reference, itertools.chain(*cohort.values()))
    return Judge(examiner.reference, finder, recognise, examiner, accepted_above)


def _reference(
    photos: list[tuple[str, Pixels]], finder: FaceFinder, recognise: FaceEmbedder, reason: LikenessError
) -> Reference | None:
    try:
        reference = Reference.of([rgb for _, rgb in photos], finder, recognise)
    except LikenessError as error:
        _log.warning("headshots are ranked by their faults alone: %s", error)
        return None
    _log.warning("drift and copying are not measured: %s", reason)
    return reference


def best_first(assessments: Sequence[Assessment], gates: Gates | None = None) -> list[int]:
    """Positions of the assessments: those that pass the gates first, then by how many gates reject them; last what nobody can use.

    Who is most like comes first among equals, which puts what lies under the verification threshold last; ties keep their order.
    A gate that only warns takes no part: it says something, and decides nothing.
    """
    gates = gates or Gates()

    def key(position: int) -> tuple[bool, int, float]:
        assessment = assessments[position]
        likeness = assessment.likeness if assessment.likeness is not None else float("-inf")
        # Gates and not failures are counted: lightness, hue and tone of one skin are three failures and one drift.
        rejecting = {failure.gate for failure in gates.rejecting(assessment.failures)}
        return "faults" in rejecting, len(rejecting), -likeness

    return sorted(range(len(assessments)), key=key)
