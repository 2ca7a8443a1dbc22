"""The pictures that the pocket base learns from: a folder of rendered people, read once into memory.

A folder holds one sub-folder a person: `person.json` (with `shots: {file: {"words": {...}}}`) and its JPEGs. `words` are
the true facts of the scene (background, outfit, light, expression, pose, glasses) in the words that our styles use; an empty one
is a fact that our words do not name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from likeness.faces.framing import MIDDLE, WIDTHS, Crop


@dataclass(frozen=True)
class Shot:
    """One picture, what is true of its scene, and where the face is, in parts of the picture's side."""

    path: Path
    words: dict[str, str | bool]
    centre: tuple[float, float]
    size: float


def find_shots(folders: list[Path], words: bool = True) -> list[Shot]:
    """Every picture under `folders` whose person.json states the words of its scene, in a fixed order.

    Those of the held-out have them in another place, and are found with `words` off, for measuring.
    """
    shots = []
    for folder in folders:
        for truth in sorted(folder.glob("*/person.json")):
            for name, shot in sorted(json.loads(truth.read_text())["shots"].items()):
                if ("words" in shot) == words:
                    path = truth.parent / name
                    with Image.open(path) as picture:
                        face = _face(shot["landmarks"], picture.width)
                    told = {key: value for key, value in shot.items() if isinstance(value, str | bool)}
                    shots.append(Shot(path, shot.get("words", told), *face))
    return shots


def _face(landmarks: dict[str, list[float]], side: int) -> tuple[tuple[float, float], float]:
    """Middle and size of the face as `likeness.faces.Face` has them, from the true points.

    Fitted on 210 renders on which the face mesh was found: within 5% of the size, and 2% of it for the middle.
    """
    at = {name: np.array(point) / side for name, point in landmarks.items()}
    eyes = (at["eye_left"] + at["eye_right"]) / 2
    down = at["chin"] - eyes
    apart = np.linalg.norm(at["eye_left"] - at["eye_right"])
    size = 0.65 * np.linalg.norm(down) + 1.50 * apart + 0.18 * abs(down[0])
    x = eyes[0] - 1.08 * (at["nose"][0] - eyes[0]) + 0.59 * down[0]
    return (float(x), float(eyes[1] + 0.345 * down[1])), float(size)


def read_pixels(shots: list[Shot]) -> torch.Tensor:
    """uint8 (N, 3, S, S), in the size S that they were rendered in, which has to be one."""
    if not shots:
        raise SystemExit("no pictures with words: were these people rendered by scripts/portrait_world?")
    with Image.open(shots[0].path) as first:
        pixels = torch.empty(len(shots), 3, first.height, first.width, dtype=torch.uint8)

    def read(index: int) -> None:
        picture = np.asarray(Image.open(shots[index].path).convert("RGB"))
        if picture.shape[:2] != tuple(pixels.shape[2:]):
            raise SystemExit(f"{shots[index].path}: {picture.shape[:2]} px, and others have {tuple(pixels.shape[2:])}")
        pixels[index] = torch.from_numpy(picture.copy()).permute(2, 0, 1)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(read, range(len(shots))))
    return pixels


