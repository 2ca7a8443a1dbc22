"""What a person's looks and outfit come to in the terms that pictures are drawn in: strands, shapes, files, a background."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from . import accessories, backgrounds, hair, head, places, skin
from .accessories import Shape
from .identity import Identity
from .mesh import Vertices
from .styles import STYLES, Style

Field = npt.NDArray[np.floating]


def strands(who: Identity, rest: Vertices, rng: np.random.Generator) -> list[tuple[Field, float]]:
    """Hair and beard as strands (S, P, 3), each with how thick they are (1: hair of the head)."""
    grown: list[tuple[Field, float]] = []
    if who.hair != "bald":
        grown.append((hair.grow(rest, _style(who), rng), 1.0))
    if who.beard >= 2:
        grown.append((accessories.beard(rest, who.beard, rng), 0.8))
    return grown


def roots(who: Identity, rest: Vertices) -> Field:
    """How much hair's roots darken the skin of each vertex, 0 to 1 (N,)."""
    return head.hairline(rest, _style(who)) * (0.12 if who.hair == "bald" else 0.85)


def _style(who: Identity) -> Style:
    return replace(STYLES["buzz" if who.hair == "bald" else who.hair], recede=who.recede)


def beard_roots(who: Identity, rest: Vertices) -> Field:
    shaven = 0.13 if who.sex_presentation == "male" else 0.0
    return accessories.beard_area(rest) * {0: shaven, 1: 0.42}.get(who.beard, 0.5)


def glasses(kind: tuple[str, str], vertices: Vertices) -> tuple[Shape, Shape, tuple[float, float, float]]:
    """Frame, lenses and the frame's colour."""
    frame, lenses = accessories.glasses(vertices, *kind)
    return frame, lenses, accessories.FRAMES[kind[1]]


def background(rng: np.random.Generator, kind: str, size: int) -> Field:
    """Linear light (size, size, 3)."""
    if kind.startswith("studio:"):
        return skin.linear(backgrounds.studio(rng, kind.partition(":")[2], size))
    drawn = {
        "library": backgrounds.library, "office": backgrounds.office, "indoor": places.indoor, "outdoor": places.outdoor,
    }[kind](rng, size)  # fmt: skip
    return skin.linear(drawn)
