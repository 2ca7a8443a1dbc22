"""Which of a person's photographs are trained on, where fewer than all are wanted: any, the most varied, or the most alike.

How far two photographs are apart is a matter of pose and light alone, which are read when portraits are prepared: what is learnt
from a set is not only how many there are, but how much of the head they show, and in how many lights.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from likeness import randomness
from likeness.faces import Face
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.quality import light_side
from likeness.faces.skin import read_skin

PhotosBy = Literal["drawn", "varied", "alike"]

TRAITS = ("yaw", "pitch", "light_side", "brightness", "warmth")
"""Turn and nod of the head in degrees; stops by which the light comes from the picture's left; its brightness and how much redder than blue
it is, in stops of the person's own lips, brows and whites of the eyes: they mean something beside the same person's alone."""

_TINY = 1e-6  # a spread below which all are the same, and what is left is rounding


def read_traits(rgb: Pixels, face: Face) -> dict[str, float]:
    """TRAITS of one face on an RGB picture (height, width, 3)."""
    light = read_skin(rgb, face).light
    values = face.yaw, face.pitch, light_side(rgb, face), float(light.mean()), float(light[0] - light[2])
    return dict(zip(TRAITS, values, strict=True))


def choose_photos(rows: Iterable[Mapping[str, Any]], count: int, by: PhotosBy = "drawn") -> set[str]:
    """Digests of `count` of the photographs (all, where they are fewer), such that fewer are among more.

    rows: portraits with `digest` and, but for "drawn", TRAITS; several of one photograph count once. "drawn" is by the photographs'
    own draws. "varied" begins with the one furthest from the mean, and adds the one furthest from all so far (Gonzalez 1985).
    "alike" is the one nearest to all others, and its nearest neighbours.
    """
    photos = {row["digest"]: row for row in rows}
    digests = sorted(photos)
    if len(digests) <= count:
        return set(digests)
    if by == "drawn":
        return set(sorted(digests, key=lambda digest: (randomness.uniform(0, "photos", digest), digest))[:count])
    traits = _standardised([[photos[digest][name] for name in TRAITS] for digest in digests])
    order = _most_varied_first(traits) if by == "varied" else _most_alike_first(traits)
    return {digests[place] for place in order[:count]}


def _standardised(values: Sequence[Sequence[float]]) -> Floats:
    """(N, traits), each of mean 0 and deviation 1 over the person's photographs, so that degrees and stops weigh the same."""
    traits = np.asarray(values, np.float64)
    spread = traits.std(axis=0)
    return np.asarray((traits - traits.mean(axis=0)) / np.where(spread > _TINY, spread, np.inf))


def _most_varied_first(traits: Floats) -> list[int]:
    chosen = [int(np.linalg.norm(traits, axis=1).argmax())]
    apart = _distances(traits)
    while len(chosen) < len(traits):
        nearest = apart[chosen].min(axis=0)
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    return chosen


def _most_alike_first(traits: Floats) -> list[int]:
    apart = _distances(traits)
    middle = apart[apart.sum(axis=0).argmin()]
    return [int(place) for place in np.argsort(middle, kind="stable")]


def _distances(traits: Floats) -> Floats:
    return np.asarray(np.linalg.norm(traits[:, None] - traits[None], axis=-1))
