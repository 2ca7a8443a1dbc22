"""Cloth: the triangles of an outfit, and a texture that is woven for it.

Patterns are laid out where the cloth is on the body at rest (decimetres), so that stripes and ribs have one size and one
direction wherever the release's texture coordinates lie.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from . import assets, mesh, raster, regions, rig, skin
from .mesh import Indices, Vertices
from .wardrobe import COLOURS, MESHES, Cloth, Layer, Outfit

Field = npt.NDArray[np.float32]
BOTTOM = 1.2
"""What is lower (dm) is never seen."""
# Where in the texture (u, v) islands lie that are not of the main cloth.
_ISLANDS: dict[str, dict[str, tuple[tuple[float, float], ...]]] = {
    "suit": {"shirt": ((0.42, 0.93), (0.345, 0.58))},
    "jacket": {"shirt": ((0.70, 0.40), (0.11, 0.80), (0.63, 0.85), (0.90, 0.60))},
}
# Meshes whose textures show seams, folds and buttons in grey that are worth keeping, and how strongly.
_RELIEF = {"suit": 1.0, "jacket": 0.8}
SIZE = 512
"""Side of the maps over a garment's texture coordinates."""
PARTS = ("main", "shirt", "tie")


class Cut(NamedTuple):
    """A garment's triangles and their uv (T, 3, 2), and which part each is of: "main", "shirt"."""

    garment: mesh.Garment
    corners: Indices
    uv: Field
    part: npt.NDArray[np.str_]


def path(name: str) -> Path:
    folder = MESHES[name]
    return assets.source("mha") / "clothes" / folder / f"{folder}.mhclo"


@cache
def cut(name: str) -> Cut:
    piece = mesh.garment(path(name))
    heights = piece.fit(mesh.base().vertices)[:, 1]
    keep = [index for index, face in enumerate(piece.mesh.faces) if min(heights[face]) > BOTTOM]
    corners = mesh.triangles(piece.mesh.faces[index] for index in keep)
    texels = mesh.triangles(piece.mesh.texture_faces[index] for index in keep)
    uv, part = piece.mesh.uv[texels], np.full(len(corners), "main")
    edges = np.vstack([texels[:, :2], texels[:, 1:]])
    count = len(piece.mesh.uv)
    graph = coo_matrix((np.ones(len(edges)), edges.T), (count, count))
    island = connected_components(graph, directed=False)[1][texels[:, 0]]
    centres = uv.mean(1)
    for other, places in _ISLANDS.get(name, {}).items():
        for place in places:
            nearest = ((centres - place) ** 2).sum(1).argmin()
            part = np.where(island == island[nearest], other, part)
    return Cut(piece, corners, uv.astype(np.float32), part)


class Atlas(NamedTuple):
    """Where each texel of a garment is on the body at rest, with its relief (1: none), (S, S, 4); and of which of PARTS."""

    at: Field
    part: npt.NDArray[np.int64]


@cache
def atlas(name: str) -> Atlas:
    piece, size = cut(name), SIZE
    rest = piece.garment.fit(mesh.base().vertices)
    points = np.concatenate([piece.uv * (size, -size) + (0, size), np.ones((*piece.uv.shape[:2], 1))], 2).reshape(-1, 3)
    corners = np.arange(len(points)).reshape(-1, 3)
    depth, owner = np.full((size, size), 1e9), np.full((size, size), -1, np.int64)
    weights, none = np.zeros((size, size, 2)), np.full(len(corners), -1)
    raster.triangles(points, corners, none, np.ones((1, 2, 2), np.float32), piece.uv, depth, owner, weights)
    # Beyond an island's edge its nearest texel goes on, as texture look-ups reach a little over it.
    covered = owner >= 0
    labels = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    texel = np.zeros(labels.max() + 1, np.intp)
    texel[labels[covered]] = np.flatnonzero(covered)
    source: npt.NDArray[np.intp] = texel[labels]
    share = np.dstack([weights, 1 - weights.sum(-1)]).reshape(-1, 3)
    facing = owner.ravel()
    at = np.einsum("nki,nk->ni", rest[piece.corners[np.maximum(facing, 0)]], share).astype(np.float32)[source]
    part = np.array([PARTS.index(one) for one in piece.part])[np.maximum(facing, 0)][source]
    relief = np.ones((size, size), np.float32)
    if name in _RELIEF:
        relief, tie = _relief(name, size, covered)
        if name == "suit":
            part = np.where(tie & (part == PARTS.index("shirt")), PARTS.index("tie"), part)
    return Atlas(np.dstack([at, relief]), part)


