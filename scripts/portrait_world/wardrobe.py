"""Clothes and what to call them: which meshes of the assets are worn over one another, and what each part is made of.

The words are those that our styles use in prompts, and true of the picture: fabric.py makes the cloth that is told here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

COLOURS = {
    "white": (238, 238, 236), "light grey": (188, 188, 190), "grey": (124, 125, 128), "charcoal": (66, 68, 72),
    "black": (27, 27, 30), "navy": (31, 41, 76), "blue": (52, 94, 172), "light blue": (166, 194, 226),
    "red": (180, 38, 42), "green": (48, 106, 66), "burgundy": (100, 27, 42), "beige": (208, 187, 152),
    "brown": (102, 72, 52), "teal": (26, 118, 120), "purple": (100, 62, 138), "yellow": (224, 186, 64),
    "pink": (224, 164, 176),
}  # fmt: skip
"""sRGB, 0 to 255."""

MESHES = {
    "suit": "male_elegantsuit01", "jacket": "male_casualsuit05", "shirt": "male_casualsuit03",
    "blouse": "female_elegantsuit01", "polo": "male_casualsuit01", "crew neck": "male_casualsuit04",
    "round neck": "female_casualsuit01", "v-neck": "female_sportsuit01", "loose": "male_casualsuit06",
}  # fmt: skip
"""Folders of the release's clothes."""

PLAIN = ("white", "light grey", "grey", "black", "navy", "blue", "red", "green", "burgundy", "beige", "teal", "purple", "yellow")  # fmt: skip
SUITS = ("black", "navy", "grey", "charcoal", "brown", "blue", "beige")
BLAZERS = ("black", "navy", "grey", "beige", "burgundy", "teal", "green", "white", "red", "charcoal")
SHIRTS = ("white", "white", "light blue", "light grey", "pink", "black", "navy", "green")
STRIPES = (("black", "burgundy"), ("white", "navy"), ("white", "black"), ("light blue", "navy"), ("navy", "white"), ("white", "red"), ("beige", "brown"))  # fmt: skip
TIES = ("navy", "burgundy", "grey", "green", "purple", "black", "light blue", "red")


@dataclass(frozen=True)
class Cloth:
    """What a part is made of. pattern: plain, stripes, breton, checks, dots, slanted or pinstripes, in `second`."""

    colour: str
    pattern: str = "plain"
    second: str = ""
    weave: str = "woven"
    """woven, knit or jersey."""


@dataclass(frozen=True)
class Layer:
    """One mesh. `parts`: of which cloth; main is all that is not another part (shirt and tie of a suit, shirt of a jacket).

    A part that `leave_out` names is not worn.
    """

    mesh: str
    parts: dict[str, Cloth]
    leave_out: str = ""


@dataclass(frozen=True)
class Outfit:
    """layers: from the skin outwards."""

    layers: tuple[Layer, ...]
    words: str
    roll_neck: bool = field(default=False)
    """The innermost layer goes up the neck."""


def draw(rng: np.random.Generator) -> Outfit:
    """What somebody wears: the same for everybody."""
    kinds = (_suit, _suit, _blazer, _blazer, _coat, _shirt, _shirt, _sweater, _top, _t_shirt)
    return kinds[int(rng.integers(len(kinds)))](rng)


def _one(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))]


def _suit(rng: np.random.Generator) -> Outfit:
    colour, shirt = _one(rng, SUITS), _one(rng, ("white", "white", "light blue", "light grey", "pink"))
    cloth = Cloth(colour, "pinstripes" if colour in ("navy", "charcoal", "black") and rng.random() < 0.2 else "plain")
    parts = {"main": cloth, "shirt": Cloth(shirt)}
    if rng.random() < 0.2:
        return Outfit(
            (Layer("suit", parts | {"tie": Cloth(shirt, "placket")}),), f"a {colour} suit with an open collar"
        )
    pattern = _one(rng, ("plain", "plain", "slanted", "dots"))
    tie = Cloth(_one(rng, TIES), pattern, _one(rng, ("white", "light grey", "light blue")))
    return Outfit((Layer("suit", parts | {"tie": tie}),), f"a {colour} suit and tie")


