"""Scenes for portraits of people who do not exist, and the words that are true of them.

The words are those that our styles use in prompts; they say nothing of how a person looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from likeness.faces.following import pose_words

from . import wardrobe
from .expressions import Expression, Pose
from .identity import FIRST_HELD_OUT
from .light import SETUPS
from .wardrobe import Outfit

Words = dict[str, str | bool]
Kind = Literal["headshot", "selfie"]

STUDIOS = ("grey", "blue", "white", "dark", "warm brown", "teal", "orange", "pink", "green")
OTHER_PLACES = ("office", "library", "outdoor")
SELFIE_PLACES = ("indoor", "outdoor", "office", "indoor", "library")
STUDIO_LIGHTS = ("soft studio light", "soft studio light", "dramatic light", "rim light")
EXPRESSION_WORDS = {
    "neutral": "neutral expression", "softsmile": "soft smile", "smile": "smiling", "serious": "serious expression",
    "grin": "broad smile", "talk": "talking",
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """All that a picture depends on besides the person. `setup` is the set-up of light, `view` the camera's (see Camera)."""

    kind: Kind
    background: str
    light: str
    setup: str
    side: int
    face: Expression
    pose: Pose
    outfit: Outfit
    view: dict[str, Any]
    stops: float
    seed: int

    def asdict(self) -> dict[str, Any]:
        return asdict(self)

    def words(self) -> Words:
        studio = self.background.partition("studio:")[2]
        return {
            "kind": self.kind,
            "background": f"{studio} studio background" if studio else f"{self.background} background",
            "outfit": self.outfit.words,
            "light": self.light,
            "expression": EXPRESSION_WORDS[self.face.name],
            "pose": pose_words(self.pose.yaw),
        }


def draw(number: int, take: int, kind: Kind) -> Scene:
    """The scene of a person's picture: a function of its three arguments alone.

    A person's selfies go through the places in turn; the portraits of the held-out are all from the studio.
    """
    rng = np.random.default_rng([number, take, kind == "headshot", 5])
    if kind == "selfie":
        return selfie(rng, SELFIE_PLACES[(number + take) % len(SELFIE_PLACES)])
    return headshot(rng, "studio" if number >= FIRST_HELD_OUT or rng.random() < 0.5 else str(rng.choice(OTHER_PLACES)))


def headshot(rng: np.random.Generator, place: str) -> Scene:
    """A portrait in a studio, an office, a library or outdoors."""
    words = str(rng.choice(STUDIO_LIGHTS)) if place == "studio" else _daylight(rng, place)
    pose = {"yaw": (-24, 24), "pitch": (-5, 6), "roll": (-4, 4)}
    name = str(rng.choice(["neutral", "softsmile", "softsmile", "softsmile", "smile", "serious", "grin"]))
    view = {
        "distance": 15.0, "width": 3.9 / float(rng.uniform(0.92, 1.3)), "roll": 0.0,
        "aim": (float(rng.uniform(-0.15, 0.15)), float(rng.uniform(-0.6, -0.3))), "shift": (0.0, float(rng.normal(0, 0.8))),
    }  # fmt: skip
    background = f"studio:{rng.choice(STUDIOS)}" if place == "studio" else place
    return _scene(rng, "headshot", background, words, name, pose, view, (-0.2, 0.15))


def selfie(rng: np.random.Generator, place: str) -> Scene:
    """A picture from arm's length, in whatever light there is."""
    name = str(rng.choice(["smile", "neutral", "softsmile", "softsmile", "grin", "serious", "talk"]))
    pose = {"yaw": (-28, 28), "pitch": (-10, 9), "roll": (-8, 8)}
    view = {
        "distance": float(rng.uniform(5.0, 7.5)), "width": float(rng.uniform(3.1, 4.2)), "roll": float(rng.uniform(-8, 8)),
        "aim": (float(rng.uniform(-0.4, 0.4)), float(rng.uniform(-0.5, 0.1))),
        "shift": (float(rng.uniform(-1.2, 1.2)), float(rng.uniform(-0.5, 1.6))),
    }  # fmt: skip
    return _scene(rng, "selfie", place, _daylight(rng, place), name, pose, view, (-0.3, 0.2))


def _daylight(rng: np.random.Generator, place: str) -> str:
    return "natural light" if place == "outdoor" or rng.random() < 0.6 else "window light"


def _scene(
    rng: np.random.Generator, kind: Kind, background: str, words: str, expression: str,
    angles: Mapping[str, tuple[float, float]], view: dict[str, Any], stops: tuple[float, float],
) -> Scene:  # fmt: skip
    setups = SETUPS[words]
    if words == "natural light":
        setups = ("overcast", "sun") if background == "outdoor" else ("room", "window")
    yaw, pitch, roll = (float(rng.uniform(*angles[name])) for name in ("yaw", "pitch", "roll"))
    # Eyes stay mostly on the camera, with a little that wanders.
    follow = rng.uniform(0.65, 1.0)
    gaze = (float(np.clip(-follow * yaw + rng.normal(0, 2), -22, 22)), float(-follow * pitch + rng.normal(0, 1.5)))
    lids = float(rng.normal(0, 0.06)) + (0.5 if rng.random() < 0.015 else 0.0)
    extra = {
        f"eyebrows-{side}-{move}": float(rng.uniform(0, 0.2))
        for side in ("left", "right") for move in ("up", "inner-up") if rng.random() < 0.4
    }  # fmt: skip
    return Scene(
        kind, background, words, str(rng.choice(setups)), int(rng.choice([-1, 1])),
        Expression(expression, float(rng.uniform(0.7, 1.1)), lids, extra), Pose(yaw, pitch, roll, gaze),
        wardrobe.draw(rng), view, float(rng.uniform(*stops)), int(rng.integers(1 << 30)),
    )  # fmt: skip
