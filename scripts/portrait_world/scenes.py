"""Scenes for portraits of people who do not exist, and the words that are true of them.

A scene is a dictionary as the generator's `fast.shot` takes it; the words are those that our styles use in prompts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Scene = dict[str, Any]
Words = dict[str, str | bool]

# Multipliers of a texture that was made grey: linear light, so "white" is above 1.
COLOURS = {
    "white": (1.7, 1.7, 1.72), "light grey": (1.05, 1.05, 1.06), "grey": (0.55, 0.55, 0.57), "black": (0.09, 0.09, 0.1),
    "navy": (0.16, 0.22, 0.42), "blue": (0.25, 0.45, 1.0), "red": (1.0, 0.16, 0.16), "green": (0.22, 0.6, 0.3),
    "burgundy": (0.42, 0.1, 0.15), "beige": (1.15, 0.98, 0.76), "teal": (0.15, 0.62, 0.62), "purple": (0.5, 0.28, 0.75),
    "yellow": (1.4, 1.1, 0.25),
}  # fmt: skip
STUDIOS = ("grey", "blue", "white", "dark", "warm brown", "teal", "orange", "pink", "green")
SUITS = {"black": (0.45, 0.45, 0.48), "navy": (0.6, 0.8, 1.6), "grey": (2.2, 2.2, 2.3)}
BLAZERS = ("black", "navy", "grey", "beige", "burgundy", "teal")
# Kind of garment: the generator's clothes for it, and how bright their texture must be made.
PLAIN = {"sweater": (("m4",), 1.7), "top": (("f1", "fs"), 1.7), "t-shirt": (("m6",), 0.62)}
EXPRESSIONS = {
    "neutral": "neutral expression", "softsmile": "soft smile", "smile": "smiling", "serious": "serious expression",
    "grin": "broad smile", "talk": "talking",
}  # fmt: skip
# Light: how strong the fill and the rim light are, from and to.
LIGHTS = {
    "soft studio light": ((14, 20), (3, 8)), "dramatic light": ((1, 3), (2, 6)), "rim light": ((6, 10), (24, 34)),
    "natural light": ((10, 20), (4, 10)),
}  # fmt: skip


def outfit(rng: np.random.Generator) -> tuple[Scene, str]:
    """Clothes, and what to call them."""
    kind = rng.choice(["suit", "suit", "blazer", "coat", "striped", *PLAIN])
    if kind == "suit":
        name = str(rng.choice(list(SUITS)))
        return {"outfit": "suit", "tint": SUITS[name]}, f"a {name} suit and tie"
    if kind == "blazer":
        name = str(rng.choice(BLAZERS))
        return {"outfit": "m5", "tint": tuple(np.multiply(COLOURS[name], 1.6)), "gray": True}, f"a {name} blazer"
    if kind == "coat":
        return {"outfit": "m5", "tint": (6.5, 6.5, 6.6), "gray": True}, "a white medical coat"
    if kind == "striped":
        return {"outfit": str(rng.choice(["m3", "fe"])), "tint": None}, "a striped shirt"
    name, (clothes, gain) = str(rng.choice(list(COLOURS))), PLAIN[str(kind)]
    scene = {"outfit": str(rng.choice(clothes)), "tint": tuple(np.multiply(COLOURS[name], gain)), "gray": True}
    return scene, f"a {name} {kind}"


def headshot(rng: np.random.Generator) -> tuple[Scene, Words]:
    """A portrait in a studio, an office, a library or outdoors."""
    clothes, called = outfit(rng)
    place = str(rng.choice(["studio", "studio", "studio", "office", "library", "outdoor"]))
    light = str(rng.choice(list(LIGHTS)[:3])) if place == "studio" else "natural light"
    background = place
    if place == "studio":
        background = f"studio:{rng.choice(STUDIOS)}"
    expression = str(rng.choice(["neutral", "softsmile", "softsmile", "smile", "serious"]))
    fill, rim = LIGHTS[light]
    scene: Scene = {
        "style": "studio", "expr": expression, "bg": background, "key": int(rng.choice([-1, 1])),
        "yaw": float(rng.uniform(-22, 22)), "pitch": float(rng.uniform(-5, 5)), "roll": float(rng.uniform(-4, 4)),
        "fill": float(rng.uniform(*fill)), "rim": float(rng.uniform(*rim)),
        "exp": float(rng.uniform(0.85, 1.1)), "zoom": float(rng.uniform(0.95, 1.25)), **clothes,
    }  # fmt: skip
    return scene, _words("headshot", background, called, light, expression)


def selfie(rng: np.random.Generator) -> tuple[Scene, Words]:
    """A picture from arm's length, in whatever light there is."""
    clothes, called = outfit(rng)
    background = str(rng.choice(["indoor", "indoor", "outdoor", "office", "library"]))
    expression = str(rng.choice(["smile", "neutral", "softsmile", "softsmile", "grin", "serious", "talk"]))
    ranges = {
        "yaw": (-28, 28), "pitch": (-10, 8), "roll": (-8, 8), "camx": (-0.12, 0.12), "camz": (-0.05, 0.16),
        "camroll": (-8, 8), "dist": (0.5, 0.75), "fov": (0.33, 0.44), "offx": (-0.04, 0.04), "offz": (-0.05, 0.01),
        "exp": (0.95, 1.3),
    }  # fmt: skip
    drawn = {name: float(rng.uniform(low, high)) for name, (low, high) in ranges.items()}
    scene = {"style": "selfie", "expr": expression, "bg": background, **drawn, **clothes}
    return scene, _words("selfie", background, called, "natural light", expression)


def _words(kind: str, background: str, clothes: str, light: str, expression: str) -> Words:
    studio = background.partition("studio:")[2]
    called = f"{studio} studio background" if studio else f"{background} background"
    return {
        "kind": kind,
        "background": called,
        "outfit": clothes,
        "light": light,
        "expression": EXPRESSIONS[expression],
    }
