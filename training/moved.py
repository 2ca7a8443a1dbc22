"""Portraits cut again, a little aside and a little wider or closer, to be trained on where there is little noise.

An adapter that sees every portrait in one place learns its latents by heart. Where little noise is left it then denoises
nothing else as well as the base did, not even the same photograph cut a few pixels aside (docs/pocket/recipe.md). Where noise
is much, composition is learnt, and faces have to stay where the base has them.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field

from likeness import randomness
from likeness.faces import FaceFinder
from likeness.images import load_photo
from likeness.person import Person
from likeness.settings import Settings
from training.crops import Frame, Photograph, Shape


class MovedSettings(Settings):
    """How many, how far, and up to how much noise."""

    copies: int = Field(0, ge=0)
    """Of every portrait, each of which is encoded once. None by default: measured on the pocket base alone."""
    below: float = Field(0.5, ge=0, le=1)
    """Noise level, as the base counts them (before a flow's shift), up to which a sample takes the portrait as it is framed or one of
    its copies. Who was least like was more like with half than with 0.3 (docs/pocket/recipe.md); with all of it faces fell apart."""
    shift: float = Field(0.03, ge=0, lt=0.5)
    """At most so far up, down and to the sides, as a share of the portrait's width: of 256 px half a latent. Nothing else was tried."""
    scale: float = Field(0.05, ge=0, lt=0.5)
    """At most so much wider or closer, as a share of it."""


def moved_frame(frame: Frame, width: int, height: int, settings: MovedSettings, *key: int | str) -> Frame:
    """A frame near by, within the width x height photograph, as `key` draws it."""
    across, down, wider = (2 * randomness.uniform(0, "moved", *key, draw) - 1 for draw in range(3))
    taller = frame.height / frame.width
    wide = frame.width * (1 + settings.scale * wider)
    if wide > min(width, height / taller):  # closer where there is no wider
        wide = frame.width * (1 - settings.scale * wider)
    left = frame.left + (frame.width - wide) / 2 + settings.shift * frame.width * across
    top = frame.top + (frame.width - wide) * taller / 2 + settings.shift * frame.width * down
    left, top = min(max(left, 0.0), width - wide), min(max(top, 0.0), height - wide * taller)
    return Frame(frame.crop, left, top, wide, wide * taller)


class Mover:
    """Cuts the moved copies of a person's prepared portraits."""

    def __init__(self, person: Person, settings: MovedSettings) -> None:
        self._person, self._settings = person, settings
        self._photographs: dict[str, Photograph] = {}

    def copies(self, row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Rows like this one of the prepared portraits (`load_portraits`), with other pictures and masks of the same size."""
        if not self._settings.copies:
            return []
        photograph = self._photographs.get(row["photo"]) or self._open(row["photo"])
        width, height = row["image"].size
        shape: Shape = "square" if width == height else "portrait"
        framed = {frame.crop: frame for frame in photograph.frames(width, shape)}[row["crop"]]
        rows: list[Mapping[str, Any]] = []
        for number in range(self._settings.copies):
            frame = moved_frame(framed, *photograph.picture.size, self._settings, row["digest"], row["crop"], number)
            image, mask = photograph.cut(frame, (width, height))
            original = {"original_width": round(frame.width), "original_height": round(frame.height)}
            rows.append({**row, "image": image, "mask": mask, **original})
        return rows

    @cached_property
    def _finder(self) -> FaceFinder:
        return FaceFinder()

    def _open(self, photo: str) -> Photograph:
        """The main face is the first one, as intake has it. One photograph is kept: its rows follow each other."""
        picture = load_photo(self._person.selfies / photo)
        face, *others = self._finder.find(np.asarray(picture))
        self._photographs = {photo: Photograph(picture, face, self._finder, others)}
        return self._photographs[photo]
