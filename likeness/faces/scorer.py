"""Pictures of a person in numbers, for whoever chooses by them: likeness, copying, faces.

What `Examiner` says of one headshot for a person to read is here the mean over a set of pictures, for a checkpoint or a
recipe to be chosen by. The photographs in `judging` were not trained on; who reports later must report by others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from likeness.errors import LikenessError
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.copying import COPIED_FACE, COPIED_PIXELS, CopyScale, mirror_vectors, near_copy, thumbnail
from likeness.faces.detect import FaceFinder
from likeness.faces.embed import FaceEmbedder
from likeness.faces.face import Face
from likeness.faces.reference import Reference
from likeness.images import enlarge

SIDE = 512
"""Pixels of the longer side that smaller pictures are enlarged to before they are looked at, as headshots are."""


def looked_at(picture: Image.Image) -> Pixels:
    """A drawn picture as it is judged: RGB (height, width, 3), enlarged to SIDE px where it is smaller."""
    return np.asarray(enlarge(picture, max(SIDE, *picture.size)).convert("RGB"))


@dataclass(frozen=True)
class Reading:
    """Means over pictures.

    likeness: of `Reference.likeness` to the judging photographs; a picture without a face counts 0, as like nobody.
    copying: share of the pictures that are a training photograph given back, by pixels or face. (The mean of the recogniser's
    score would do wrong to some people: of genuine new portraits it is up to 0.24.)
    faces: share of the pictures with a face.
    """

    likeness: float
    copying: float
    faces: float


class Scorer:
    """Knows a person by the photographs that were trained on and some that were not."""

    def __init__(
        self, trained: Sequence[Pixels], judging: Sequence[Pixels], finder: FaceFinder, embedder: FaceEmbedder
    ) -> None:
        """RGB pixels of the photographs; those without a face are left out.

        Raises LikenessError when no judging photograph, or fewer than two trained on, has a face, or when they do not
        look like one person.
        """
        self.finder, self.embedder = finder, embedder
        seen, unseen = self._faces(trained), self._faces(judging)
        if not unseen:
            raise LikenessError("none of the photographs to judge by has a face", "Add selfies, and train again")
        vectors = [embedder.embed(rgb, face) for rgb, face in [*seen, *unseen]]
        whole = Reference.of_vectors(vectors, embedder)
        self.reference = whole.subset(range(len(seen), len(vectors)))
        known, others = whole.embeddings[: len(seen)], whole.embeddings[len(seen) :]
        self._copying = CopyScale.of(known, others, mirror_vectors([rgb for rgb, _ in seen], known, finder, embedder))
        self._thumbnails = [thumbnail(rgb, face) for rgb, face in seen]

    def read(self, pictures: Sequence[Image.Image]) -> Reading:
        """The means over one picture or more, of any size."""
        found = [self._one(picture) for picture in pictures]
        total = len(found)
        return Reading(
            likeness=sum(self.reference.likeness(one[0]) for one in found if one) / total,
            copying=sum(one[1] for one in found if one) / total,
            faces=sum(one is not None for one in found) / total,
        )

    def _one(self, picture: Image.Image) -> tuple[Floats, bool] | None:
        """The unit vector of the largest face and whether it is copied; None without a face."""
        rgb = looked_at(picture)
        faces = self.finder.find(rgb)
        if not faces:
            return None
        vector, small = self.embedder.embed(rgb, faces[0]), thumbnail(rgb, faces[0])
        same = any(near_copy(small, other) >= COPIED_PIXELS for other in self._thumbnails)
        return vector, same or self._copying.copy_score(vector) >= COPIED_FACE

    def _faces(self, photos: Sequence[Pixels]) -> list[tuple[Pixels, Face]]:
        found = [(rgb, self.finder.find(rgb)) for rgb in photos]
        return [(rgb, faces[0]) for rgb, faces in found if faces]
