"""One picture: a person in a scene, as a camera would record it, with what is true of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from . import figure, light, looks, rig
from .camera import Camera
from .geometry import LAYERS, Geometry, build
from .illuminate import Lit, illuminate
from .materials import Material, hair_colours, materials
from .mesh import Vertices, unit
from .person import Person
from .scenes import Scene
from .visible import Hair, Surface, look

Pixels = npt.NDArray[np.uint8]
Field = npt.NDArray[np.floating]

PARTS = ("background", "skin", "eye", "teeth", "cloth", "frame", "hair")
"""What the numbers of a mask mean."""
_SCATTER = (0.028, 0.011, 0.006)  # how far light spreads in skin, by channel, in decimetres


@dataclass(frozen=True)
class Picture:
    """rgb: uint8 (n, n, 3). landmarks: (column, row) in pixels; left and right are the person's own. mask: PARTS, (n, n)."""

    rgb: Pixels
    landmarks: dict[str, tuple[float, float]]
    mask: Pixels


def render(person: Person, scene: Scene, size: int = 256, supersample: int = 1) -> Picture:
    """Draw a person in a scene; the same arguments give the same picture."""
    rng = np.random.default_rng([scene.seed, person.who.seed])
    moving = figure.express(person.rest, person.who, scene.face)
    bones = figure.transforms(moving, scene.pose)
    seen = build(person, scene.outfit, moving, bones)
    eyes = _posed(np.stack(rig.eyes(moving)), seen.head)
    camera = Camera.look(eyes.mean(0), scene.view, size * supersample)
    surface, hair = look(seen, person.strands, camera)
    stuff = materials(person, scene.outfit, seen, surface)
    setup = light.draw(rng, scene.setup, scene.side)
    lights = light.samples(setup, rng)
    centre = eyes.mean(0) + np.array([0, -1, -0.6])
    lit = illuminate(seen, person.strands, surface, hair, centre, stuff, lights, camera.size)
    colour = _reflected(seen, surface, stuff, lit, setup, camera)
    strands = hair_colours(person, hair.strand)
    strands = strands * lit.hair + 0.035 * lit.hair_off + strands**0.6 * 0.22 * lit.hair_through
    gain = exposure(lit.diffuse, stuff.face, person.tone) * 2.0**scene.stops
    behind = looks.background(rng, scene.background, size).astype(np.float32)
    image = np.asarray(cv2.resize(behind, (camera.size, camera.size)), np.float32)
    image[surface.rows, surface.columns] = colour * gain
    image[hair.rows, hair.columns] = strands * gain
    rgb = _record(image, rng, scene, size)
    landmarks = _landmarks(person, seen, eyes, camera, supersample)
    return Picture(rgb, landmarks, _mask(seen, surface, hair, camera.size)[::supersample, ::supersample])


def exposure(irradiance: Field, face: Field, tone: Field) -> float:
    """The gain at which a face is well exposed, by the light that falls on it (N, 3), as a hand-held meter measures.

    What falls on a face, not what comes back from it, so that no skin is lightened; like a photographer's eye, it gives
    dark skin a little more light (the power of 0.25) and keeps the order and most of the distance of the tones.
    """
    weight = face.clip(0, 1)
    if weight.sum() < 20:
        weight = np.ones(len(irradiance))
    light_there = irradiance @ np.array([0.25, 0.62, 0.13])
    # A mean between the average and the brightest part: faces lit from one side keep their shadows.
    average = float((light_there * weight).sum() / weight.sum())
    bright = float(np.quantile(light_there[weight > 0.5], 0.85)) if (weight > 0.5).sum() > 20 else average
    return 0.98 / max(0.6 * average + 0.4 * bright, 1e-3) * float((0.28 / tone.mean()) ** 0.25)


