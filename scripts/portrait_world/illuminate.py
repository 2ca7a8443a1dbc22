"""How much light falls on what a camera sees, light by light."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import shade
from .geometry import Geometry
from .light import Vector
from .materials import Material
from .mesh import unit
from .person import Strands
from .visible import Hair, Surface

Field = npt.NDArray[np.floating]
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
    geometry: Geometry, strands: list[Strands], surface: Surface, hair: Hair, centre: Vector, material: Material,
    lights: tuple[Vector, Vector], size: int,
) -> Lit:  # fmt: skip
    """centre: of the head, about which shadows are kept. lights: directions (L, 3) and their irradiances (L, 3)."""
    centre = centre.astype(np.float32)
    points, corners = _casting(geometry, centre)
    some, shared = share(surface.rows, surface.columns, surface.part, size)
    some_hair, shared_hair = share(hair.rows, hair.columns, np.zeros(len(hair.rows), np.int64), size)
    wrap = np.where((surface.part[some] == geometry.names.index("skin"))[:, None], WRAP, np.float32(0))
    at, normal, view = surface.at[some] - centre, material.normal[some], surface.view[some]
    rough, facing = material.rough[some], material.facing[some]
    hair_at, tangent, hair_view = hair.at[some_hair] - centre, hair.tangent[some_hair], hair.view[some_hair]
    diffuse, gloss = (np.zeros((len(some), 3), np.float32) for _ in range(2))
    scattered, off, through = (np.zeros((len(some_hair), 3), np.float32) for _ in range(3))
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
        sent = frame, scale, direction, radiance, maps
        shade.light_surface(at, normal, view, wrap, rough, facing, *sent, diffuse, gloss)
        if len(some_hair):
            shade.light_hair(hair_at, tangent, hair_view, *sent, scattered, off, through)
    return Lit(diffuse[shared], gloss[shared], scattered[shared_hair], off[shared_hair], through[shared_hair])


def _casting(geometry: Geometry, centre: Field) -> tuple[Field, npt.NDArray[np.int64]]:
    """Vertices about the centre, and triangles, of what casts shadows on a face: all from the chest up but the eyes."""
    heights = (geometry.vertices[:, 1] - centre[1])[geometry.corners].max(1)
    casts = np.array([name != "eye" for name in geometry.names])[geometry.part] & (heights > -2.5)
    used, corners = np.unique(geometry.corners[casts], return_inverse=True)
    return (geometry.vertices[used] - centre).astype(np.float32), np.ascontiguousarray(corners.reshape(-1, 3))


def share(
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], part: npt.NDArray[np.int64], size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which pixels to light, and for every pixel which of those gives its light.

    Of two pixels side by side that show one part one is lit for both, now the left and now the right: light changes
    slower than colour, and lighting is the larger part of the work.
    """
    number = np.full((size, size), -1, np.int64)
    number[rows, columns] = np.arange(len(rows))
    partner = number[rows, np.minimum(columns ^ 1, size - 1)]
    spared = (partner >= 0) & (part[partner] == part) & ((rows + columns) % 2 == 1)
    lit = np.flatnonzero(~spared)
    place = np.full(len(rows), -1, np.int64)
    place[lit] = np.arange(len(lit))
    return lit, np.where(spared, place[partner], place)
