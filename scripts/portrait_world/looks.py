"""What a person wears and how their hair grows, in the terms that pictures are drawn in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import assets, backgrounds, interim, skin
from .identity import Identity
from .mesh import Vertices

Field = npt.NDArray[np.floating]


def strands(who: Identity, rest: Vertices, rng: np.random.Generator) -> list[tuple[Field, float]]:
    """Hair and beard as strands (S, P, 3) and how thick they are."""
    grown = []
    if who.hair != "bald":
        grown.append((interim.grow(rest, interim.STYLES[who.hair] | {"recede": who.recede}, rng), 1.0))
        if who.hair == "bun":
            grown.append((interim.bun_geo(rest, rng), 1.0))
    if who.beard >= 2:
        grown.append((interim.beard_geo(rest, interim.beard_weight(rest), who.beard, rng), 0.8))
    return grown


def roots(who: Identity, rest: Vertices) -> Field:
    return interim.hairline(rest, {"recede": who.recede}) * (0.12 if who.hair == "bald" else 0.85)


def beard_roots(who: Identity, rest: Vertices) -> Field:
    depth = {0: 0.13 if who.sex_presentation == "male" else 0.0, 1: 0.42}.get(who.beard, 0.5)
    return interim.beard_weight(rest) * depth


def glasses(kind: tuple[str, str], vertices: Vertices) -> tuple[Any, Any, tuple[float, float, float]]:
    frame, lens = interim.glasses_geo(vertices, *kind)
    return frame, lens, interim.FRAMES[kind[1]]


def garment(outfit: dict[str, Any]) -> tuple[Path, Path]:
    files = interim.OUTFITS[outfit["outfit"]]
    return assets.source("mha") / "clothes" / files["clo"], assets.source("bright") / "clothes" / files["tex"]


def background(rng: np.random.Generator, kind: str, size: int) -> npt.NDArray[np.float64]:
    """Linear light (size, size, 3)."""
    if kind.startswith("studio:"):
        return skin.linear(backgrounds.studio(rng, kind.partition(":")[2], size))
    return skin.linear({"library": backgrounds.library}.get(kind, backgrounds.office)(rng, size))