@dataclass(frozen=True)
class View:
    """How one picture is shown once: cropped (side and corner, as parts of its side), mirrored, without colour."""

    close: bool
    side: float
    left: float
    top: float
    mirrored: bool
    grey: bool

    @classmethod
    def draw(cls, shot: Shot, rng: np.random.Generator) -> View:
        """Framed around the face as the portraits are that an adapter is trained on (`training/crops.py`), and a little off.

        Faces that are always about in the same place are learnt with a fraction of the samples.
        """
        close = bool(rng.random() < 0.35)
        scale, shift = rng.uniform(0.94, 1.08), rng.normal(0, 0.012, 2).tolist()
        return cls.framed(shot, close, scale, shift, bool(rng.random() < 0.5), bool(rng.random() < 0.1))

    @classmethod
    def framed(
        cls,
        shot: Shot,
        close: bool,
        scale: float = 1.0,
        shift: Sequence[float] = (0.0, 0.0),
        mirrored: bool = False,
        grey: bool = False,
    ) -> View:
        """Close, or head and shoulders; `shift` (x, y) in parts of the view's side. It never leaves the picture."""
        crop: Crop = "close" if close else "shoulders"
        side = min(1.0, WIDTHS[crop] * shot.size * scale)
        left, top = (
            float(np.clip(centre - side * (middle + moved), 0, 1 - side))
            for centre, middle, moved in zip(shot.centre, (0.5, MIDDLE[crop]), shift, strict=True)
        )
        return cls(close, float(side), left, top, mirrored, grey)

    def face(self, shot: Shot) -> tuple[float, float, float, float]:
        """Middle (x, y) and half width and height of the shot's face as this view shows it, in parts of its side."""
        x, y = (
            (centre - corner) / self.side for centre, corner in zip(shot.centre, (self.left, self.top), strict=True)
        )
        return (1 - x if self.mirrored else x), y, 0.45 * shot.size / self.side, 0.55 * shot.size / self.side


def about_faces(faces: torch.Tensor, size: int) -> torch.Tensor:
    """(B, 1, size, size) in [0, 1] of faces (B, 4) as `View.face` has them: 1 about the middle, falling to 0 at the outline."""
    places = (torch.arange(size, device=faces.device) + 0.5) / size
    across, down = torch.meshgrid(places, places, indexing="xy")
    x, y, width, height = faces[..., None, None].unbind(1)
    return torch.exp(-((((across - x) / width) ** 2 + ((down - y) / height) ** 2).square()))[:, None]


def show(pixels: torch.Tensor, view: View, size: int) -> torch.Tensor:
    """uint8 (3, S, S) to float (3, size, size) in [-1, 1], as `view` says, on the device of `pixels`."""
    whole = pixels.shape[-1]
    side = max(8, round(view.side * whole))
    left, top = min(round(view.left * whole), whole - side), min(round(view.top * whole), whole - side)
    picture = pixels[:, top : top + side, left : left + side].float()[None] / 127.5 - 1
    picture = torch.nn.functional.interpolate(picture, (size, size), mode="bicubic", antialias=True).clamp(-1, 1)
    if view.grey:
        luma = (picture * picture.new_tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
        picture = luma.expand_as(picture)
    return (picture.flip(-1) if view.mirrored else picture)[0]


SYLLABLES = "bdfgklmnprstvz", "aeiou"


def invented_name(person: str) -> str:
    """A pronounceable word of 5 or 6 letters, always the same for one person (the name of their folder).

    Shorter ones would be too few: thousands of people would share theirs.
    """
    rng = np.random.default_rng(list(person.encode()))
    return "".join(str(rng.choice(list(SYLLABLES[k % 2]))) for k in range(rng.integers(5, 7)))


def caption(shot: Shot, view: View, rng: np.random.Generator) -> str:
    """A caption of what is true of this view: half of them leave words out, half carry the person's invented name.

    Glasses are never left out, so that a caption without them says that there are none.

    The name in front of "person" teaches the model that a word there means who it is, so that a trigger word has something
    to take hold of. (A meaningless word there taught it to look past such words, and adapters then hardly moved.)
    """
    words = shot.words
    name = invented_name(shot.path.parent.name) + " " if rng.random() < 0.5 else ""
    kind = (
        {"headshot": "a headshot of", "selfie": "a selfie of"}[str(words["kind"])]
        if rng.random() < 0.7
        else "a photo of"
    )
    facts = (str(words[key]) for key in ("background", "outfit", "light", "expression", "pose"))
    parts = [fact for fact in facts if fact]
    parts.append("close-up" if view.close else "head and shoulders")
    if rng.random() < 0.5:
        parts = [part for part in parts if rng.random() < 0.6]
    if words["glasses"]:
        parts.append("wearing glasses")
    rng.shuffle(parts)
    if view.grey:
        parts.insert(0, "black and white photograph")
    return ", ".join([f"{kind} {name or 'a '}person", *parts])
