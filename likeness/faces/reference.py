"""How like a picture is to a person, on the scale of the person's own photographs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from likeness.errors import LikenessError
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.detect import FaceFinder
from likeness.faces.embed import FaceEmbedder
from likeness.images import load_photo

_LEAST = 0.1
"""Of the way from a stranger's cosine to that of the same photograph (1), by which the person's own must lie above the stranger's:
the scale's unit. So no likeness is above 10, where next to nothing would make any number of any picture."""

Photo = Path | Image.Image | Pixels


@dataclass(frozen=True)
class Reference:
    """A person's selfies as one recogniser sees them.

    embeddings: unit vectors (N, dim) of the selfies.  recogniser: its id.
    own: the person's median selfie-to-selfie cosine, likeness 1.0.
    different: the recogniser's median cosine of two different people, likeness 0.0.
    """

    embeddings: Floats
    recogniser: str
    own: float
    different: float

    @staticmethod
    def of(photos: Sequence[Photo], finder: FaceFinder, embedder: FaceEmbedder) -> "Reference":
        """The reference that photographs give by the largest face on each; those without a face are left out.

        Raises LikenessError with fewer than two faces, or when they are hardly more alike than different people are.
        """
        vectors = [vector for photo in photos if (vector := embed_photo(photo, finder, embedder)) is not None]
        return Reference.of_vectors(vectors, embedder)

    @staticmethod
    def of_vectors(vectors: Sequence[Floats], embedder: FaceEmbedder) -> "Reference":
        """The reference that unit vectors (dim,) of the embedder give; raises as `of` does."""
        if len(vectors) < 2:
            raise LikenessError(
                f"likeness needs two photographs with a face, there {'is' if len(vectors) == 1 else 'are'} {len(vectors)}",
                "Add selfies",
            )
        embeddings = np.stack(vectors)
        pairs = (embeddings @ embeddings.T)[np.triu_indices(len(embeddings), 1)]
        own = float(np.median(pairs))
        if own < embedder.different + _LEAST * (1 - embedder.different):
            raise LikenessError("the selfies do not look like one person", "Run `likeness check` on them")
        return Reference(embeddings, embedder.id, own, embedder.different)

    def subset(self, rows: Sequence[int]) -> "Reference":
        """Some of the photographs only, for instance the held-out ones, on the same scale."""
        return Reference(self.embeddings[list(rows)], self.recogniser, self.own, self.different)

    def raw(self, embedding: Floats) -> float:
        """Mean cosine of a face's unit vector (dim,) with the selfies."""
        return float((self.embeddings @ embedding).mean())

    def likeness(self, embedding: Floats) -> float:
        """1.0: as like as the person's own photographs are to one another; 0.0: as like as a different person.

        Not clipped: above 1 hints at a copied photograph, below 0 at somebody very unlike.
        """
        return self.as_likeness(self.raw(embedding))

    def as_likeness(self, cosine: float) -> float:
        """A mean cosine on that scale."""
        return (cosine - self.different) / (self.own - self.different)


def embed_photo(photo: Photo, finder: FaceFinder, embedder: FaceEmbedder) -> Floats | None:
    """Unit vector (dim,) of the largest face on a photograph, or None when there is no face."""
    if isinstance(photo, Path):
        photo = load_photo(photo)
    rgb = np.asarray(photo.convert("RGB") if isinstance(photo, Image.Image) else photo)
    faces = finder.find(rgb)
    return embedder.embed(rgb, faces[0]) if faces else None