def _relief(name: str, size: int, covered: npt.NDArray[np.bool_]) -> tuple[Field, npt.NDArray[np.bool_]]:
    """How the release's texture differs from its surroundings; and what in it is blue, as the tie is."""
    folder = MESHES[name]
    picture = Image.open(assets.source("bright") / "clothes" / folder / f"{folder}_diffuse.png").convert("RGB")
    pixels = np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS), np.float32) / 255
    grey = skin.linear(pixels).mean(-1).astype(np.float32) + 0.004
    inside = covered.astype(np.float32)
    sigma = size / 40
    around = cv2.GaussianBlur(grey * inside, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-3)
    blue = (pixels[..., 2] - pixels[..., 0] > 0.05).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size // 90 | 1, size // 90 | 1))
    tie = cv2.dilate(cv2.morphologyEx(blue, cv2.MORPH_CLOSE, disc), np.ones((3, 3), np.uint8)) > 0
    return np.clip((grey / np.maximum(around, 1e-3)) ** _RELIEF[name], 0.35, 1.4), tie


def albedo(outfit: Outfit, uv: Field) -> Field:
    """Linear colours (N, 3) of an outfit at points of it, by their texture coordinates in `worn`."""
    out = np.empty((len(uv), 3), np.float32)
    number = np.minimum((uv[:, 0] * len(outfit.layers)).astype(int), len(outfit.layers) - 1)
    for index, layer in enumerate(outfit.layers):
        mine = number == index
        if mine.any():
            own = np.ascontiguousarray(uv[mine] * (len(outfit.layers), 1) - (index, 0), np.float32)
            out[mine] = _layer_albedo(layer, own)
    return np.clip(out, 0, 0.88)


def _layer_albedo(layer: Layer, uv: Field) -> Field:
    places = atlas(layer.mesh)
    found = np.empty((len(uv), 4), np.float32)
    raster.bilinear(places.at, uv, found)
    column, row = (np.clip(part * SIZE, 0, SIZE - 1).astype(int) for part in (uv[:, 0], 1 - uv[:, 1]))
    part = places.part[row, column]
    out = np.empty((len(uv), 3), np.float32)
    for number, name in enumerate(PARTS):
        here = part == number
        if here.any():
            cloth = layer.parts.get(name, layer.parts["main"])
            out[here] = _woven(cloth, found[here, :3]) * (found[here, 3:] if name == "main" else 1)
    return out


def _linear(name: str) -> npt.NDArray[np.float32]:
    return skin.linear(np.array(COLOURS[name]) / 255).astype(np.float32)


def _woven(cloth: Cloth, at: Field) -> Field:
    """Linear colours (N, 3) of a cloth at places of the body at rest."""
    ground = np.tile(_linear(cloth.colour), (len(at), 1))
    amount = _pattern(cloth.pattern, at)
    if cloth.second:
        ground = ground * (1 - amount[:, None]) + _linear(cloth.second) * amount[:, None]
    elif cloth.pattern == "pinstripes":
        ground = ground + 0.10 * amount[:, None]
    elif cloth.pattern == "placket":
        ground = ground * (1 - 0.35 * amount[:, None])
    x, y, z = at.T
    folds = sum(
        np.sin(x * a + y * b + z * c + p)
        for a, b, c, p in ((3.1, 2.2, 1.7, 0), (-2.3, 4.1, 2.9, 2), (5.3, -1.1, 3.7, 4))
    )
    shade = 1 + 0.025 * folds
    if cloth.weave == "knit":
        shade = shade * (0.93 + 0.10 * np.sin(_across(at) * 2 * np.pi / 0.075) + 0.04 * np.sin(y * 2 * np.pi / 0.05))
    elif cloth.weave == "woven":
        shade = shade * (1 + 0.02 * np.sin(_across(at) * 150) * np.sin(y * 150))
    return np.asarray(ground * np.asarray(shade)[:, None], np.float32)


def _across(at: Field) -> Field:
    """Around the trunk, and around the arms."""
    x, y, z = at.T
    arm = np.clip((np.abs(x) - 1.5) / 0.2, 0, 1)
    trunk = np.arctan2(x, z + 0.6) * 1.6
    return np.asarray(trunk * (1 - arm) + (0.7 * (np.abs(x) + y) + 0.6 * z) * arm)


def _pattern(name: str, at: Field) -> Field:
    """How far the second colour shows, 0 to 1 (N,)."""
    x, y, _ = at.T
    across = _across(at)

    def bands(coordinate: Field, period: float, part: float) -> Field:
        phase = np.abs((coordinate / period) % 1 - 0.5) * 2  # 0 in the middle of a band
        return np.clip((part - phase) * period / 0.03 + 0.5, 0, 1)

    if name == "stripes":
        return bands(across, 0.24, 0.35)
    if name == "breton":
        return bands(y, 0.32, 0.4)
    if name == "pinstripes":
        return bands(across, 0.2, 0.08)
    if name == "checks":
        return 0.5 * bands(across, 0.3, 0.5) + 0.5 * bands(y, 0.3, 0.5)
    if name == "slanted":
        return bands(0.7 * (x + y), 0.2, 0.35)
    if name == "dots":
        u, v = 0.7 * (x + y) / 0.12, 0.7 * (x - y) / 0.12
        return np.clip((0.22 - np.hypot(u % 1 - 0.5, v % 1 - 0.5)) * 12 + 0.5, 0, 1)
    if name == "placket":
        return np.maximum(np.exp(-(((x - 0.1) / 0.018) ** 2)), np.hypot(x - 0.03, (y % 0.7) - 0.35) < 0.045)
    return np.zeros(len(at), np.float32)


