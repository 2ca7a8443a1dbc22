"""The skeleton in the mesh: where its joints are, and how the mesh follows turned bones (linear blend skinning)."""

from __future__ import annotations

import json
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import assets
from .mesh import Vertices, base

Matrix = npt.NDArray[np.float64]


# Only these bones are ever turned; what hangs on any other follows the nearest of them above it.
TURNED = (
    "root", "clavicle.L", "clavicle.R", "upperarm01.L", "upperarm01.R", "neck01", "neck02", "head", "eye.L", "eye.R",
)  # fmt: skip


class Rig(NamedTuple):
    """`bones` are TURNED, parents first, and `parents` theirs; `weights` (N, bones) sum to 1 for every vertex."""

    bones: tuple[str, ...]
    parents: dict[str, str | None]
    heads: dict[str, str]
    joints: dict[str, list[int]]
    weights: Matrix


@cache
def rig() -> Rig:
    folder = assets.source("mh") / "rigs"
    skeleton = json.loads((folder / "default.mhskel").read_text())
    table = json.loads((folder / "default_weights.mhw").read_text())["weights"]
    above = {name: bone["parent"] for name, bone in skeleton["bones"].items()}

    def nearest(bone: str | None) -> str | None:
        return bone if bone is None or bone in TURNED else nearest(above[bone])

    weights = np.zeros((len(base().vertices), len(TURNED)))
    for name, entries in table.items():
        if name in above:
            for vertex, weight in entries:
                if vertex < len(weights):
                    weights[vertex, TURNED.index(nearest(name) or "root")] += weight
    weights[weights.sum(1) < 1e-6, TURNED.index("root")] = 1
    weights /= weights.sum(1, keepdims=True)
    heads = {name: skeleton["bones"][name]["head"] for name in TURNED}
    return Rig(TURNED, {name: nearest(above[name]) for name in TURNED}, heads, skeleton["joints"], weights)


def joint(vertices: Vertices, name: str) -> Vertices:
    """Where a joint is, (3,): "eye.L____head", "jaw____head", ..."""
    return np.asarray(vertices[rig().joints[name]].mean(0))


def eyes(vertices: Vertices) -> tuple[Vertices, Vertices]:
    """Centres of the person's left and right eyeball, each (3,)."""
    return joint(vertices, "eye.L____head"), joint(vertices, "eye.R____head")


def rotation(axis: tuple[float, float, float], degrees: float) -> Matrix:
    """Rotation (3, 3) about an axis (Rodrigues' formula)."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def pose(vertices: Vertices, rotations: dict[str, Matrix]) -> Matrix:
    """The bones' transforms (bones, 4, 4); each rotation (in the model's axes) is about its bone's head."""
    skeleton = rig()
    transforms: dict[str, Matrix] = {}
    for bone in skeleton.bones:
        local = np.eye(4)
        if bone in rotations:
            head = joint(vertices, skeleton.heads[bone])
            local[:3, :3] = rotations[bone]
            local[:3, 3] = head - rotations[bone] @ head
        parent = skeleton.parents[bone]
        transforms[bone] = transforms[parent] @ local if parent else local
    return np.stack([transforms[bone] for bone in skeleton.bones])


def skin(vertices: Vertices, weights: Matrix, transforms: Matrix) -> Vertices:
    """Vertices (N, 3) carried along by the bones' transforms."""
    blended = (weights @ transforms.reshape(len(transforms), 16)).reshape(-1, 4, 4)
    return np.asarray(np.einsum("nij,nj->ni", blended[:, :3, :3], vertices) + blended[:, :3, 3])
