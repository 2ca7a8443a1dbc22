"""Whom do pictures look like: the person, or one of many others?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from likeness import resources
from likeness.faces.arrays import Floats
from likeness.faces.detect import FaceFinder
from likeness.faces.embed import FaceEmbedder
from likeness.faces.reference import Reference, embed_photo


def cohort_vectors(each: int, finder: FaceFinder, embedder: FaceEmbedder, but: str = "") -> dict[str, list[Floats]]:
    """Unit vectors (dim,) of selfies with a face, `each` looked at, of everybody of the bundled cohort `but` one, by name."""
    return {
        photos[0].parent.name: [
            vector for path in photos if (vector := embed_photo(path, finder, embedder)) is not None
        ]
        for photos in resources.cohort(each, but)
    }


@dataclass(frozen=True)
class Score:
    """What a recogniser says of a set of pictures.

    likeness: mean on the person's own scale (`Reference.likeness`); a picture without a face counts as 0.
    rank: the person's place among all people by the pictures' mean cosine; 1 is best.
    rank_1: share of the pictures that are more like the person than anybody else.
    faces: share of the pictures with a face.
    """

    likeness: float
    rank: int
    rank_1: float
    faces: float


class Panel:
    """A person and others; all that is drawn of the person is compared with all of them."""

    def __init__(
        self, person: Reference, others: Iterable[Sequence[Floats]], finder: FaceFinder, embedder: FaceEmbedder
    ) -> None:
        """`others`: unit vectors (dim,) of each of the other people's photographs; who has none is left out."""
        self.person, self.finder, self.embedder = person, finder, embedder
        self.others: list[Floats] = [np.stack(vectors) for vectors in others if vectors]

    def score(self, pictures: Sequence[Image.Image]) -> Score:
        """Scores one picture or more. Where none of them has a face, the person comes last."""
        found = [embed_photo(picture, self.finder, self.embedder) for picture in pictures]
        return self.score_vectors([vector for vector in found if vector is not None], len(pictures))

    def score_vectors(self, vectors: Sequence[Floats], pictures: int) -> Score:
        """The same of `pictures` pictures whose faces have these unit vectors."""
        if not vectors:
            return Score(likeness=0.0, rank=len(self.others) + 1, rank_1=0.0, faces=0.0)
        own = np.array([self.person.raw(vector) for vector in vectors])
        theirs = np.array([[(other @ vector).mean() for vector in vectors] for other in self.others])
        return Score(
            likeness=float(sum(self.person.likeness(vector) for vector in vectors) / pictures),
            rank=1 + int((theirs.mean(axis=1) >= own.mean()).sum()),
            rank_1=float((own > theirs.max(axis=0)).sum() / pictures),
            faces=len(vectors) / pictures,
        )
