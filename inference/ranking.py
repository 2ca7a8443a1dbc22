"""Which of the drawn pictures are good: faults that anybody sees, then likeness to the person's own photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from likeness.faces import FaceEmbedder, FaceFinder, Reference
from likeness.faces.quality import share_on_picture

Fault = Literal["no face", "several faces", "cut off", "face too small"]

MIN_SHARE_ON_PICTURE = 0.97
MIN_FACE_SHARE = 0.15
OTHER_FACE_SHARE = 0.3
"""A second face counts when it is at least this large beside the first: smaller ones are pictures on a wall."""


@dataclass(frozen=True)
class Assessment:
    """What was measured on one picture.

    likeness: 1.0 as like as the person's photographs are to each other, 0.0 like somebody else; None without a face or
    a reference. raw: the mean cosine behind it.
    """

    likeness: float | None
    raw: float | None
    faults: tuple[Fault, ...]


class Judge:
    """Looks at finished pictures. Without a reference only faults are found."""

    def __init__(self, reference: Reference | None, finder: FaceFinder, embedder: FaceEmbedder) -> None:
        self.reference = reference
        self._finder = finder
        self._embedder = embedder

    def assess(self, image: Image.Image) -> Assessment:
        """The faults of a picture (any size), and the likeness of its largest face."""
        rgb = np.asarray(image.convert("RGB"))
        height, width = rgb.shape[:2]
        faces = self._finder.find(rgb)
        if not faces:
            return Assessment(None, None, ("no face",))
        face = faces[0]
        faults: list[Fault] = []
        if len(faces) > 1 and faces[1].size >= OTHER_FACE_SHARE * face.size:
            faults.append("several faces")
        if share_on_picture(face, height, width) < MIN_SHARE_ON_PICTURE:
            faults.append("cut off")
        if face.size < MIN_FACE_SHARE * min(height, width):
            faults.append("face too small")
        if self.reference is None:
            return Assessment(None, None, tuple(faults))
        vector = self._embedder.embed(rgb, face)
        return Assessment(self.reference.likeness(vector), self.reference.raw(vector), tuple(faults))


def best_first(assessments: Sequence[Assessment]) -> list[int]:
    """Positions of the assessments, faultless ones first, the likest first among equals; ties keep their order."""

    def key(position: int) -> tuple[int, float]:
        assessment = assessments[position]
        likeness = assessment.likeness if assessment.likeness is not None else float("-inf")
        return len(assessment.faults), -likeness

    return sorted(range(len(assessments)), key=key)
