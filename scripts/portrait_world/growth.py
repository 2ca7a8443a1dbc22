"""Hair that grows from a scalp: guide strands are combed and fall over the head, and many strands follow those nearby.

Strands are (S, P, 3), from root to tip, in the space of the head at rest (decimetres, see mesh.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from . import mesh, regions, rig
from .mesh import Indices, Vertices, unit
from .styles import Style

Field = npt.NDArray[np.float64]


def hairline(vertices: Vertices, recede: float) -> Field:
    """How far each vertex is inside the hairline, 0 to 1 (N,); `recede` moves temples and forehead's line back."""
    eyes, top = np.mean(rig.eyes(vertices), 0), vertices[: mesh.BODY, 1].max()
    height = (vertices[:, 1] - eyes[1]) / (top - eyes[1])
    around = np.degrees(np.abs(np.arctan2(vertices[:, 0], vertices[:, 2] - 0.35 * eyes[2])))
    angles = (0, 22, 38, 48, 56, 64, 74, 84, 100, 125, 150, 180)
    line = np.array([0.60, 0.61, 0.60, 0.50, 0.34, 0.10, -0.10, -0.02, -0.12, -0.30, -0.50, -0.55])
    line = line + recede * np.interp(angles, (0, 30, 55, 70), (0.35, 0.55, 0.35, 0.0))
    inside = 1 / (1 + np.exp(-(height - np.interp(around, angles, line)) / 0.03))
    inside[mesh.BODY :] = 0
    return np.asarray(inside)


