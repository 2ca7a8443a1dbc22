"""The head as hair sees it: the surface that it lies on, its measures, its hairline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from . import mesh, regions, rig
from .mesh import Vertices, unit
from .styles import Style

Field = npt.NDArray[np.floating]

# The hairline: angles about the head from the front (degrees), and its height there from the eyes (0) to the top (1).
_ANGLES = np.array([0, 22, 38, 48, 56, 64, 72, 80, 90, 100, 125, 150, 180], float)
_LINE = np.array([0.62, 0.63, 0.60, 0.50, 0.34, 0.08, -0.18, -0.05, 0.10, -0.05, -0.42, -0.58, -0.62])
_RECEDES = np.interp(_ANGLES, (0, 30, 55, 70), (0.22, 0.5, 0.30, 0.0))


@dataclass(frozen=True)
class Head:
    """The surface that hair lies on, and the measures by which styles are laid out."""

    vertices: Vertices
    ears: bool = True

    @cached_property
    def eyes(self) -> Vertices:
        return np.asarray(np.mean(rig.eyes(self.vertices), 0))

    @cached_property
    def size(self) -> float:
        """From the eyes to the top."""
        return float(self.vertices[: mesh.BODY, 1].max() - self.eyes[1])

    @cached_property
    def axis(self) -> float:
        """z of the vertical axis that angles are measured about."""
        return float(0.35 * self.eyes[2])

    @cached_property
    def scalp(self) -> Vertices:
        return self.vertices[np.unique(regions.scalp_triangles())]

    @cached_property
    def half_width(self) -> float:
        high = self.scalp[self.scalp[:, 1] > self.eyes[1] + 0.4 * self.size]
        return float(np.abs(high[:, 0]).max())

    @cached_property
    def surface(self) -> tuple[Vertices, Vertices, cKDTree]:
        """Points of the skin from the chest up, their normals, and a tree of them."""
        used = np.flatnonzero(self.vertices[: mesh.BODY, 1] > self.eyes[1] - 4.5)
        used = used if self.ears else np.setdiff1d(used, np.concatenate(regions.ears()))
        points = self.vertices[used]
        return points, mesh.normals(self.vertices, regions.body_triangles())[used], cKDTree(points)

    def above_skin(self, points: Field) -> tuple[Field, Field]:
        """How far points (N, 3) lie off the skin (N,), and its normal there (N, 3)."""
        surface, normals, tree = self.surface
        distance, near = tree.query(points, k=3)
        share = 1 / (distance + 0.02)
        share /= share.sum(1, keepdims=True)
        off = np.einsum("nki,nki->nk", points[:, None] - surface[near], normals[near])
        return (off * share).sum(1), np.asarray(unit((normals[near] * share[..., None]).sum(1)))

    def height(self, points: Field) -> Field:
        """0 at the eyes, 1 at the top."""
        return np.asarray((points[..., 1] - self.eyes[1]) / self.size)

    def angle(self, points: Field) -> Field:
        """Degrees about the head from the front, positive to the person's left."""
        return np.asarray(np.degrees(np.arctan2(points[..., 0], points[..., 2] - self.axis)))

    def place(self, across: float, height: float, depth: float) -> Vertices:
        back, front = self.scalp[:, 2].min(), self.scalp[:, 2].max()
        return np.array([across, self.eyes[1] + height * self.size, back + depth * (front - back)])

    def inside(self, points: Field, style: Style) -> Field:
        """How far points are inside the hairline, 0 to 1."""
        angle = self.angle(points)
        line = np.interp(np.abs(angle), _ANGLES, _LINE + style.recede * _RECEDES)
        line = line + 0.012 * np.sin(angle * 0.21) + 0.008 * np.sin(angle * 0.53 + 1)
        return np.asarray(1 / (1 + np.exp((line - self.height(points)) / 0.03)))


def hairline(vertices: Vertices, style: Style) -> Field:
    """How far each vertex is inside the hairline, 0 to 1 (N,): there hair's roots show through the skin."""
    inside = Head(vertices).inside(vertices, style)
    inside[np.concatenate(regions.ears())] = 0
    inside[mesh.BODY :] = 0
    return inside
