"""Do pictures show what was asked for, as far as pixels tell: the checks of the product, and a reading of glasses.

Checks err. So all of them are made on pictures of the cohort too, of which the words are true, at the base's own resolution and
through its autoencoder: what they agree to there is the most that they could find on pictures that follow every prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from likeness import resources
from likeness.faces import Face, FaceFinder
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.following import following
from likeness.faces.geometry import similarity_transform
from likeness.families import Family
from scripts.pocket_base import pictures

_EYES = np.array([[27.0, 18.0], [69.0, 18.0]])
_PATCH = 96, 48
_GRADIENTS = cv2.HOGDescriptor(_PATCH, (16, 16), (8, 8), (8, 8), 9)
"""Histograms of oriented gradients (Dalal and Triggs 2005): a rim is an edge, whatever its colour."""
_RIDGE = 3.0
"""Of the least squares: between 0.3 and 30, what is read right hardly changes."""


@dataclass(frozen=True)
class Asked:
    """A picture, and the words that it should agree with."""

    picture: Image.Image
    prompt: str
    slots: dict[str, str]
    glasses: bool
    person: str = ""


@dataclass(frozen=True)
class Patch:
    """About the eyes, upright: histograms of oriented gradients, the mean of both mirrorings."""

    values: Floats
    glasses: bool
    person: str


class Glasses:
    """Reads glasses off patches by least squares on true pictures; what is half-way between both means is the limit."""

    def __init__(self, known: Sequence[Patch]) -> None:
        values, worn = np.stack([patch.values for patch in known]), np.array([patch.glasses for patch in known])
        self.mean = values.mean(axis=0)
        centred, target = values - self.mean, np.where(worn, 1.0, -1.0)
        gram = centred.T @ centred + _RIDGE * np.eye(centred.shape[1])
        self.weights = np.linalg.solve(gram, centred.T @ (target - target.mean()))
        read = centred @ self.weights
        self.limit = (read[worn].mean() + read[~worn].mean()) / 2

    def worn(self, patch: Patch) -> bool:
        return bool((patch.values - self.mean) @ self.weights > self.limit)


def true_pictures(family: Family) -> list[Asked]:
    """The cohort's pictures, each close or as head and shoulders by turns, through the autoencoder, with words that are true."""
    found = []
    shots = pictures.find_shots([resources.assets() / "cohort"], words=False)
    for number, shot in enumerate(tqdm(shots, "the cohort")):
        view = pictures.View.framed(shot, close=number % 2 == 1)
        shown = pictures.show(pictures.read_pixels([shot])[0], view, family.resolution)
        with torch.inference_mode():
            rebuilt = family.decode_latents(family.encode_image(shown[None])[0])[0]
        rgb = ((rebuilt.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
        slots = {name: str(shot.words[name]) for name in ("background", "outfit")}
        slots["framing"] = "close-up" if view.close else "head and shoulders"
        worn, person = bool(shot.words["glasses"]), shot.path.parent.name
        found.append(Asked(Image.fromarray(rgb), "a photo of a person", slots, worn, person))
    return found


def agreements(wanted: Sequence[Asked], finder: FaceFinder) -> tuple[dict[str, list[bool]], list[Patch]]:
    """By what was asked for, whether each picture with a face agrees; and their patches about the eyes."""
    checks: dict[str, list[bool]] = {}
    patches = []
    for each in tqdm(wanted, "checks"):
        rgb = np.asarray(each.picture)
        for face in finder.find(rgb)[:1]:
            found = following(rgb, face, finder.person_mask(rgb), each.prompt, each.slots)
            for name, followed in found.items():
                checks.setdefault(name, []).append(followed.agrees)
            patches.append(Patch(_about_the_eyes(rgb, face), each.glasses, each.person))
    # Rims are too thin at this size for the product's own check: a trained reading takes its place.
    checks.pop("glasses", None)
    return checks, patches


def measure(drawn: Sequence[Asked], family: Family, finder: FaceFinder) -> dict[str, dict[str, float]]:
    """Of everything that was asked for: how often, how often it was found, and how often it is found on true pictures."""
    limits, known = agreements(true_pictures(family), finder)
    checks, patches = agreements(drawn, finder)
    people = {patch.person for patch in known}
    own = {name: Glasses([other for other in known if other.person != name]) for name in people}
    reader = Glasses(known)
    for worn, name in ((True, "glasses"), (False, "no glasses")):
        limits[name] = [own[patch.person].worn(patch) == worn for patch in known if patch.glasses == worn]
        checks[name] = [reader.worn(patch) == worn for patch in patches if patch.glasses == worn]
    return {
        name: {"asked": len(found), "agreed": float(np.mean(found)), "agreed_where_true": float(np.mean(limits[name]))}
        for name, found in sorted(checks.items())
        if found and limits.get(name)
    }


def _about_the_eyes(rgb: Pixels, face: Face) -> Floats:
    matrix = similarity_transform(face.eyes.astype(np.float64), _EYES)
    patch = cv2.warpAffine(rgb, matrix, _PATCH, borderMode=cv2.BORDER_REPLICATE)
    sides = [_GRADIENTS.compute(np.ascontiguousarray(side)) for side in (patch, patch[:, ::-1])]
    return np.mean(sides, axis=0, dtype=np.float64).ravel()
