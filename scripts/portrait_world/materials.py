"""What surfaces and hair are made of: their colour in linear light, and how they gloss."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import assets, fabric, geometry, raster
from .geometry import Geometry
from .mesh import unit
from .person import GREY, Person
from .skin import Skin
from .visible import Surface, mix
from .wardrobe import Outfit

Field = npt.NDArray[np.floating]


class Material(NamedTuple):
    """albedo (N, 3); rough and facing (gloss face on) (N,); normal (N, 3) with the relief; face (N,), 0 to 1."""

    albedo: Field
    rough: npt.NDArray[np.float32]
    facing: npt.NDArray[np.float32]
    normal: npt.NDArray[np.float32]
    face: Field


# Roughness and gloss face on of each part.
GLOSS = {
    "skin": (0.44, 0.028), "eye": (0.08, 0.04), "teeth": (0.25, 0.03), "cloth": (0.8, 0.02), "frame": (0.25, 0.05),
}  # fmt: skip


def materials(person: Person, outfit: Outfit, seen: Geometry, surface: Surface) -> Material:
    count = len(surface.rows)
    albedo, face = np.zeros((count, 3)), np.zeros(count)
    rough, facing = np.full(count, 0.5, np.float32), np.full(count, 0.03, np.float32)
    normal = surface.normal.copy()
    for number, part in enumerate(seen.parts):
        here = surface.part == number
        if not here.any():
            continue
        rough[here], facing[here] = GLOSS[part.name]
        uv = np.ascontiguousarray(surface.uv[here])
        if part.name == "skin":
            fields = mix(person.skin_fields, surface.corners[here], surface.weights[here])
            skin = Skin(person.who, person.tone, person.roots_colour, uv, fields)
            albedo[here], rough[here], face[here] = skin.albedo, skin.rough, skin.face
            normal[here] = unit(normal[here] + skin.relief)
        elif part.name == "eye":
            albedo[here] = _textured(geometry.eye_texture(person.who.eyes), 512, uv) ** 1.45 * 0.75
        elif part.name == "teeth":
            path = assets.source("bright") / "teeth/materials/teeth.png"
            albedo[here] = np.clip(_textured(path, 256, uv) * np.array([1.2, 1.1, 0.97]), 0, 0.78)
        elif part.name == "cloth":
            albedo[here] = fabric.albedo(outfit, uv)
        else:
            albedo[here] = part.colour
    # Brows stay darker than hair where that is grey or fair.
    grey = person.who.grey / 2
    brows, lashes = person.hair_colour**1.1 * (1 - grey) + GREY * 0.35 * grey, np.full(3, 0.006)
    thin = 0.55 if person.who.sex_presentation == "female" else 0.4
    for opacity, colour in ((surface.layers[:, :1] ** 0.7, brows), (surface.layers[:, 1:2] * thin, lashes)):
        albedo = albedo * (1 - opacity) + colour * opacity
    return Material(np.clip(albedo, 0, 0.92), rough, facing, normal, face)


def hair_colours(person: Person, strand: npt.NDArray[np.int64]) -> Field:
    """Of every pixel of hair, by its strand: locks (strands of near numbers grow side by side) differ in how dark and how
    grey they are, and strands a little."""
    grey = person.who.grey
    lock, single = ((number * 2654435761 % 1000 / 1000)[:, None] for number in (strand // 24, strand))
    shade = 0.82 + 0.26 * lock + 0.14 * single
    turned = (strand // 24 * 40503 % 997 / 997)[:, None] + 0.5 * single - 0.75
    part = np.clip(grey + (0.4 * turned if 0 < grey < 1 else 0), 0, 1)
    return np.asarray((GREY * part + person.hair_colour * (1 - part)) * shade)


def _textured(path: Any, size: int, uv: npt.NDArray[np.float32]) -> Field:
    values = np.empty((len(uv), 4), np.float32)
    raster.bilinear(geometry.texture(path, size), uv, values)
    return values[:, :3]
