"""What a camera sees of a geometry and of strands of hair: for every pixel, the point of a surface or of a strand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import raster
from .camera import Camera
from .geometry import LAYERS, Geometry
from .geometry import opacity as mask_of
from .mesh import unit
from .person import Strands

Field = npt.NDArray[np.float32]
_BIAS = {"brow": 0.04, "lash": 0.015, "lens": 0.015}


@dataclass(frozen=True)
class Surface:
    """N pixels that show a surface, by `rows` and `columns`; `layers` (N, 3) is how far LAYERS cover them."""

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    corners: npt.NDArray[np.int64]
    weights: Field
    at: Field
    normal: Field
    view: Field
    uv: Field
    part: npt.NDArray[np.int64]
    layers: Field
    layer_owner: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Hair:
    """N pixels that show hair; `strand` numbers all strands of all sets."""

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    strand: npt.NDArray[np.int64]
    at: Field
    tangent: Field
    view: Field


def look(geometry: Geometry, hair: list[Strands], camera: Camera) -> tuple[Surface, Hair]:
    size = camera.size
    depth, owner = np.full((size, size), 1e9), np.full((size, size), -1, np.int64)
    weights = np.zeros((size, size, 2))
    seen = camera.project(geometry.vertices)
    raster.triangles(seen, geometry.corners, geometry.cutout, geometry.atlas, geometry.uv, depth, owner, weights)
    opacity, layer_owner = _layers(geometry, camera, depth)
    found = _hair(hair, geometry.head, camera, depth)
    covered = np.zeros((size, size), bool)
    covered[found.rows, found.columns] = True
    rows, columns = np.nonzero((owner >= 0) & ~covered)
    return _surface(geometry, camera, rows, columns, owner, weights, opacity, layer_owner), found


def _layers(geometry: Geometry, camera: Camera, depth: Field) -> tuple[Field, npt.NDArray[np.int64]]:
    shape = (*depth.shape, len(LAYERS))
    opacity, owner = np.zeros(shape), np.full(shape, -1, np.int64)
    for layer in geometry.layers:
        index = LAYERS.index(layer.name)
        one_opacity, one_owner = np.zeros(depth.shape), np.full(depth.shape, -1, np.int64)
        atlas, number = geometry.atlas, -1
        if layer.cutout:
            atlas, number = mask_of(layer.cutout)[None], 0
        raster.coverage(
            camera.project(layer.vertices), layer.corners, number, atlas, layer.uv, _BIAS[layer.name], depth,
            one_opacity, one_owner,
        )  # fmt: skip
        opacity[..., index], owner[..., index] = one_opacity, one_owner
    return opacity, owner


def _surface(geometry, camera, rows, columns, owner, weights, opacity, layer_owner) -> Surface:  # type: ignore[no-untyped-def]
    triangle = owner[rows, columns]
    two = weights[rows, columns].astype(np.float32)
    three = np.column_stack([two, 1 - two[:, 0] - two[:, 1]])
    corners = geometry.corners[triangle]
    at = mix(geometry.vertices.astype(np.float32), corners, three)
    normal = unit(mix(geometry.normals.astype(np.float32), corners, three))
    view = unit(camera.place.astype(np.float32) - at)
    normal[np.einsum("ni,ni->n", normal, view) < 0] *= -1
    uv = np.einsum("nki,nk->ni", geometry.uv[triangle], three)
    return Surface(
        rows, columns, corners, three, at, normal, view, uv, geometry.part[triangle],
        opacity[rows, columns].astype(np.float32), layer_owner[rows, columns],
    )  # fmt: skip


def mix(values: npt.NDArray[np.float32], corners: npt.NDArray[np.int64], weights: Field) -> Field:
    """Values of vertices (V, K) at points of triangles: (N, K)."""
    total = values[corners[:, 0]] * weights[:, :1]
    for k in (1, 2):
        total += values[corners[:, k]] * weights[:, k : k + 1]
    return total


def _hair(hair: list[Strands], head: npt.NDArray[np.float64], camera: Camera, depth: Field) -> Hair:
    size = camera.size
    chosen, along = np.full((size, size), -1, np.int64), np.zeros((size, size))
    matrix = camera.matrix @ np.vstack([head[:3], [0, 0, 0, 1]])
    start, starts = 0, []
    for one in hair:
        owner = np.full((size, size), -1, np.int64)
        thickness = max(0.35, 0.0042 * one.thickness * camera.per_dm)
        raster.strands(one.lines, matrix.astype(np.float32), np.float32(camera.focal), thickness, depth, owner, along)
        chosen = np.where(owner >= 0, owner + start, chosen)
        starts.append(start)
        start += len(one.lines)
    rows, columns = np.nonzero(chosen >= 0)
    strand = chosen[rows, columns]
    at, tangent = np.zeros((len(rows), 3), np.float32), np.zeros((len(rows), 3), np.float32)
    for one, first in zip(hair, starts, strict=True):
        mine = (strand >= first) & (strand < first + len(one.lines))
        place = along[rows, columns][mine] * (one.lines.shape[1] - 1)
        step = np.clip(place.astype(int), 0, one.lines.shape[1] - 2)
        low, high = (one.lines[strand[mine] - first, step + k] for k in (0, 1))
        at[mine] = low + (high - low) * (place - step)[:, None].astype(np.float32)
        tangent[mine] = high - low
    turn = head[:3, :3].T.astype(np.float32)
    at = at @ turn + head[:3, 3].astype(np.float32)
    return Hair(rows, columns, strand, at, unit(tangent @ turn), unit(camera.place.astype(np.float32) - at))
