"""All that is measured on one picture of a person, against the person's own photographs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from likeness.errors import LikenessError
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.copying import (
    COPIED_FACE,
    COPIED_PIXELS,
    COPIED_SETTING,
    CopyScale,
    mirror_vectors,
    near_copy,
    same_setting,
    setting,
    thumbnail,
)
from likeness.faces.detect import FaceFinder
from likeness.faces.drift import OwnLooks
from likeness.faces.embed import FaceEmbedder
from likeness.faces.face import Face
from likeness.faces.reference import Reference


@dataclass(frozen=True)
class Findings:
    """What was measured on one picture with a face.

    cosine: mean with the held-out photographs, or with all where none is.  likeness: the same on the person's own scale.
    copy_score: the recogniser's, [0, 1].  pixels, setting: the largest correlation with a training photograph, and whose
    name that one has; setting is None where the background is plain or hidden.  looks: the measures of `drift.MEASURES`.
    """

    cosine: float
    likeness: float
    copy_score: float
    pixels: float
    pixels_of: str
    setting: float | None
    setting_of: str | None
    looks: dict[str, float]

    @property
    def copied(self) -> bool:
        """Whether the face, or the picture around it, is a training photograph's."""
        return self.copy_score >= COPIED_FACE or self.pixels >= COPIED_PIXELS

    @property
    def setting_copied(self) -> bool:
        """Whether the background is a training photograph's."""
        return self.setting is not None and self.setting >= COPIED_SETTING


class Examiner:
    """Knows a person by photographs, some of which were held out of the training; examines pictures.

    Likeness is to the held-out photographs, copying of the others; scales and drift are by all of them. Who chooses pictures
    by an examiner gives it none of the held-out photographs (`held_out` is None then), and likeness is to all the others.
    `chose` are those that were not trained on but chose the checkpoint: they are part of the scales, of nothing else.
    `vectors`: unit vectors (N, dim) of all photographs.
    """

    def __init__(
        self,
        photos: Sequence[tuple[str, Pixels]],
        held_out: Collection[str] | None,
        finder: FaceFinder,
        embedder: FaceEmbedder,
        chose: Collection[str] = (),
    ) -> None:
        """`photos`: name and RGB pixels; those without a face are left out, and named in `faceless`.

        Raises LikenessError when too few have one, none of them is held out, or they do not look like one person.
        """
        self.finder, self.embedder = finder, embedder
        found = [(name, rgb, finder.find(rgb)) for name, rgb in photos]
        seen = [(name, rgb, faces[0], finder.person_mask(rgb)) for name, rgb, faces in found if faces]
        self.faceless = [name for name, _, faces in found if not faces]
        self.names = [name for name, *_ in seen]
        self.held_out = [name for name in self.names if name in (held_out or ())]
        if held_out is not None and not self.held_out:
            raise LikenessError(
                "no photograph with a face was held out of the training", "Add selfies, and train again"
            )
        own = [row for row, name in enumerate(self.names) if name in self.held_out]
        trained = [row for row, name in enumerate(self.names) if name not in self.held_out and name not in chose]
        others = [row for row in range(len(self.names)) if row not in trained]
        whole = Reference.of_vectors([embedder.embed(rgb, face) for _, rgb, face, _ in seen], embedder)
        self.vectors = whole.embeddings
        self.reference = whole.subset(own) if own else whole
        vectors = whole.embeddings[trained]
        mirrored = mirror_vectors([seen[row][1] for row in trained], vectors, finder, embedder)
        self.copying = CopyScale.of(vectors, whole.embeddings[others], mirrored)
        self.looks = OwnLooks([(rgb, face, person) for _, rgb, face, person in seen])
        self._trained = [
            (name, thumbnail(rgb, face), setting(rgb, person))
            for name, rgb, face, person in (seen[row] for row in trained)
        ]

    def examine(self, rgb: Pixels) -> tuple[Findings, Floats] | None:
        """The findings on the largest face of an RGB picture (height, width, 3), and its unit vector; None without a face."""
        faces = self.finder.find(rgb)
        return self.examine_face(rgb, faces[0]) if faces else None

    def examine_face(self, rgb: Pixels, face: Face) -> tuple[Findings, Floats]:
        """The findings on one face of an RGB picture (height, width, 3), and its unit vector."""
        vector = self.embedder.embed(rgb, face)
        person = self.finder.person_mask(rgb)
        small, place = thumbnail(rgb, face), setting(rgb, person)
        pixels, pixels_of = max((near_copy(small, other), name) for name, other, _ in self._trained)
        settings = [
            (value, name) for name, _, other in self._trained if (value := same_setting(place, other)) is not None
        ]
        best_setting, setting_of = max(settings, default=(None, None))
        findings = Findings(
            cosine=self.reference.raw(vector),
            likeness=self.reference.likeness(vector),
            copy_score=self.copying.copy_score(vector),
            pixels=pixels,
            pixels_of=pixels_of,
            setting=best_setting,
            setting_of=setting_of,
            looks=self.looks.measure(rgb, face, person),
        )
        return findings, vector

    def own_cosines(self) -> Floats:
        """Mean cosine (N,) of each of the person's photographs with the held-out ones, itself left out."""
        among = self.vectors @ self.reference.embeddings.T
        itself = np.array([[row == column for column in self.held_out or self.names] for row in self.names])
        counts = (~itself).sum(axis=1)
        return np.asarray(np.where(itself, 0, among).sum(axis=1)[counts > 0] / counts[counts > 0])
