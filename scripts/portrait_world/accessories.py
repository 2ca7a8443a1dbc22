"""Beards and glasses, fitted to a face by its landmarks (decimetres, see mesh.py)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from . import mesh, regions, rig
from .mesh import Vertices, scatter, unit

Field = npt.NDArray[np.float64]
Shape = tuple[Vertices, list[list[int]]]

FRAMES = {
    "black": (0.012, 0.012, 0.014), "tort": (0.09, 0.035, 0.012), "wire": (0.5, 0.45, 0.38), "blue": (0.03, 0.05, 0.16),
    "red": (0.22, 0.02, 0.03),
}  # fmt: skip
"""Materials of frames: their colour in linear light."""
_BEARDS = {2: (6000, 0.09), 3: (8000, 0.20)}  # how many hairs, and how long


def beard_area(vertices: Vertices) -> Field:
    """How far each vertex is inside the area where a beard grows, 0 to 1 (N,)."""
    lips = vertices[regions.lips()]
    mouth, width = lips.mean(0), np.abs(lips[:, 0]).max()
    drop = np.mean(rig.eyes(vertices), 0)[1] - mouth[1]
    across, height = np.abs(vertices[:, 0]) / width, (vertices[:, 1] - mouth[1]) / drop
    front = vertices[:, 2] - rig.joint(vertices, "jaw____head")[2]
    top = np.where(across < 1.25, 0.30, 0.30 + (across - 1.25) * 0.30)  # from the moustache up to the sideburns
    inside = 1 / (1 + np.exp((height - top) * 18)) / (1 + np.exp(-(height + 1.05) * 14))
    inside /= 1 + np.exp(-(front + 0.15) * 12)
    inside *= np.clip((cKDTree(lips).query(vertices)[0] - 0.03) / 0.06, 0, 1)
    inside[mesh.BODY :] = 0
    return np.asarray(inside)


def beard(vertices: Vertices, kind: int, rng: np.random.Generator) -> Field:
    """The hairs of a short (2) or full (3) beard, (S, 5, 3)."""
    count, long = _BEARDS[kind]
    roots, normals = scatter(vertices, regions.body_triangles(), count, rng, beard_area(vertices) ** 1.5 + 1e-6)
    heading = unit(normals * 0.8 + (0, -1.1, 0.15) + 0.35 * rng.normal(size=normals.shape))
    along = np.linspace(0, 1, 5)[None, :, None]
    length = long * (0.6 + 0.6 * rng.random((count, 1, 1)))
    bend = (0, -0.35, 0) * along**2 + 0.125 * rng.normal(size=(count, 1, 3)) * along
    return np.asarray(roots[:, None] + (heading[:, None] * along + bend) * length)


def glasses(vertices: Vertices, kind: str, material: str) -> tuple[Shape, Shape]:
    """The frame, and the two lenses, of round or rectangular glasses."""
    left, right = rig.eyes(vertices)
    middle, half = (left + right) / 2, abs(left[0] - right[0]) / 2
    skin = vertices[: mesh.BODY]
    near = (np.abs(skin[:, 0]) < half * 1.6) & (np.abs(skin[:, 1] - middle[1]) < 0.18)
    front = np.quantile(skin[near, 2], 0.80) + 0.06
    round_ones = kind == "round"
    wide, high = (half * 0.64, half * 0.64) if round_ones else (half * 0.72, half * 0.48)
    power = 1.0 if round_ones else 2 / 3.4  # of a superellipse
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rim_x, rim_y = (np.sign(part) * np.abs(part) ** power for part in (np.cos(turn), np.sin(turn)))
    wire = (0.009, 0.009) if material == "wire" else (0.017, 0.024)
    frame: list[Shape] = []
    lenses: list[Shape] = []
    for side, eye, ear in zip((1, -1), (left, right), regions.ears(), strict=True):
        x, y = middle[0] + side * half * 1.03, eye[1] - 0.03
        wrap = -0.035 * ((rim_x * wide * side + half) / half) ** 2
        rim = np.stack([x + rim_x * wide, y + rim_y * high, front + wrap], 1)
        frame.append(tube(rim, wire))
        lenses.append((np.vstack([rim, [[x, y, front - 0.03]]]), [[i, (i + 1) % 40, 40] for i in range(40)]))
        frame.append(
            tube(_temple(np.array([x + side * wide, y + high * 0.35, front - 0.06]), vertices[ear]), wire, False)
        )
    along = np.linspace(-1, 1, 9)
    gap = half * 1.03 - wide
    bridge = np.stack([middle[0] + along * gap, middle[1] + 0.03 + 0.05 * (1 - along**2), np.full(9, front)], 1)
    return joined([*frame, tube(bridge, wire, False)]), joined(lenses)


def _temple(start: Field, ear: Vertices) -> Field:
    """From the rim to behind the ear."""
    at = ear.mean(0)
    end = np.array([np.sign(at[0]) * (abs(at[0]) + 0.01), at[1] + 0.28, at[2] + 0.12])
    part = np.linspace(0, 1, 12)[:, None]
    return np.vstack([start * (1 - part) + end * part, [end + (0, -0.18, -0.28)]])


def tube(path: Field, radii: tuple[float, float], closed: bool = True, sides: int = 8) -> Shape:
    """An elliptic tube along a path (N, 3)."""
    count = len(path)
    along = unit(np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0))
    across = unit(np.cross(along, (0, 0, 1)))
    other, turn = np.cross(along, across), np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :, None]
    points = path[:, None] + radii[0] * np.cos(turn) * across[:, None] + radii[1] * np.sin(turn) * other[:, None]
    faces = [
        [
            i * sides + q,
            i * sides + (q + 1) % sides,
            (i + 1) % count * sides + (q + 1) % sides,
            (i + 1) % count * sides + q,
        ]
        for i in range(count if closed else count - 1)
        for q in range(sides)
    ]
    return points.reshape(-1, 3), faces


def joined(shapes: list[Shape]) -> Shape:
    starts = np.cumsum([0, *(len(points) for points, _ in shapes)]).tolist()
    faces = [[v + start for v in face] for (_, some), start in zip(shapes, starts, strict=False) for face in some]
    return np.vstack([points for points, _ in shapes]), faces
