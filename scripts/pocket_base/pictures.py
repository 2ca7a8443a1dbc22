"""The pictures that the pocket base learns from: a folder of rendered people, read once into memory.

A folder holds one sub-folder a person: `person.json` (with `shots: {file: {"words": {...}}}`) and its JPEGs. `words` are
the true facts of the scene (background, outfit, light, expression, glasses) in the words that our styles use; an empty one
is a fact that our words do not name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image


@dataclass(frozen=True)
class Shot:
    """One picture and what is true of its scene."""

    path: Path
    words: dict[str, str | bool]


def find_shots(folders: list[Path]) -> list[Shot]:
    """Every picture under `folders` whose person.json states the words of its scene, in a fixed order."""
    shots = []
    for folder in folders:
        for truth in sorted(folder.glob("*/person.json")):
            for name, shot in sorted(json.loads(truth.read_text())["shots"].items()):
                if "words" in shot:
                    shots.append(Shot(truth.parent / name, shot["words"]))
    return shots


def read_pixels(shots: list[Shot], size: int) -> torch.Tensor:
    """uint8 (N, 3, size, size); pictures are reduced with an area filter, never enlarged silently."""
    pixels = torch.empty(len(shots), 3, size, size, dtype=torch.uint8)
    for index, shot in enumerate(shots):
        picture = Image.open(shot.path).convert("RGB")
        if min(picture.size) < size:
            raise SystemExit(f"{shot.path}: {picture.size} is smaller than the {size} px that the config asks for")
        picture = picture.resize(
            (size, size), Image.Resampling.BOX if picture.width % size == 0 else Image.Resampling.LANCZOS
        )
        pixels[index] = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)
    return pixels


@dataclass(frozen=True)
class View:
    """How one picture is shown once: mirrored, cropped (scale and centre, as parts of its side), without colour."""

    mirrored: bool
    scale: float
    left: float
    top: float
    grey: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> View:
        close = rng.random() < 0.35
        scale = rng.uniform(0.58, 0.74) if close else rng.uniform(0.88, 1.0)
        # The eyes of a rendered portrait lie a little above the middle, so close views are taken around that point.
        centre = (0.5 + rng.uniform(-0.04, 0.04), (0.44 if close else 0.5) + rng.uniform(-0.03, 0.03))
        left, top = (float(np.clip(c - scale / 2, 0, 1 - scale)) for c in centre)
        return cls(bool(rng.random() < 0.5), float(scale), left, top, bool(rng.random() < 0.08))


def show(pixels: torch.Tensor, view: View) -> torch.Tensor:
    """uint8 (3, S, S) to float (3, S, S) in [-1, 1], as `view` says."""
    size = pixels.shape[-1]
    side = max(8, round(view.scale * size))
    left, top = min(round(view.left * size), size - side), min(round(view.top * size), size - side)
    picture = pixels[:, top : top + side, left : left + side].float()[None] / 127.5 - 1
    if side != size:
        picture = torch.nn.functional.interpolate(picture, (size, size), mode="bicubic", antialias=True).clamp(-1, 1)
    if view.grey:
        luma = (picture * torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
        picture = luma.expand_as(picture)
    return (picture.flip(-1) if view.mirrored else picture)[0]


SYLLABLES = "bdfgklmnprstvz", "aeiou"


def invented_name(person: str) -> str:
    """A pronounceable word of 3 to 6 letters, always the same for one person (the name of their folder)."""
    rng = np.random.default_rng(list(person.encode()))
    return "".join(str(rng.choice(list(SYLLABLES[k % 2]))) for k in range(rng.integers(3, 7)))


def caption(shot: Shot, view: View, rng: np.random.Generator) -> str:
    """A caption of what is true of this view: half of them leave words out; a quarter carry the person's invented name.

    The name in front of "person" teaches the model that a word there means who it is, so that a trigger word has something
    to take hold of. (A meaningless word there taught it to look past such words, and adapters then hardly moved.)
    """
    words = shot.words
    name = invented_name(shot.path.parent.name) + " " if rng.random() < 0.25 else ""
    kind = (
        {"headshot": "a headshot of", "selfie": "a selfie of"}[str(words["kind"])]
        if rng.random() < 0.7
        else "a photo of"
    )
    facts = (str(words[key]) for key in ("background", "outfit", "light", "expression"))
    parts = [fact for fact in facts if fact]
    parts.append("close-up" if view.scale < 0.8 else "head and shoulders")
    if words["glasses"]:
        parts.append("wearing glasses")
    if rng.random() < 0.5:
        parts = [part for part in parts if rng.random() < 0.6]
    rng.shuffle(parts)
    if view.grey:
        parts.insert(0, "black and white photograph")
    return ", ".join([f"{kind} {name or 'a '}person", *parts])
