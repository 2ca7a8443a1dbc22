"""Hair that grows from a scalp: guide strands are combed and fall over the head, and many strands follow those nearby.

Strands are (S, P, 3), from root to tip, in the space of the head at rest (decimetres, see mesh.py). No strand comes before
the face: guides are led around it, and what still reaches it is cut off where it does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from . import regions
from .head import Head, hairline
from .mesh import Indices, Vertices, scatter, unit
from .styles import Style

Field = npt.NDArray[np.floating]

# The face: by height, how many degrees about the head from the front hair keeps away from.
_FACE_HEIGHTS = np.array([-3.0, -1.6, -1.15, -0.7, 0.0, 0.20, 0.45, 0.62])
_FACE_ANGLES = np.array([25.0, 32.0, 52.0, 60.0, 61.0, 58.0, 46.0, 0.0])
_DOWN = np.array([0.0, -1.0, 0.0])


def grow(vertices: Vertices, style: Style, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The strands (S, P, 3) of a style on a head of these vertices."""
    head = Head(vertices, ears=style.gather is None)
    inside, corners = hairline(vertices, style), regions.head_triangles()
    guides = _Guides.start(
        head, style, *scatter(vertices, corners, style.guides, rng, np.where(inside > 0.15, 1.0, 1e-9)), rng
    )
    paths = _gathered(head, style, guides) if style.gather else _fallen(head, style, guides)
    roots, normals = scatter(vertices, corners, style.count, rng, inside**1.5 + 1e-9)
    strands, leader = _follow(style, guides, paths.astype(np.float32), roots, normals)
    edge = np.clip(0.45 + 0.7 * head.inside(roots, style), 0, 1)  # finer, shorter hair along the hairline
    strands = _shortened(strands, edge * (1 - style.ragged * rng.random(len(roots)) ** 2))
    strands = _curled(strands, style, leader, rng)
    strands = _trimmed(head, style, strands, rng)
    if style.bun:
        strands = np.concatenate([strands, _bun(head, style, rng)])
    if style.tail:
        strands = np.concatenate([strands, _tail(head, style, rng)])
    return np.ascontiguousarray(strands, np.float32)


@dataclass(frozen=True)
class _Guides:
    roots: Field
    normals: Field
    lengths: Field
    side: Field
    """Of the parting, -1 or 1."""
    stray: Field
    layer: Field
    fringe: npt.NDArray[np.bool_]
    """Those that are combed over the forehead."""

    @classmethod
    def start(cls, head: Head, style: Style, roots: Field, normals: Field, rng: np.random.Generator) -> _Guides:
        count = len(roots)
        low = _ramp(head.height(roots), style.side_height + 0.1, style.side_height - 0.1)
        lengths = (style.length * (1 - low) + style.side_length * low) * (1 + 0.08 * rng.standard_normal(count))
        side = _side(style, roots, head.half_width)
        stray = style.stray * rng.standard_normal((count, 3))
        fringe = (np.abs(head.angle(roots)) < 50) & (head.height(roots) > 0.45) & (style.fringe is not None)
        lengths = np.where(fringe, np.maximum(lengths, min(0.9, style.length)), np.maximum(lengths, 0.03))
        return cls(roots, normals, lengths, side, stray, rng.uniform(0.65, 1.0, count), fringe)


def _side(style: Style, roots: Field, half_width: float) -> Field:
    if style.one_way:
        return np.full(len(roots), -np.sign(style.part) or 1.0)
    return np.where(roots[:, 0] < style.part * half_width, -1.0, 1.0)


