"""How much light falls on what a camera sees, light by light."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import shade
from .geometry import Geometry
from .light import Vector
from .mesh import unit
from .person import Strands
from .visible import Hair, Surface

Field = npt.NDArray[np.float32]
SHADOW_MAP, SHADOW_WIDTH = 160, 6.2  # side in cells, and in decimetres about the head
WRAP = np.array([0.32, 0.13, 0.07], np.float32)  # of light in skin, by channel


class Lit(NamedTuple):
    """Light that is scattered and glossed by surfaces, and by hair scattered, glossed off and through; each (N, 3)."""

    diffuse: Field
    gloss: Field
    hair: Field
    hair_off: Field
    hair_through: Field


def illuminate(
    geometry: Geometry, strands: list[Strands], surface: Surface, hair: Hair, centre: Vector, rough: Field,
    facing: Field, lights: tuple[Vector, Vector],
) -> Lit:  # fmt: skip
    """centre: of the head, about which shadows are kept. lights: directions (L, 3) and their irradiances (L, 3)."""
    names = geometry.names
    points = (geometry.vertices - centre).astype(np.float32)
    casts = (np.array([name != "eye" for name in names])[geometry.part]) & (
        points[geometry.corners][:, :, 1].max(1) > -2.5
    )
    used, corners = np.unique(geometry.corners[casts], return_inverse=True)
    points, corners = np.ascontiguousarray(points[used]), np.ascontiguousarray(corners.reshape(-1, 3))
    wrap = np.where((surface.part == names.index("skin"))[:, None], WRAP, np.float32(0))
    at, hair_at = (np.ascontiguousarray(x.at - centre.astype(np.float32), np.float32) for x in (surface, hair))
    lit = Lit(*(np.zeros((len(part.rows), 3), np.float32) for part in (surface, surface, hair, hair, hair)))
    head = np.vstack([geometry.head[:3], [0, 0, 0, 1]])
    head[:3, 3] -= centre
    scale = np.float32(SHADOW_MAP / SHADOW_WIDTH)
    for direction, radiance in zip(*(part.astype(np.float32) for part in lights), strict=True):
        right = unit(np.cross(direction, (0.31, 0.9, 0.22)))
        frame = np.stack([right, np.cross(direction, right), -direction]).astype(np.float32)
        maps = np.full((3, SHADOW_MAP, SHADOW_MAP), shade.FAR, np.float32)
        maps[2] = 0
        shade.solid_shadow(points, corners, frame, scale, maps[0])
        for one in strands:
            shade.hair_shadow(one.casting, (frame @ head[:3]).astype(np.float32), scale, one.weight, maps[1], maps[2])
        shade.light_surface(
            at, surface.normal, surface.view, wrap, rough, facing, frame, scale, direction, radiance, maps,
            lit.diffuse, lit.gloss,
        )  # fmt: skip
        if len(hair.rows):
            shade.light_hair(
                hair_at, hair.tangent, hair.view, frame, scale, direction, radiance, maps, lit.hair, lit.hair_off,
                lit.hair_through,
            )  # fmt: skip
    return lit
