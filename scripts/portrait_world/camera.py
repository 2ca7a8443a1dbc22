"""A pinhole camera, which studio portraits and selfies are taken with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .mesh import Vertices, unit


@dataclass(frozen=True)
class Camera:
    """At `place` (3,), looking along `forward`; `focal`, and a decimetre where the person is, in pixels of a square `size`."""

    place: Vertices
    right: Vertices
    up: Vertices
    forward: Vertices
    focal: float
    per_dm: float
    size: int

    @classmethod
    def look(cls, eyes: Vertices, view: dict[str, Any], size: int) -> Camera:
        """Before a person whose eyes' middle is at `eyes`.

        view: `distance` (dm) and `width` (dm at that distance) of the picture, `aim` and `shift`: right and up of the
        eyes (dm), where the picture's middle is and where the camera stands beside it; `roll` in degrees.
        """
        target = eyes + np.array([view["aim"][0], view["aim"][1], -0.5])
        place = target + np.array([view["shift"][0], view["shift"][1], view["distance"]])
        forward = unit(target - place)
        right = unit(np.cross(forward, (0, 1, 0)))
        up, turn = np.cross(right, forward), np.radians(view["roll"])
        right, up = right * np.cos(turn) + up * np.sin(turn), up * np.cos(turn) - right * np.sin(turn)
        per_dm = size / view["width"]
        return cls(place, right, up, forward, view["distance"] * per_dm, per_dm, size)

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """(3, 4): from the world to right, down and away from the camera."""
        turn = np.stack([self.right, -self.up, self.forward])
        return np.hstack([turn, -(turn @ self.place)[:, None]])

    def project(self, points: Vertices) -> Vertices:
        """Columns, rows (pixels) and distances of points (N, 3)."""
        seen = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        depth = np.maximum(seen[:, 2:], 1e-3)
        return np.hstack([seen[:, :2] * self.focal / depth + self.size / 2, seen[:, 2:]])