def _under(rng: np.random.Generator) -> tuple[Layer | None, Cloth | None, bool]:
    """What is worn under a jacket: a top, or the shirt that is part of the jacket's mesh; and whether the neck is rolled."""
    if rng.random() < 0.5:
        pattern = "stripes" if rng.random() < 0.2 else "plain"
        return None, Cloth(_one(rng, SHIRTS), pattern, "navy"), False
    mesh = _one(rng, ("v-neck", "round neck", "crew neck"))
    colour = Cloth(
        _one(rng, ("white", "black", "navy", "light grey", "beige", "burgundy", "light blue")), weave="jersey"
    )
    return Layer(mesh, {"main": colour}), None, mesh == "crew neck" and rng.random() < 0.5


def _jacket(cloth: Cloth, under: tuple[Layer | None, Cloth | None, bool], words: str) -> Outfit:
    top, shirt, rolled = under
    if top is None:
        return Outfit((Layer("jacket", {"main": cloth, "shirt": shirt or Cloth("white")}),), words)
    return Outfit((top, Layer("jacket", {"main": cloth}, leave_out="shirt")), words, rolled)


def _blazer(rng: np.random.Generator) -> Outfit:
    colour = _one(rng, BLAZERS)
    return _jacket(Cloth(colour), _under(rng), f"a {colour} blazer")


def _coat(rng: np.random.Generator) -> Outfit:
    scrubs = Layer("v-neck", {"main": Cloth(_one(rng, ("teal", "blue", "green", "navy", "light blue")))})
    under = (scrubs, None, False) if rng.random() < 0.5 else (None, Cloth(_one(rng, ("light blue", "white"))), False)
    return _jacket(Cloth("white"), under, "a white medical coat")


def _shirt(rng: np.random.Generator) -> Outfit:
    mesh = _one(rng, ("shirt", "shirt", "blouse", "polo"))
    pattern = _one(rng, ("stripes", "stripes", "plain", "checks" if mesh == "shirt" else "plain"))
    if mesh == "polo":
        colour = _one(rng, PLAIN)
        return Outfit((Layer(mesh, {"main": Cloth(colour, weave="jersey")}),), f"a {colour} polo shirt")
    if pattern == "plain":
        colour = _one(rng, SHIRTS)
        return Outfit((Layer(mesh, {"main": Cloth(colour)}),), f"a {colour} {mesh}")
    ground, second = STRIPES[int(rng.integers(len(STRIPES)))]
    word = {"stripes": "striped", "checks": "checked"}[pattern]
    return Outfit((Layer(mesh, {"main": Cloth(ground, pattern, second)}),), f"a {word} shirt")


def _sweater(rng: np.random.Generator) -> Outfit:
    colour, rolled = _one(rng, PLAIN), rng.random() < 0.35
    mesh = "crew neck" if rolled else _one(rng, ("crew neck", "crew neck", "v-neck", "round neck"))
    layer = Layer(mesh, {"main": Cloth(colour, weave="knit")})
    return Outfit((layer,), f"a {colour} {'turtleneck' if rolled else 'sweater'}", rolled)


def _top(rng: np.random.Generator) -> Outfit:
    colour, mesh = _one(rng, PLAIN), _one(rng, ("round neck", "v-neck"))
    if rng.random() < 0.12:
        ground, second = STRIPES[int(rng.integers(1, len(STRIPES)))]
        return Outfit((Layer(mesh, {"main": Cloth(ground, "breton", second, "jersey")}),), "a striped top")
    return Outfit((Layer(mesh, {"main": Cloth(colour, weave="jersey")}),), f"a {colour} top")


def _t_shirt(rng: np.random.Generator) -> Outfit:
    colour, mesh = _one(rng, PLAIN), _one(rng, ("loose", "crew neck"))
    return Outfit((Layer(mesh, {"main": Cloth(colour, weave="jersey")}),), f"a {colour} t-shirt")
