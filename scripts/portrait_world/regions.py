"""Parts of the base mesh that have names: its skin, the head, the scalp, the lips, the ears."""

from __future__ import annotations

import gzip
import json
from functools import cache

import numpy as np
from PIL import Image

from . import assets
from .mesh import Indices, base, triangles


@cache
def body_triangles() -> Indices:
    """The skin, int64 (T, 3)."""
    mesh = base()
    return triangles(face for face, group in zip(mesh.faces, mesh.groups, strict=True) if group == "body")


@cache
def head_triangles() -> Indices:
    """The skin from the neck up."""
    corners = body_triangles()
    return corners[(base().vertices[corners][:, :, 1] > 6.2).all(1)]


@cache
def scalp_triangles() -> Indices:
    """Where hair may grow; its edge is rougher than a hairline."""
    with gzip.open(assets.source("mpfb") / "uv_layers/scalp_solid.json.gz") as layer:
        numbers = sorted(int(number) for number in json.load(layer))
    return triangles(base().faces[number] for number in numbers)


def _painted(mask: str) -> Indices:
    """Vertices of the skin where a mask of the release is white."""
    mesh = base()
    picture = np.asarray(Image.open(assets.source("mpfb") / f"textures/mpfb_{mask}.jpg").convert("L"))
    found = set()
    for face, texture_face, group in zip(mesh.faces, mesh.texture_faces, mesh.groups, strict=True):
        if group == "body":
            for vertex, texel in zip(face, texture_face, strict=True):
                u, v = mesh.uv[texel]
                row, column = int((1 - v) * (picture.shape[0] - 1)), int(u * (picture.shape[1] - 1))
                if picture[min(row, picture.shape[0] - 1), min(column, picture.shape[1] - 1)] > 128:
                    found.add(vertex)
    return np.array(sorted(found))


@cache
def lips() -> Indices:
    """Vertices of the lips."""
    return _painted("lips")


@cache
def ears() -> tuple[Indices, Indices]:
    """Vertices of the person's left and right ear."""
    both = _painted("ears")
    side = base().vertices[both, 0]
    return both[side > 0], both[side < 0]
