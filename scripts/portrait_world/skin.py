"""Procedural skin: its colour, its fine relief and its lines, at the points of a picture.

`place` is a point's place on the face at rest: x and z in half the eyes' distance, y in the distance from eyes to mouth,
from between the eyes.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from . import assets, mesh, raster, regions, rig
from .identity import TONES, Identity
from .mesh import Vertices

Field = npt.NDArray[np.floating]

# Ten tones from light to dark, sRGB: as a well exposed photograph shows them.
_SRGB = (
    (226, 186, 164), (219, 175, 149), (211, 164, 134), (200, 150, 117), (190, 140, 104), (165, 115, 80), (144, 98, 68),
    (120, 78, 54), (98, 64, 46), (78, 51, 39),
)  # fmt: skip
_MAP = 1024  # side of the maps over the skin's texture, in pixels


def linear(srgb: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """sRGB in [0, 1] as linear light (IEC 61966-2-1)."""
    value = np.asarray(srgb, np.float64)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def tone(who: Identity) -> npt.NDArray[np.float64]:
    """The skin's own colour, linear (3,)."""
    assert len(_SRGB) == TONES
    tinge = np.array([1.0, 1 - 0.02 * who.undertone, 1 + 0.015 * who.undertone])
    return linear(np.array(_SRGB[who.skin_tone]) / 255) * tinge


