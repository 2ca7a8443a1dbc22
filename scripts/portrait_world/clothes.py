"""Clothes and what to call them. An outfit is which garment of the assets, and how its texture is coloured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]

GARMENTS = {
    "suit": "male_elegantsuit01", "checked": "male_casualsuit02", "open shirt": "male_casualsuit03",
    "sweater": "male_casualsuit04", "jacket": "male_casualsuit05", "t-shirt": "male_casualsuit06",
    "top": "female_casualsuit01", "blouse": "female_elegantsuit01", "sport": "female_sportsuit01",
}  # fmt: skip
"""Folders of the release's clothes, each with one .mhclo and one _diffuse.png of its own name."""

# Multipliers of a texture that was made grey: linear light, so "white" is above 1.
COLOURS: dict[str, Colour] = {
    "white": (1.7, 1.7, 1.72), "light grey": (1.05, 1.05, 1.06), "grey": (0.55, 0.55, 0.57), "black": (0.09, 0.09, 0.1),
    "navy": (0.16, 0.22, 0.42), "blue": (0.25, 0.45, 1.0), "red": (1.0, 0.16, 0.16), "green": (0.22, 0.6, 0.3),
    "burgundy": (0.42, 0.1, 0.15), "beige": (1.15, 0.98, 0.76), "teal": (0.15, 0.62, 0.62), "purple": (0.5, 0.28, 0.75),
    "yellow": (1.4, 1.1, 0.25),
}  # fmt: skip
SUITS: dict[str, Colour] = {"black": (0.45, 0.45, 0.48), "navy": (0.6, 0.8, 1.6), "grey": (2.2, 2.2, 2.3)}
BLAZERS = ("black", "navy", "grey", "beige", "burgundy", "teal")
# What is worn in any colour: the garments for it, and how bright their texture must be made.
PLAIN = {"sweater": (("sweater",), 1.7), "top": (("top", "sport"), 1.7), "t-shirt": (("t-shirt",), 0.62)}


@dataclass(frozen=True)
class Outfit:
    """tint: multiplies the texture's linear colours, after they were made grey if `grey`."""

    garment: str
    tint: Colour | None
    grey: bool
    words: str


def draw(rng: np.random.Generator) -> Outfit:
    kind = str(rng.choice(["suit", "suit", "blazer", "coat", "striped", *PLAIN]))
    if kind == "suit":
        name = str(rng.choice(list(SUITS)))
        return Outfit("suit", SUITS[name], False, f"a {name} suit and tie")
    if kind == "blazer":
        name = str(rng.choice(BLAZERS))
        return Outfit("jacket", _brighter(name, 1.6), True, f"a {name} blazer")
    if kind == "coat":
        return Outfit("jacket", (6.5, 6.5, 6.6), True, "a white medical coat")
    if kind == "striped":
        return Outfit(str(rng.choice(["open shirt", "blouse"])), None, False, "a striped shirt")
    name, (garments, gain) = str(rng.choice(list(COLOURS))), PLAIN[kind]
    return Outfit(str(rng.choice(garments)), _brighter(name, gain), True, f"a {name} {kind}")


def _brighter(name: str, gain: float) -> Colour:
    red, green, blue = COLOURS[name]
    return red * gain, green * gain, blue * gain
