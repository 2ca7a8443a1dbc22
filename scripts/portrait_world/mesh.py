"""The base mesh of a person, the targets that shape it and the garments that fit it, in MakeHuman's data formats.

A mesh's vertices are float64 (N, 3) in decimetres: x to the person's left, y up, z to the front. The first BODY vertices
are the skin of the body; those behind them are helpers that garments and joints hang on.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import assets

Vertices = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

BODY = 13380
"""How many vertices, from the first, belong to the body's skin."""


class Mesh(NamedTuple):
    """An obj file: `faces` and `texture_faces` are triangles or quadrilaterals of indices into vertices and `uv`."""

    vertices: Vertices
    uv: npt.NDArray[np.float64]
    faces: list[list[int]]
    texture_faces: list[list[int]]
    groups: list[str]


def read_obj(path: Path) -> Mesh:
    vertices, uv, group = [], [], ""
    faces: list[list[int]] = []
    texture_faces: list[list[int]] = []
    groups: list[str] = []
    for line in path.read_text(errors="replace").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif kind == "vt":
            uv.append([float(x) for x in rest.split()[:2]])
        elif kind == "g":
            group = rest.split()[0]
        elif kind == "f":
            corners = [corner.split("/") for corner in rest.split()]
            faces.append([int(corner[0]) - 1 for corner in corners])
            texture_faces.append([int(corner[1]) - 1 if len(corner) > 1 and corner[1] else 0 for corner in corners])
            groups.append(group)
    return Mesh(np.array(vertices), np.array(uv or [[0.0, 0.0]]), faces, texture_faces, groups)


@cache
def base() -> Mesh:
    """The mesh that every person is a change of."""
    return read_obj(assets.source("mpfb") / "3dobjs/base.obj")


def triangles(faces: Iterable[list[int]]) -> Indices:
    """Quadrilaterals cut in two: int64 (T, 3)."""
    cut = [t for face in faces for t in ([face[:3]] if len(face) == 3 else [face[:3], [face[0], face[2], face[3]]])]
    return np.array(cut, np.int64).reshape(-1, 3)


@cache
def target(name: str) -> tuple[Indices, Vertices] | None:
    """Which vertices a target moves, and by how much at weight 1; None where the release has no such target."""
    path = assets.source("mpfb") / f"targets/{name}.target.gz"
    if not path.exists():
        return None
    with gzip.open(path, "rt", errors="replace") as lines:
        numbers = " ".join(line for line in lines if not line.startswith("#")).split()
    rows = np.array(numbers, np.float64).reshape(-1, 4)
    return rows[:, 0].astype(np.int64), rows[:, 1:4]


def add(vertices: Vertices, name: str, weight: float) -> None:
    """Move `vertices` (in place) by a target."""
    if abs(weight) > 1e-4 and (found := target(name)) is not None:
        vertices[found[0]] += found[1] * weight


class Slider(NamedTuple):
    """One axis of a face's shape: the targets of either direction, by side where the axis has sides."""

    section: str
    name: str
    has_sides: bool
    targets: dict[str, str]

    def apply(self, vertices: Vertices, value: float, asymmetry: float = 0.0) -> None:
        """Move `vertices` (in place); with sides, the left one by value + asymmetry and the right by value - asymmetry."""
        parts = [("left", value + asymmetry), ("right", value - asymmetry)] if self.has_sides else [("unsided", value)]
        for side, amount in parts:
            name = self.targets[("positive-" if amount > 0 else "negative-") + side]
            if name:
                add(vertices, f"{self.section}/{name}", abs(amount))


SECTIONS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")


@cache
def sliders() -> tuple[Slider, ...]:
    """All two-sided axes of the head, in the release's order."""
    table = json.loads((assets.source("mpfb") / "targets/target.json").read_text())
    return tuple(
        Slider(section, axis["name"], bool(axis["has_left_and_right"]), axis["opposites"])
        for section in SECTIONS
        for axis in table[section]["categories"]
        if axis.get("opposites")
    )