def _ramp(x: Field, start: float, end: float) -> Field:
    """0 at start, 1 at end, smooth between."""
    t = np.clip((x - start) / (end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _combed(head: Head, style: Style, guides: _Guides, points: Field) -> Field:
    """Which way hair is combed at points (N, 3)."""
    crown = head.place(0.0, 0.9, 0.18)
    natural = unit(points - crown)
    if style.comb is None:
        return np.asarray(natural + guides.stray)
    top = np.tile(np.array(style.comb), (len(points), 1))
    top[:, 0] *= guides.side
    top[guides.fringe] = 0.35 * top[guides.fringe] + (0, -0.1, 1.0)
    behind = _ramp(points[:, 2], crown[2] + 0.45, crown[2] - 0.05)[:, None]
    if not style.one_way:
        top = top * (1 - behind) + natural * behind  # a parting ends at the crown
    low = _ramp(head.height(points), style.side_height + 0.15, style.side_height - 0.15)[:, None]
    return np.asarray(unit(top * (1 - low) + np.array(style.side_comb) * low) + guides.stray)


def _fallen(head: Head, style: Style, guides: _Guides) -> Field:
    """Paths of the guides (G, P, 3): on the scalp they follow the comb at a height above the skin, off it they hang."""
    paths = np.zeros((len(guides.roots), style.points, 3))
    paths[:, 0] = guides.roots - guides.normals * 0.01
    comb = _combed(head, style, guides, guides.roots)
    comb -= (comb * guides.normals).sum(1, keepdims=True) * guides.normals
    heading = unit(guides.normals * (0.35 + 2 * style.stiff) + unit(comb) * (1 - 0.6 * style.stiff))
    step = guides.lengths / (style.points - 1)
    beside = np.abs(guides.roots[:, 0] - style.part * head.half_width)
    parted = 1.0 if style.one_way or style.comb is None else 0.45 + 0.55 * _ramp(beside, 0.0, 0.5)
    volume = style.volume * guides.layer * parted
    turn = (1 - np.exp(-step * style.turn))[:, None]
    for k in range(1, style.points):
        point = paths[:, k - 1] + heading * step[:, None]
        point = np.where(guides.fringe[:, None], point, _around_face(head, point, guides.side))
        above, normal = head.above_skin(point)
        height = head.height(point)
        on = _ramp(head.inside(point, style), 0.2, 0.8) * _ramp(normal[:, 1], -0.5, 0.1)
        wanted = volume * np.clip(step * k / style.rise, 0, 1) + 0.3 * _ramp(height, -1.25, -1.6)
        move = wanted - above
        move = np.where(move > 0, move, 0.7 * move * on * (1 - style.stiff))
        point = point + normal * np.clip(move, -0.2, 0.3)[:, None]
        paths[:, k] = point
        heading = unit(point - paths[:, k - 1])
        flow = _combed(head, style, guides, point)
        flow -= (flow * normal).sum(1, keepdims=True) * normal * (1 - style.stiff)
        fall = (style.hang * (1 - 0.85 * on))[:, None]
        aim = flow * on[:, None] * (1 - 0.5 * style.stiff) + _DOWN * fall + heading * style.stiff
        aim[:, 0] -= np.sign(point[:, 0]) * _ramp(height, -0.35, -0.8) * style.tuck
        aim += _over_shoulders(guides, head, point, height)
        aim = unit(aim)
        heading = unit(heading * (1 - turn) + aim * turn)
    return paths


def _over_shoulders(guides: _Guides, head: Head, points: Field, height: Field) -> Field:
    """Where hair meets the shoulders it goes before or behind them, not outwards along them."""
    low = _ramp(height, -1.0, -1.4)
    aim = np.zeros_like(points)
    aim[:, 2] = low * np.where(np.abs(head.angle(guides.roots)) < 75, 1.0, -1.0)
    aim[:, 0] = -1.2 * low * np.sign(points[:, 0]) * np.clip(np.abs(points[:, 0]) - 0.8, 0, 1)
    return aim


def _around_face(head: Head, points: Field, side: Field) -> Field:
    """Points turned about the head out of the face."""
    angle = head.angle(points)
    keep = np.interp(head.height(points), _FACE_HEIGHTS, _FACE_ANGLES)
    at_front = np.abs(angle) < keep
    sign = np.where(np.abs(angle) < 12, side, np.sign(angle))
    turned = np.radians(np.where(at_front, sign * keep, angle))
    out = np.hypot(points[:, 0], points[:, 2] - head.axis)
    return np.stack([out * np.sin(turned), points[:, 1], head.axis + out * np.cos(turned)], 1)


def _gathered(head: Head, style: Style, guides: _Guides) -> Field:
    """Paths over the skull to the place where hair is gathered: great circles, held close to the skin."""
    end = head.place(*(style.gather or (0, 0, 0)))
    centre = head.place(0.0, 0.25, 0.45)
    start, aim = guides.roots - centre, end - centre
    along = np.linspace(0, 1, style.points)[None, :, None]
    a, b = unit(start)[:, None], unit(aim)[None, None]
    angle = np.arccos(np.clip((a * b).sum(-1, keepdims=True), -0.999, 0.999))
    way = (np.sin((1 - along) * angle) * a + np.sin(along * angle) * b) / np.sin(angle)
    far = np.linalg.norm(start, axis=1)[:, None, None] * (1 - along) + np.linalg.norm(aim) * along
    paths = centre + way * far
    inner = paths[:, 1:-1].reshape(-1, 3)
    above, normal = head.above_skin(inner)
    height = (style.volume * guides.layer)[:, None] * np.sin(np.pi * np.linspace(0, 1, style.points)[1:-1]) ** 0.5
    paths[:, 1:-1] = (inner + normal * (height.ravel() + 0.01 - above)[:, None]).reshape(len(paths), -1, 3)
    paths[:, 2:-2] = (paths[:, 1:-3] + 2 * paths[:, 2:-2] + paths[:, 3:-1]) / 4
    return paths


def _follow(
    style: Style, guides: _Guides, paths: Field, roots: Field, normals: Field
) -> tuple[npt.NDArray[np.float32], Indices]:
    """Strands from `roots` along a mixture of the three nearest guides on their side of the parting, and the first of those."""
    distance, near = cKDTree(guides.roots).query(roots, k=3)
    share = 1 / (distance + 0.01)
    if not style.one_way and style.comb is not None:
        half = np.abs(guides.roots[:, 0]).max()
        share *= np.where(guides.side[near] == _side(style, roots, half)[:, None], 1, 0.02)
    share **= 1 + 2 * style.clump
    share = (share / share.sum(1, keepdims=True)).astype(np.float32)
    leader = near[np.arange(len(roots)), share.argmax(1)]
    close = (np.linspace(0, 1, style.points) * style.clump * 0.7).astype(np.float32)[None, :, None]
    if style.gather:
        close = np.maximum(close, (np.linspace(0, 1, style.points) ** 3).astype(np.float32)[None, :, None])
    offsets = paths - paths[:, :1]
    strands = offsets[near[:, 0]] * share[:, 0, None, None]
    for k in (1, 2):
        strands += offsets[near[:, k]] * share[:, k, None, None]
    strands += roots[:, None].astype(np.float32)
    strands += close * (paths[leader] - strands)
    strands[:, 0] = roots - normals * 0.01
    return strands, leader


def _shortened(strands: npt.NDArray[np.float32], part: Field) -> npt.NDArray[np.float32]:
    """Strands cut to a part (S,) of their lengths, with as many points."""
    count, points = strands.shape[:2]
    place = np.linspace(0, 1, points) * part[:, None] * (points - 1)
    low = np.clip(place.astype(int), 0, points - 2)
    rows = np.arange(count)[:, None]
    start = strands[rows, low]
    return np.asarray(start + (strands[rows, low + 1] - start) * (place - low).astype(np.float32)[..., None])


def _curled(
    strands: npt.NDArray[np.float32], style: Style, leader: Indices, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Strands wound around their paths as their guide is, and frizzed."""
    count, points = strands.shape[:2]
    length = np.linalg.norm(np.diff(strands, axis=1), axis=2).sum(1)
    arc = (np.linspace(0, 1, points) * length[:, None]).astype(np.float32)
    if style.curl > 0:
        along = unit(np.gradient(strands, axis=1))
        across = unit(np.cross(along, np.array([0.3, 0.2, 0.9], np.float32)))
        guides = int(leader.max()) + 1
        phase = (rng.random(guides) * 6.28)[leader] + rng.normal(0, style.curl_jitter, count)
        rate = style.curl_rate * (1 + 0.2 * rng.standard_normal(guides))[leader]
        angle = (arc * rate[:, None] * 6.28 + phase[:, None]).astype(np.float32)
        radius = style.curl * np.clip(arc / 0.6, 0, 1)
        strands = strands + across * (radius * np.cos(angle))[..., None]
        strands += np.cross(along, across) * (radius * np.sin(angle))[..., None]
    wander = np.cumsum(rng.standard_normal(strands.shape, np.float32), 1)
    wander /= np.sqrt(np.arange(1, points + 1, dtype=np.float32))[None, :, None]
    loose = np.where(rng.random(count) < 0.03, 4.0, 1.0).astype(np.float32)[:, None]  # a few that fly away
    return np.asarray(strands + wander * (style.frizz * loose * np.clip(arc / 0.5, 0, 1))[..., None])


def _trimmed(
    head: Head, style: Style, strands: npt.NDArray[np.float32], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Scissors: nothing below the cut, below the fringe, or before the face."""
    height, angle = head.height(strands), np.abs(head.angle(strands))
    even = rng.normal(0, 0.02, len(strands))[:, None]
    keep = np.interp(height, _FACE_HEIGHTS, _FACE_ANGLES)
    front = strands[..., 2] > head.axis
    fringe = 0.5 if style.fringe is None else style.fringe
    bad = front & (angle < keep - 9) & (height < fringe + even + 0.1 * np.clip(angle / 50, 0, 1) ** 2)
    if style.cut is not None:
        bad |= height < style.cut + even
    bad[:, 0] = False
    first = np.where(bad.any(1), bad.argmax(1), strands.shape[1])
    strands, first = strands[first > 1], first[first > 1]
    rows = np.flatnonzero(first < strands.shape[1])
    # The rest of a strand stays where it was cut: nothing is drawn of it.
    step = np.minimum(np.arange(strands.shape[1]), first[rows, None] - 1)
    strands[rows] = strands[rows[:, None], step]
    return strands


def _bun(head: Head, style: Style, rng: np.random.Generator, count: int = 2500) -> npt.NDArray[np.float32]:
    """Strands wound about the place where hair is gathered, flattened against the head."""
    place = head.place(*(style.gather or (0, 0, 0)))
    outward = unit(place - head.place(0.0, 0.35, 0.45))
    side = unit(np.cross(outward, (1.0, 0.1, 0.0)))
    other = np.cross(outward, side)
    spin = unit(outward + 0.35 * rng.normal(size=(count, 3)))
    start = unit(np.cross(spin, rng.normal(size=(count, 3))))
    turn = np.linspace(-1.1, 1.1, style.points)[None, :, None]
    ball = start[:, None] * np.cos(turn) + np.cross(spin, start)[:, None] * np.sin(turn)
    lift = np.clip(rng.normal(0, 0.55, (count, 1, 1)), -0.95, 0.95)
    ball = ball * np.sqrt(1 - lift**2) + spin[:, None] * lift
    ball *= style.bun * (1 + 0.05 * rng.normal(size=(count, 1, 1)))
    flat = (ball @ outward)[..., None] * outward
    ball = ball - 0.25 * flat + 0.02 * ((ball @ side)[..., None] * side - (ball @ other)[..., None] * other)
    return (place + outward * style.bun * 0.65 + ball).astype(np.float32)


def _tail(head: Head, style: Style, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Hair that falls from where it is gathered."""
    place = head.place(*(style.gather or (0, 0, 0)))
    outward = unit(place - head.place(0.0, 0.35, 0.45))
    count, guides = 3000, 40
    roots = place + 0.08 * rng.normal(size=(guides, 3))
    falling = replace(style, gather=None, comb=None, clump=0.6, volume=0.15, curl=0.05, curl_rate=0.6)
    start = _Guides(
        roots, unit(np.tile(outward, (guides, 1)) + 0.25 * rng.normal(size=(guides, 3))),
        style.tail * rng.uniform(0.8, 1.1, guides), np.ones(guides), 0.1 * rng.normal(size=(guides, 3)), np.ones(guides),
        np.zeros(guides, bool),
    )  # fmt: skip
    paths = _fallen(head, replace(falling, hang=2.0), start).astype(np.float32)
    roots_all = place + 0.09 * rng.normal(size=(count, 3))
    strands, leader = _follow(falling, start, paths, roots_all, np.zeros((count, 3)))
    return _curled(_shortened(strands, 1 - 0.35 * rng.random(count) ** 2), falling, leader, rng)