@cache
def _maps() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Masks (lips, eyelids, ears, face) and noise (blotches of two sizes, grain, and three of relief), each (H, W, C)."""
    masks = []
    for name, blur in (("lips", 1.6), ("eyelids", 3), ("ears", 6), ("face", 4)):
        picture = Image.open(assets.source("mpfb") / f"textures/mpfb_{name}.jpg").convert("L").resize((_MAP, _MAP))
        masks.append(cv2.GaussianBlur(np.asarray(picture, np.float32) / 255, (0, 0), blur))
    rng, noise = np.random.default_rng(0), []
    for blur in (6.0, 22.0, 1.3, 1.8, 1.8, 1.8):
        wave = cv2.GaussianBlur(rng.normal(size=(_MAP, _MAP)).astype(np.float32), (0, 0), blur)
        noise.append(wave / wave.std())
    return np.stack(masks, -1), np.stack(noise, -1).astype(np.float32)


def blush(vertices: Vertices) -> Field:
    """How red the skin is by blood near it, of every vertex: the tip of the nose and the cheeks."""
    left, right = rig.eyes(vertices)
    eyes, half = (left + right) / 2, abs(left[0] - right[0]) / 2
    mouth = vertices[regions.lips()].mean(0)
    drop = eyes[1] - mouth[1]
    near = np.abs(vertices[:, 0]) < 0.1
    near &= (np.abs(vertices[:, 1] - mouth[1] - 0.42 * drop) < 0.15) & (np.arange(len(vertices)) < mesh.BODY)
    nose = vertices[np.where(near, vertices[:, 2], -np.inf).argmax()]
    red = 0.8 * np.exp(-((vertices - nose) ** 2).sum(1) / 0.03)
    for side in (1, -1):
        cheek = np.array([side * half * 1.25, mouth[1] + 0.48 * drop, eyes[2] + 0.05])
        red += np.exp(-((vertices - cheek) ** 2).sum(1) / 0.09)
    return np.clip(red, 0, 1.2)


class Skin:
    """The skin at N points: `albedo` (N, 3), `relief` (N, 3) to be added to normals, `rough` (N,), `face` (N,)."""

    def __init__(self, who: Identity, own: Field, roots: Field, uv: npt.NDArray[np.float32], fields: Field) -> None:
        """own, roots: the skin's and the hair's colour, linear (3,). fields: of `Person.skin_fields`, (N, 6)."""
        masks, noise = np.empty((len(uv), 4), np.float32), np.empty((len(uv), 6), np.float32)
        for texture, values in zip(_maps(), (masks, noise), strict=True):
            raster.bilinear(texture, uv, values)
        lips, lids, ears, self.face = masks.T
        hair, beard, red, place = fields[:, 0], fields[:, 1], fields[:, 2], fields[:, 3:]
        old = float(np.clip((who.age_years - 30) / 40, 0, 1))
        depth, slope = _lines(who, place, noise[:, 0], old)
        albedo = own * (1 + (0.035 + 0.03 * old) * noise[:, :1] + 0.03 * noise[:, 1:2] + 0.045 * noise[:, 2:3])
        albedo = np.maximum(albedo, 0.3 * own)
        for filtering, amount in (
            ((1.02, 0.80, 0.80), 0.55 * red * who.blush + 0.35 * ears + 0.25 * noise[:, 1].clip(0)),
            ((0.80, 0.50, 0.53), lips * 1.2 * who.lip_colour),
            ((0.90, 0.84, 0.84), lids * (0.5 + 0.5 * old)),
            ((0.80, 0.68, 0.58), who.freckles * (1.3 - who.skin_tone / 9) * 1.6 * (noise[:, 2] - 1.6).clip(0, 2) * red),
            ((0.80, 0.72, 0.70), depth),
            ((0.30, 0.22, 0.18), _moles(who, uv)),
        ):
            albedo = albedo * np.array(filtering) ** np.asarray(amount)[:, None]
        hair, beard = hair[:, None], beard[:, None]
        albedo = albedo * (1 - hair) + np.clip(roots * 1.2, 0, 0.3) * hair
        self.albedo = albedo * (1 - beard) + (roots * 0.3 + own * 0.25) * beard
        self.relief = noise[:, 3:] * ((0.03 + 0.02 * old) * (0.3 + 0.7 * self.face))[:, None] + slope
        self.relief *= (1 - 0.7 * lips)[:, None]
        self.rough = np.clip(0.44 - 0.08 * lips + 0.03 * noise[:, 0], 0.3, 0.6)


def _lines(who: Identity, place: Field, warp: Field, old: float) -> tuple[Field, Field]:
    """Lines of age and expression, and shadows under the eyes: how deep each point lies, and how the normal leans."""
    rng = np.random.default_rng([who.seed, 3])
    forehead, folds, corners, bags = rng.uniform(0.3, 1.0, 4) * old + rng.uniform(0, 0.15, 4)
    x, y = np.abs(place[:, 0]), place[:, 1]
    front = np.clip(place[:, 2] * 2 + 3, 0, 1)
    wave = np.cos(2 * np.pi * (y * rng.uniform(4.5, 6) + 0.25 * np.cos(1.3 * place[:, 0] + 1) + 0.1 * warp))
    brow = np.exp(-(((y - 0.85) / 0.22) ** 2) - (x / 1.5) ** 4) * forehead * front
    depth = brow * wave.clip(0, 1) ** 3 * 0.8
    slope = np.zeros((len(x), 3))
    slope[:, 1] += brow * np.sin(np.arccos(np.clip(wave, -1, 1))) * 0.12
    middle = 0.50 + 0.42 * np.clip((-y - 0.5) / 0.55, 0, 1.2)
    fold = np.exp(-(((x - middle) / 0.07) ** 2)) * np.clip((-y - 0.45) / 0.1, 0, 1) * np.clip((1.15 + y) / 0.2, 0, 1)
    depth += fold * folds * 0.9 * front
    slope[:, 0] -= np.sign(place[:, 0]) * fold * np.tanh((x - middle) / 0.05) * folds * 0.2
    angle = np.arctan2(y + 0.05, x - 1.45)
    feet = np.exp(-(((x - 1.78) / 0.2) ** 2) - (angle / 0.7) ** 2) * (np.cos(angle * 11) > 0.55)
    depth += feet * corners * 0.6
    bag = np.exp(-(((x - 0.95) / 0.45) ** 2) - ((y + 0.27 + 0.05 * np.abs(x - 1)) / 0.08) ** 2)
    return depth + bag * (0.25 + 0.7 * bags) * front, slope


def _moles(who: Identity, uv: npt.NDArray[np.float32]) -> Field:
    total = np.zeros(len(uv))
    for mole in who.moles:
        radius = mole.size * 0.5 / 430  # the texture is about 430 mm across where the face is
        total += mole.depth * np.exp(-((((uv - np.array([mole.u, mole.v])) ** 2).sum(1) / radius**2) ** 2))
    return total