class Worn(NamedTuple):
    """An outfit on a body: its vertices, triangles, uv in its texture, and weights on the bones."""

    vertices: Vertices
    corners: Indices
    uv: Field
    weights: npt.NDArray[np.float64]


def worn(outfit: Outfit, body: Vertices) -> Worn:
    """Layers one over another; their texture coordinates lie side by side, each in its part of the width."""
    layers, pieces = outfit.layers, []
    normals = mesh.normals(body, regions.body_triangles())
    for number, layer in enumerate(layers):
        piece = cut(layer.mesh)
        vertices = piece.garment.fit(body)
        if number < len(layers) - 1:  # under another: closer to the skin
            vertices = vertices - 0.04 * mesh.unit(piece.garment.carry(normals))
        keep = piece.part != layer.leave_out
        weights = piece.garment.carry(rig.rig().weights).clip(0)
        pieces.append((vertices, piece.corners[keep], piece.uv[keep], weights, number))
    if outfit.roll_neck:
        pieces.append((*_roll_neck(body, cut(layers[0].mesh).uv), 0))
    starts = np.cumsum([0, *(len(piece[0]) for piece in pieces)])
    weights = np.vstack([piece[3] for piece in pieces])
    uv = [(piece[2] + (piece[4], 0)) / (len(layers), 1) for piece in pieces]
    return Worn(
        np.vstack([piece[0] for piece in pieces]),
        np.vstack([piece[1] + start for piece, start in zip(pieces, starts, strict=False)]),
        np.vstack(uv).astype(np.float32), weights / np.maximum(weights.sum(1, keepdims=True), 1e-9),
    )  # fmt: skip


def hidden(meshes: tuple[str, ...]) -> set[int]:
    """Vertices of the body that are under cloth all the time; `meshes` from the skin outwards."""
    inner, rest = set(cut(meshes[0]).garment.deleted), mesh.base().vertices
    for name in meshes[1:]:
        inner |= {v for v in cut(name).garment.deleted if abs(rest[v, 0]) > 1.3 or rest[v, 1] < 4.5}
    return inner


def _roll_neck(body: Vertices, uv: Field) -> tuple[Vertices, Indices, Field, npt.NDArray[np.float64]]:
    """A soft tube around the neck, folded over at its top, in the plain cloth of the layer at its back."""
    base = mesh.base().vertices
    neck = np.flatnonzero(
        (base[: mesh.BODY, 1] > 5.6) & (base[: mesh.BODY, 1] < 6.7) & (np.abs(base[: mesh.BODY, 0]) < 0.8)
    )
    skin_there = body[neck]
    low, high = rig.joint(body, "neck01____head"), rig.joint(body, "neck02____tail")
    turn = np.linspace(-np.pi, np.pi, 40, endpoint=False)
    rings = []
    for height, wide in (
        (-0.75, 0.13),
        (-0.35, 0.07),
        (0.05, 0.05),
        (0.35, 0.06),
        (0.42, 0.10),
        (0.30, 0.12),
        (0.0, 0.13),
    ):
        centre = low + (high - low) * np.clip(height, 0, 1)
        centre = np.array([0.0, low[1] + (high[1] - low[1]) * height, centre[2] + 0.05])
        level = skin_there[np.abs(skin_there[:, 1] - centre[1]) < 0.22]
        away = level - centre
        angle, far = np.arctan2(away[:, 0], away[:, 2]), np.hypot(away[:, 0], away[:, 2])
        near = np.exp(-(((angle[None] - turn[:, None] + np.pi) % (2 * np.pi) - np.pi) ** 2) / 0.08)
        near *= np.exp(-((away[None, :, 1] / 0.12) ** 2)) * (far < 1.1)
        radius = (near * far).sum(1) / np.maximum(near.sum(1), 1e-6) + wide
        rings.append(np.stack([radius * np.sin(turn), np.full(40, centre[1]), centre[2] + radius * np.cos(turn)], 1))
    tube = np.concatenate(rings)
    count = len(turn)
    quads = [
        [i * count + q, i * count + (q + 1) % count, (i + 1) * count + (q + 1) % count, (i + 1) * count + q]
        for i in range(len(rings) - 1) for q in range(count)
    ]  # fmt: skip
    corners = mesh.triangles(quads)
    # Ribs: every second column takes its colour from a lighter place of the cloth.
    place = uv.reshape(-1, 2).mean(0)
    return (
        tube,
        corners,
        np.tile(place, (len(corners), 3, 1)),
        rig.rig().weights[neck[cKDTree(skin_there).query(tube)[1]]],
    )
