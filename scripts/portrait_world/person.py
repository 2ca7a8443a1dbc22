"""What does not change between the pictures of one person: their shape at rest, their hair, and where their skin is what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from . import figure, looks, mesh, regions, rig, skin
from .identity import Identity
from .mesh import Vertices

HAIR = {
    "black": (0.006, 0.005, 0.005), "dark brown": (0.014, 0.008, 0.005), "brown": (0.030, 0.016, 0.008),
    "light brown": (0.07, 0.038, 0.018), "blond": (0.22, 0.14, 0.06), "red": (0.11, 0.028, 0.008),
}  # fmt: skip
GREY = np.array([0.30, 0.295, 0.285])
SHADOW_STRANDS = 3000


@dataclass(frozen=True)
class Strands:
    """Hair in the space of the head at rest: `lines` (S, P, 3); `casting` are fewer of them, which stand for all in shadows."""

    lines: npt.NDArray[np.float32]
    thickness: float
    casting: npt.NDArray[np.float32]

    @classmethod
    def of(cls, lines: npt.NDArray[np.floating], thickness: float) -> Strands:
        lines = np.ascontiguousarray(lines, np.float32)
        every = max(1, len(lines) // SHADOW_STRANDS)
        casting = lines[::every, :: 2 if lines.shape[1] > 12 else 1]
        return cls(lines, thickness * (12000 / len(lines)) ** 0.5, np.ascontiguousarray(casting))

    @property
    def weight(self) -> float:
        """Of one casting strand: of 4000 strands each counts 1.3."""
        return 1.3 * 4000 / max(len(self.casting), 1) if len(self.lines) > 4000 else 1.3


class Person:
    """A person, with what is worked out about them once."""

    def __init__(self, who: Identity) -> None:
        self.who = who
        self.rest: Vertices = figure.shape(who)
        self.tone = skin.tone(who)
        hair = np.array(HAIR[who.hair_colour])
        self.hair_colour = hair
        self.roots_colour = hair * (1 - who.grey) + GREY * who.grey

    @cached_property
    def strands(self) -> list[Strands]:
        rng = np.random.default_rng([self.who.seed, 2])
        return [Strands.of(lines, thickness) for lines, thickness in looks.strands(self.who, self.rest, rng)]

    @cached_property
    def skin_fields(self) -> npt.NDArray[np.float32]:
        """Of every vertex (N, 6): hair's roots and beard's (0 to 1), blush, and its place in units of the face at rest."""
        eyes, mouth = np.mean(rig.eyes(self.rest), 0), self.rest[regions.lips()].mean(0)
        left, right = rig.eyes(self.rest)
        unit = np.array([abs(left[0] - right[0]) / 2, eyes[1] - mouth[1], abs(left[0] - right[0]) / 2])
        fields = np.zeros((len(self.rest), 6), np.float32)
        fields[:, 0] = looks.roots(self.who, self.rest)
        fields[:, 1] = looks.beard_roots(self.who, self.rest)
        fields[:, 2] = skin.blush(self.rest)
        fields[:, 3:] = (self.rest - eyes) / unit
        return fields

    @cached_property
    def landmark_vertices(self) -> dict[str, int]:
        """Vertices of the skin that are landmarks: tip of the nose, corners of the mouth, chin."""
        base = mesh.base().vertices[: mesh.BODY]
        lips = regions.lips()
        eyes, mouth = np.mean(rig.eyes(mesh.base().vertices), 0), base[lips].mean(0)
        middle = np.abs(base[:, 0]) < 0.08
        nose = middle & (base[:, 1] < eyes[1]) & (base[:, 1] > mouth[1])
        chin = middle & (base[:, 1] < mouth[1] - 0.15) & (base[:, 1] > mouth[1] - 0.6)
        return {
            "nose": int(np.where(nose, base[:, 2], -np.inf).argmax()),
            "mouth_left": int(lips[base[lips, 0].argmax()]),
            "mouth_right": int(lips[base[lips, 0].argmin()]),
            "chin": int(np.where(chin, base[:, 2], -np.inf).argmax()),
        }