def scatter(
    vertices: Vertices, corners: Indices, count: int, rng: np.random.Generator, weight: Field
) -> tuple[Field, Field]:
    """Points (count, 3) evenly over triangles, denser where `weight` (of vertices) is larger, and their normals."""
    a, b, c = (vertices[corners[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) * weight[corners].mean(1)
    upto = np.cumsum(area)
    at = np.minimum(np.searchsorted(upto, (np.arange(count) + rng.random(count)) / count * upto[-1]), len(corners) - 1)
    root, part = np.sqrt(rng.random(count)), rng.random(count)
    share = np.stack([1 - root, root * (1 - part), root * part], 1)[:, :, None]
    normals = mesh.normals(vertices, corners)
    return (vertices[corners[at]] * share).sum(1), np.asarray(unit((normals[corners[at]] * share).sum(1)))


@dataclass(frozen=True)
class Head:
    """The head's surface to fall over, and its measures (dm) by which styles are laid out."""

    surface: Vertices
    normals: Vertices
    tree: cKDTree
    bottom: float
    height: float
    back: float
    depth: float
    half_width: float
    eyes: Field

    @classmethod
    def of(cls, vertices: Vertices, ears: bool = True) -> Head:
        """Without `ears`, hair passes behind them."""
        scalp = vertices[np.unique(regions.scalp_triangles())]
        used = np.flatnonzero(vertices[: mesh.BODY, 1] > 3.0)
        used = used if ears else np.setdiff1d(used, np.concatenate(regions.ears()))
        low, high = scalp.min(0), scalp.max(0)
        surface = vertices[used]
        return cls(
            surface, mesh.normals(vertices, regions.body_triangles())[used], cKDTree(surface), low[1],
            high[1] - low[1], low[2], high[2] - low[2], float(np.abs(scalp[:, 0]).max()),
            np.asarray(np.mean(rig.eyes(vertices), 0)),
        )  # fmt: skip

    def level(self, points: Field) -> Field:
        """0 at the nape to 1 at the top."""
        return np.asarray((points[..., 1] - self.bottom) / self.height)

    def point(self, place: tuple[float, float, float]) -> Field:
        """A place told from the back of the head at the height of the nape."""
        return np.array(place) + (0, self.bottom, self.back)


@dataclass(frozen=True)
class Guides:
    """Where guides start and which way they are combed; `side` is that of the parting, `fringe` those combed forward."""

    roots: Field
    normals: Field
    lengths: Field
    comb: Field
    side: Field
    fringe: npt.NDArray[np.bool_]


def grow(vertices: Vertices, style: Style, recede: float, rng: np.random.Generator) -> Field:
    """The strands of a style on a head of these vertices."""
    head, inside = Head.of(vertices, ears=style.gather is None), hairline(vertices, recede) ** 1.5
    starts = scatter(vertices, regions.head_triangles(), style.guides, rng, np.where(inside < 0.2, 1e-9, 1.0))
    guides = _comb(head, style, *starts, rng)
    paths = _fall(head, style, guides, rng)
    roots, normals = scatter(vertices, regions.head_triangles(), style.count, rng, np.where(inside < 0.02, 0, inside))
    strands, leader = _follow(head, style, guides, paths, roots, normals)
    strands = _curl(_cut(strands, style, rng), style, leader, rng)
    if style.over_face:
        return strands
    return strands[~_before_eyes(strands[:, 2:], head, 0.12 if style.fringe else 0.42)]


def _comb(head: Head, style: Style, roots: Field, normals: Field, rng: np.random.Generator) -> Guides:
    count, level = len(roots), head.level(roots)
    front, across = (roots[:, 2] - head.back) / head.depth, roots[:, 0] / head.half_width
    low = np.clip((style.side_height - level) / 0.25, 0, 1)
    lengths = style.length * (1 - low) + style.side_length * low
    lengths = lengths * (1 + 0.12 * rng.standard_normal(count))
    beside = roots[:, 0] - style.part * head.half_width
    side = np.where(beside < 0, -1.0, 1.0)
    if style.sweep:
        side = np.where(level > 0.7, 1.0, side)
    comb = np.tile(np.array(style.comb, float), (count, 1))
    comb[:, 0] *= side * np.clip(np.abs(beside) / 0.18, 0.45, 1)
    fringe = (front > 0.72) & (np.abs(across) < 0.6) & (level > 0.6) & (style.fringe > 0)
    comb[fringe] = (0, -0.35, 1)
    lengths = np.where(fringe, style.fringe * (1 + 0.08 * rng.standard_normal(count)), lengths)
    if style.gather:
        away = head.point(style.gather) - roots
        comb, lengths = unit(away), np.linalg.norm(away, axis=1) * 1.15  # around the head, not through it
    comb = unit(comb + 0.12 * rng.standard_normal(comb.shape))
    return Guides(roots, normals, np.maximum(lengths, 0.02), comb, side, fringe)


def _fall(head: Head, style: Style, guides: Guides, rng: np.random.Generator) -> Field:
    """Paths of the guides (G, P, 3): on the head they follow the comb at a height above the skin, below it they hang."""
    count = len(guides.roots)
    paths = np.zeros((count, style.points, 3))
    paths[:, 0] = guides.roots - guides.normals * 0.01
    along = (guides.comb * guides.normals).sum(1, keepdims=True)
    heading = unit(guides.normals * style.lift + guides.comb - along * guides.normals)
    step, travelled, layer = guides.lengths / (style.points - 1), np.zeros(count), 0.25 + 0.75 * rng.random(count)
    down, widest = np.array([0, -1.0, 0]), head.bottom + 0.42 * head.height
    for k in range(1, style.points):
        point = paths[:, k - 1] + heading * step[:, None]
        travelled += step
        near = head.tree.query(point)[1]
        normal = head.normals[near]
        above = ((point - head.surface[near]) * normal).sum(1)
        wanted = layer * style.volume * np.clip(travelled / style.rise, 0, 1)
        wanted *= 1 + style.top_volume * np.clip(head.level(point) - 0.6, 0, 1) * 2.5
        on_head = np.clip((point[:, 1] - widest) / 0.25, 0, 1) * np.clip((normal[:, 1] + 0.35) / 0.3, 0, 1)
        move = wanted - above
        move = np.where(move > 0, move, move * style.adhesion * on_head)
        point = point + normal * np.clip(move, -0.25, 0.4)[:, None]
        if not style.over_face:
            point = _aside(head, style, guides, point)
        paths[:, k] = point
        heading = unit(point - paths[:, k - 1])
        comb = guides.comb
        if style.gather:
            away = head.point(style.gather) - point
            comb, step = unit(away), np.minimum(step, np.linalg.norm(away, axis=1) / 2)
        flow = unit(comb - (comb * normal).sum(1, keepdims=True) * normal)
        follow = style.flow * on_head * np.exp(-travelled / style.comb_length)
        fall = style.gravity * (1.7 - on_head)
        heading = unit(heading + down * fall[:, None] + flow * follow[:, None])
    return paths


def _aside(head: Head, style: Style, guides: Guides, point: Field) -> Field:
    """Out of the face, to the side that a strand comes from."""
    low = point[:, 1] < head.bottom + style.face_height * head.height
    face = low & (point[:, 2] > head.back + head.depth / 2 + 0.35) & (np.abs(point[:, 0]) < 0.78) & ~guides.fringe
    side = np.where(guides.roots[:, 0] < style.part * head.half_width / 2, -1.0, 1.0)
    return point + np.outer(face, (0.0, 0.0, -0.05)) + np.outer(face * side * 0.09, (1, 0, 0))


def _follow(
    head: Head, style: Style, guides: Guides, paths: Field, roots: Field, normals: Field
) -> tuple[Field, Indices]:
    """Strands from `roots` along a mixture of the three nearest guides on their side of the parting, and the first of those."""
    distance, near = cKDTree(guides.roots).query(roots, k=3)
    share = 1 / (distance + 0.01)
    side = np.where(roots[:, 0] < style.part * head.half_width, -1.0, 1.0)
    if not style.sweep:
        share *= np.where(guides.side[near] == side[:, None], 1, 0.02)
    share **= 1 + 3 * style.clump
    share /= share.sum(1, keepdims=True)
    leader = near[np.arange(len(roots)), share.argmax(1)]
    offsets = paths - paths[:, :1]
    mixed = sum(offsets[near[:, k]] * share[:, k, None, None] for k in range(3))
    close = np.linspace(0, 1, style.points)[None, :, None] * style.clump * 0.6
    strands = (roots[:, None] + mixed) * (1 - close) + paths[leader] * close
    strands[:, 0] = roots - normals * 0.01
    return strands, leader


def _before_eyes(points: Field, head: Head, above: float) -> npt.NDArray[np.bool_]:
    x, y, z = np.moveaxis(points - head.eyes, -1, 0)
    return np.asarray(((np.abs(x) < 0.5) & (y < above) & (y > -0.85) & (z > -0.25)).any(1))


def _cut(strands: Field, style: Style, rng: np.random.Generator) -> Field:
    """Strands cut to lengths that differ a little."""
    count, points = strands.shape[:2]
    part = np.clip(1 - style.ragged * rng.random(count) ** 2, 0.2, 1)
    place = np.linspace(0, 1, points) * part[:, None] * (points - 1)
    low = np.clip(place.astype(int), 0, points - 2)[..., None]
    high = np.take_along_axis(strands, low + 1, 1)
    return np.asarray(
        np.take_along_axis(strands, low, 1) + (high - np.take_along_axis(strands, low, 1)) * (place[..., None] - low)
    )


def _curl(strands: Field, style: Style, leader: Indices, rng: np.random.Generator) -> Field:
    """Strands wound around their paths as their guide is, and frizzed."""
    count, points = strands.shape[:2]
    along = unit(np.gradient(strands, axis=1))
    across = unit(np.cross(along, (0.3, 0.2, 0.9)))
    length = np.linalg.norm(np.diff(strands, axis=1), axis=2).sum(1)
    arc = np.linspace(0, 1, points) * length[:, None]
    if style.curl > 0:
        guides = int(leader.max()) + 1
        phase = (rng.random(guides) * 6.28)[leader] + rng.normal(0, style.curl_jitter, count)
        rate = style.curl_rate * (1 + 0.2 * rng.standard_normal(guides))[leader]
        angle, radius = (arc * rate[:, None] * 6.28 + phase[:, None]), style.curl * np.clip(arc / 0.3, 0, 1)
        strands = strands + across * (radius * np.cos(angle))[..., None]
        strands = strands + np.cross(along, across) * (radius * np.sin(angle))[..., None]
    wander = np.cumsum(rng.standard_normal(strands.shape), 1) / np.sqrt(np.arange(1, points + 1))[None, :, None]
    return np.asarray(strands + wander * style.frizz * np.clip(arc / 0.5, 0, 1)[..., None])


def knot(vertices: Vertices, rng: np.random.Generator, count: int = 2500) -> Field:
    """Strands wound into a bun at the back of the head."""
    head = Head.of(vertices)
    outward = unit(rng.normal(size=(count, 3)))
    across = unit(np.cross(outward, rng.normal(size=(count, 3))))
    angle = np.linspace(-0.9, 0.9, 8)[None, :, None]
    radius = 0.36 * (1 + 0.06 * rng.normal(size=(count, 1, 1)))
    centre = head.point((0, 1.1, -0.12))
    return np.asarray(centre + radius * (outward[:, None] * np.cos(angle) + across[:, None] * np.sin(angle)))
