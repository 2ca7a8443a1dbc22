"""The faces that the recogniser learns from: cut once by the renderer's true points, and shown a little different every time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from likeness.faces.arrays import Floats, Pixels
from likeness.faces.geometry import similarity_transform
from likeness.faces.world import template

POINTS = ("eye_right", "eye_left", "nose", "mouth_right", "mouth_left")
"""Names in person.json of `Face.points5`: there the eye on the picture's left comes first, which is the person's right one."""
ROOM = 1.25
"""Sides of a kept cut, in sides of the recogniser's crop."""
CUT = 128
"""Side of a kept cut in pixels."""

# Where the face mesh, by which faces are aligned in use, sees the five points, off the true ones; and its scatter. In sides
# of the crop, measured on 300 rendered pictures of 60 people.
_MESH = np.array([[-0.002, 0.014], [0.002, 0.014], [0.0, 0.011], [0.003, 0.005], [-0.003, -0.002]])
_SCATTER = 0.011


@dataclass(frozen=True)
class Faces:
    """Cuts (N, CUT, CUT, 3), the five points on them (N, 5, 2) in pixels, and whose they are (N,), counted from 0.

    portrait: (N,), whether it is a studio portrait; the others are selfies.
    """

    cuts: Pixels
    points: Floats
    person: np.ndarray
    portrait: np.ndarray

    def of(self, people: np.ndarray) -> Faces:
        """Those of some people, counted anew."""
        rows = np.flatnonzero(np.isin(self.person, people))
        again = np.searchsorted(np.sort(people), self.person[rows])
        return Faces(self.cuts[rows], self.points[rows], again, self.portrait[rows])


def read(folders: list[Path], kept: Path) -> Faces:
    """The faces of every complete person under `folders`; kept in the file `kept` (.npz), from which a later call reads them."""
    if not kept.exists():
        wide = _wide_template()
        cuts, points, person, portrait = [], [], [], []
        truths = [truth for folder in folders for truth in sorted(folder.glob("*/person.json"))]
        for number, truth in enumerate(tqdm(truths, "faces")):
            for name, shot in sorted(json.loads(truth.read_text())["shots"].items()):
                rgb = np.asarray(Image.open(truth.parent / name).convert("RGB"))
                true = np.array([shot["landmarks"][point] for point in POINTS], np.float64)
                matrix = similarity_transform(true, wide)
                cuts.append(_warp(rgb, matrix, CUT))
                points.append(true @ matrix[:, :2].T + matrix[:, 2])
                person.append(number)
                portrait.append(name.startswith("headshot"))
        part = kept.with_suffix(".part.npz")
        np.savez(
            part, cuts=np.stack(cuts), points=np.stack(points), person=np.array(person), portrait=np.array(portrait)
        )
        part.replace(kept)
    with np.load(kept) as held:
        return Faces(held["cuts"], held["points"], held["person"], held["portrait"])


def _wide_template() -> Floats:
    """Where the five points lie on a kept cut."""
    side = CUT / ROOM
    return np.asarray(template(1).numpy() + 0.5) * side + (CUT - side) / 2 - 0.5


def _warp(rgb: Pixels, matrix: Floats, side: int) -> Pixels:
    border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(rgb, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)


def plain(faces: Faces, rows: np.ndarray, side: int, face_px: float | None = None) -> Tensor:
    """Crops (N, 3, side, side) in [-1, 1] as the mesh would align them; with `face_px`, from faces only that large."""
    crops = []
    for row in rows:
        crop = _crop(faces, row, _MESH, side)
        if face_px is not None:
            crop = _coarser(crop, round(face_px * _CROP_OF_FACE))
        crops.append(crop)
    return _tensor(crops)


_CROP_OF_FACE = 1.45
"""Side of a crop in sizes of the face's box."""


def show(faces: Faces, row: int, side: int, rng: np.random.Generator) -> Pixels:
    """One crop (side, side, 3) of a face as it might come: aligned not quite, and in another light, sharpness and file.

    Mirrored half of the time: two sides of a face are one person's, and moles are few. Colours change little, for the skin's
    own tells people apart. Half are coarse or blurred, since what is judged is often a soft 128 px picture.
    """
    crop = _crop(faces, row, _MESH + rng.normal(0, _SCATTER, (5, 2)), side)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    if rng.random() < 0.4:
        crop = _coarser(crop, int(rng.integers(side * 2 // 5, side)))
    if rng.random() < 0.3:
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.4, 1.6)), np.uint8)
    light = crop.astype(np.float32) / 255
    light = light ** np.exp(rng.normal(0, 0.12))
    middle = light.mean()
    light = middle + (light - middle) * np.exp(rng.normal(0, 0.15))
    light = light * np.exp(rng.normal(0, 0.1) + rng.normal(0, 0.03, 3))
    grey = light @ np.array([0.299, 0.587, 0.114], np.float32)
    strength = 0.0 if rng.random() < 0.05 else float(np.exp(rng.normal(0, 0.15)))
    light = grey[..., None] + (light - grey[..., None]) * strength
    if rng.random() < 0.3:
        light = light + rng.normal(0, rng.uniform(0.005, 0.03), light.shape)
    crop = (np.clip(light, 0, 1) * 255).round().astype(np.uint8)
    if rng.random() < 0.4:
        _, file = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))])
        crop = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8)
    return crop


def batch(faces: Faces, count: int, side: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`count` faces at random: crops (count, 3, side, side) in [-1, 1], and whose they are (count,)."""
    rows = rng.integers(0, len(faces.person), count)
    return _tensor([show(faces, row, side, rng) for row in rows]), torch.from_numpy(faces.person[rows])


def _crop(faces: Faces, row: int, off: Floats, side: int) -> Pixels:
    """A crop by the true points moved by `off` (5, 2) in sides of the crop."""
    points = faces.points[row] + off * (CUT / ROOM)
    return _warp(faces.cuts[row], similarity_transform(points, template(side).numpy()), side)


def _coarser(crop: Pixels, side: int) -> Pixels:
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _tensor(crops: list[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1