def tone_map(linear: Field) -> Field:
    """Linear light to sRGB in [0, 1]: true up to the middle, then a shoulder that keeps a colour's hue half-way."""

    def shoulder(x: Field) -> Field:
        start = 0.5
        return np.where(x <= start, x, start + (1 - start) * (1 - np.exp(-(x - start) / (1 - start))))

    x = np.maximum(linear, 0)
    luma = (x @ np.array([0.25, 0.62, 0.13], x.dtype))[..., None]
    y = 0.6 * shoulder(x) + 0.4 * x * (shoulder(luma) / np.maximum(luma, 1e-5))
    y = np.clip(y, 0, 1)
    return np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055)


def _posed(points: Vertices, head: rig.Matrix) -> Vertices:
    return np.asarray(points @ head[:3, :3].T + head[:3, 3])


def _reflected(
    seen: Geometry, surface: Surface, stuff: Material, lit: Lit, setup: light.Light, camera: Camera
) -> Field:
    """Light from surfaces to the camera (N, 3): scattered (in skin, spread a little), glossed and mirrored."""
    diffuse, gloss = lit.diffuse, lit.gloss
    skin, eye = (surface.part == seen.names.index(name) for name in ("skin", "eye"))
    inside = np.zeros((camera.size, camera.size), np.float32)
    inside[surface.rows, surface.columns] = skin
    for channel, spread in enumerate(_SCATTER):
        sigma, field = max(0.3, spread * camera.per_dm), np.zeros_like(inside)
        field[surface.rows, surface.columns] = diffuse[:, channel] * skin
        spread_out = cv2.GaussianBlur(field, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-3)
        diffuse[skin, channel] = spread_out[surface.rows, surface.columns][skin]
    if eye.any():
        normal, view = surface.normal[eye], surface.view[eye]
        gloss[eye] = setup.mirrored(_mirror(normal, view), 0.5) * _fresnel(normal, view)
    colour = stuff.albedo * diffuse * 0.95 + gloss
    lens = surface.layers[:, LAYERS.index("lens")] > 0.5
    if lens.any():
        glass = next(layer for layer in seen.layers if layer.name == "lens")
        corner = glass.vertices[glass.corners]
        normals = unit(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]))
        normal, view = normals[surface.layer_owner[lens, LAYERS.index("lens")]], surface.view[lens]
        normal = np.where((normal * view).sum(1, keepdims=True) < 0, -normal, normal)
        colour[lens] = colour[lens] * 0.93 + setup.mirrored(_mirror(normal, view), 0.2) * _fresnel(normal, view)
    return np.asarray(colour)


def _mirror(normal: Field, view: Field) -> Field:
    return np.asarray(2 * (normal * view).sum(1, keepdims=True) * normal - view)


def _fresnel(normal: Field, view: Field) -> Field:
    """Schlick's approximation for glass and the eye's water."""
    return np.asarray(0.04 + 0.96 * (1 - (normal * view).sum(1, keepdims=True).clip(0, 1)) ** 5)


def _record(image: Field, rng: np.random.Generator, scene: Scene, size: int) -> Pixels:
    """What the sensor makes of it: a telephone's is softer, noisier and less sure of white than a studio's."""
    picture = cv2.resize(tone_map(image).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    if scene.kind == "selfie":
        picture = cv2.GaussianBlur(picture, (0, 0), 0.45) * (1 + rng.normal(0, 0.015, 3))
    picture = picture + rng.normal(0, 0.010 if scene.kind == "selfie" else 0.004, picture.shape)
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _landmarks(
    person: Person, seen: Geometry, eyes: Vertices, camera: Camera, supersample: int
) -> dict[str, tuple[float, float]]:
    points = {"eye_left": eyes[0], "eye_right": eyes[1]}
    points |= {name: seen.vertices[vertex] for name, vertex in person.landmark_vertices.items()}
    found = camera.project(np.stack(list(points.values())))[:, :2] / supersample
    return {name: (float(x), float(y)) for name, (x, y) in zip(points, found, strict=True)}


def _mask(seen: Geometry, surface: Surface, hair: Hair, size: int) -> Pixels:
    mask = np.zeros((size, size), np.uint8)
    numbers = np.array([PARTS.index(name) for name in seen.names], np.uint8)
    mask[surface.rows, surface.columns] = numbers[surface.part]
    mask[hair.rows, hair.columns] = PARTS.index("hair")
    return mask