class Garment:
    """What is worn on the mesh (clothes, but also eyes, eyebrows, eyelashes, teeth): a mesh tied to three vertices each."""

    def __init__(self, path: Path) -> None:
        self.scales: list[tuple[int, int, int, float]] = []  # axis, from vertex, to vertex, distance on the base mesh
        self.deleted: list[int] = []  # body vertices that the garment hides
        rows: list[list[float]] = []
        mode, obj = "", ""
        for words in (line.split() for line in path.read_text(errors="replace").splitlines()):
            if not words or words[0].startswith("#"):
                continue
            if words[0] in ("verts", "delete_verts"):
                mode = words[0]
            elif words[0] in ("x_scale", "y_scale", "z_scale"):
                self.scales.append(("xyz".index(words[0][0]), int(words[1]), int(words[2]), float(words[3])))
            elif words[0] == "obj_file":
                obj = words[1]
            elif words[0][0].isalpha():
                continue
            elif mode == "verts":
                single = [float(words[0]), 0, 1, 1, 0, 0, 0, 0, 0]
                rows.append(single if len(words) == 1 else [float(x) for x in words[:9]])
            elif mode == "delete_verts":
                self.deleted += _ranges(words)
        table = np.array(rows, np.float64)
        self.anchors, self.weights, self.offsets = table[:, :3].astype(np.int64), table[:, 3:6], table[:, 6:9]
        self.mesh = read_obj(path.parent / obj)

    def fit(self, body: Vertices) -> Vertices:
        """The garment's vertices (M, 3) on a body of these vertices."""
        scale = np.ones(3)
        for axis, start, end, distance in self.scales:
            scale[axis] = abs(body[start, axis] - body[end, axis]) / distance
        return (body[self.anchors] * self.weights[:, :, None]).sum(1) + self.offsets * scale

    def carry(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Values of the body's vertices (N, K) carried over to the garment's (M, K)."""
        return np.einsum("nkb,nk->nb", values[self.anchors], self.weights)


def _ranges(words: list[str]) -> list[int]:
    """ "1 - 3 7" is 1, 2, 3, 7."""
    numbers: list[int] = []
    while words:
        if len(words) > 2 and words[1] == "-":
            numbers += range(int(words[0]), int(words[2]) + 1)
            words = words[3:]
        else:
            numbers.append(int(words[0]))
            words = words[1:]
    return numbers


@cache
def garment(path: Path) -> Garment:
    return Garment(path)


def unit(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Vectors (..., 3) at length 1."""
    return vectors / np.maximum(np.sqrt(np.einsum("...i,...i", vectors, vectors)), 1e-9)[..., None]


def normals(vertices: Vertices, corners: Indices) -> Vertices:
    """Unit normals (N, 3) of vertices, each the mean of its triangles' weighted by their areas."""
    a, b, c = (vertices[corners[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for corner in corners.T:
        for axis in range(3):
            total[:, axis] += np.bincount(corner, face[:, axis], len(vertices))
    return np.asarray(unit(total))


def scatter(
    vertices: Vertices, corners: Indices, count: int, rng: np.random.Generator, weight: npt.NDArray[np.floating]
) -> tuple[Vertices, Vertices]:
    """Points (count, 3) evenly over triangles, denser where `weight` (of vertices, (N,)) is larger, and their normals."""
    a, b, c = (vertices[corners[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) * weight[corners].mean(1)
    upto = np.cumsum(area)
    at = np.minimum(np.searchsorted(upto, (np.arange(count) + rng.random(count)) / count * upto[-1]), len(corners) - 1)
    root, part = np.sqrt(rng.random(count)), rng.random(count)
    share = np.stack([1 - root, root * (1 - part), root * part], 1)[:, :, None]
    up = normals(vertices, corners)
    return (vertices[corners[at]] * share).sum(1), np.asarray(unit((up[corners[at]] * share).sum(1)))
