"""Who a person is: the vector of true parameters that every picture of them is drawn from.

Skin tone, age and sex presentation are uniform and independent of one another. Shape, hair and eyes are drawn without
regard to skin tone; hair style, beard and make-up lean on sex presentation, but only lean.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

TONES = 10
AGES = 20.0, 72.0
FIRST_HELD_OUT = 900_000
"""People of this number and above are kept from the training of any base."""

SHAPE_AXES = 128
"""Length of a person's shape vector; the mesh data has a few axes fewer."""

HAIR_COLOURS = ("black", "dark brown", "brown", "light brown", "blond", "red")
_HAIR_COLOUR_ODDS = (0.30, 0.24, 0.17, 0.12, 0.10, 0.07)
EYE_COLOURS = ("brown", "brownlight", "blue", "lightblue", "green", "grey")
_EYE_COLOUR_ODDS = (0.42, 0.20, 0.12, 0.08, 0.09, 0.09)
EYEBROWS, EYELASHES = 12, 4

# Hair styles, and of how many in a hundred people who present as male and as female each is worn.
HAIR_STYLES = {
    "bald": (6, 0.5), "buzz": (9, 1.5), "crop": (13, 3), "sidepart": (12, 4), "slick": (9, 3), "quiff": (10, 2),
    "fringe": (9, 3), "curlyshort": (9, 6), "coilyshort": (9, 6), "afro": (4, 7), "pixie": (3, 9), "bob": (1, 11),
    "bobfringe": (0.5, 8), "bun": (2, 8), "topknot": (1.5, 4), "ponytail": (2, 6), "shoulder": (2, 10),
    "longstraight": (1.5, 10), "longwavy": (1.5, 9), "longcurly": (1.5, 7),
}  # fmt: skip
GLASSES_KINDS = ("round", "rect")
GLASSES_MATERIALS = ("black", "tort", "wire", "blue", "red")


@dataclass(frozen=True)
class Mole:
    """A mole at (u, v) of the skin's texture; `size` in millimetres across, `depth` 0 to 1."""

    u: float
    v: float
    size: float
    depth: float


@dataclass(frozen=True)
class Identity:
    """All that is true of a person. Shape is in units of its own spread: 0 is the mean of everybody."""

    number: int
    seed: int
    skin_tone: int
    """0 (lightest) to 9 (darkest)."""
    undertone: float
    """Standard deviations towards red (positive) or yellow (negative)."""
    age_years: float
    sex_presentation: Literal["male", "female"]
    masculinity: float
    """Of the shape: 0 to 1."""
    ancestry: tuple[float, float, float]
    """Mixture of the mesh data's three axes of shape, uniform over all mixtures; nothing else depends on it."""
    muscle: float
    weight: float
    shape: tuple[float, ...]
    asymmetry: tuple[float, ...]
    hair: str
    hair_colour: str
    grey: float
    """Part of the hair that has turned grey, 0 to 1."""
    recede: float
    """How far the hairline has moved back, 0 to 1."""
    beard: int
    """0 none, 1 stubble, 2 short, 3 full."""
    eyebrows: int
    eyes: str
    eyelashes: int
    glasses: tuple[str, str] | None
    freckles: float
    blush: float
    lip_colour: float
    moles: tuple[Mole, ...]

    def asdict(self) -> dict[str, Any]:
        return dict(rounded(asdict(self)))


def draw(number: int, **fixed: Any) -> Identity:
    """The person of that number; `fixed` overrides attributes (as a balanced cohort does)."""
    rng = np.random.default_rng([number, 1])
    tone, age, male = int(rng.integers(TONES)), float(rng.uniform(*AGES)), bool(rng.integers(2))
    tone, age = int(fixed.get("skin_tone", tone)), float(fixed.get("age_years", age))
    male = {"male": True, "female": False}.get(str(fixed.get("sex_presentation")), male)
    who: dict[str, Any] = {
        "number": number, "seed": int(rng.integers(1 << 31)), "skin_tone": tone, "undertone": float(rng.normal()),
        "age_years": age, "sex_presentation": "male" if male else "female",
        "masculinity": abs(float(male) - min(0.3, abs(rng.normal(0, 0.07)))),
        "ancestry": tuple(map(float, rng.dirichlet((1, 1, 1)))),
        "muscle": float(rng.uniform(0.35, 0.7)), "weight": float(rng.uniform(0.3, 0.8)),
        "shape": tuple(map(float, rng.normal(size=SHAPE_AXES))),
        "asymmetry": tuple(map(float, rng.normal(0, 0.06, SHAPE_AXES))),
        **_hair(rng, age, male),
        "eyebrows": int(rng.integers(EYEBROWS)) + 1,
        "eyes": str(rng.choice(EYE_COLOURS, p=_EYE_COLOUR_ODDS)),
        "eyelashes": int(rng.choice([1, 3, 4] if not male else [2, 2, 4])),
        "glasses": (str(rng.choice(GLASSES_KINDS)), str(rng.choice(GLASSES_MATERIALS))) if rng.random() < 0.3 else None,
        "freckles": max(0.0, float(rng.normal(-0.2, 0.5))), "blush": float(rng.uniform(0.5, 1.3)),
        "lip_colour": float(rng.uniform(0.3, 1.0) + (0 if male else 0.25)),
        "moles": _moles(rng),
    }  # fmt: skip
    return Identity(**who | fixed)


def _hair(rng: np.random.Generator, age: float, male: bool) -> dict[str, Any]:
    odds = np.array([pair[0 if male else 1] for pair in HAIR_STYLES.values()], float)
    grey = float(np.clip((age - 42) / 30 + rng.normal(0, 0.2), 0, 1)) if age > 40 else 0.0
    recedes = rng.random() < (0.4 if male else 0.04) * (age > 35)
    return {
        "hair": str(rng.choice(list(HAIR_STYLES), p=odds / odds.sum())),
        "hair_colour": str(rng.choice(HAIR_COLOURS, p=_HAIR_COLOUR_ODDS)),
        "grey": grey,
        "recede": float(rng.uniform(0.2, 0.7)) * bool(recedes),
        "beard": int(rng.choice(4, p=(0.45, 0.25, 0.18, 0.12))) if male else 0,
    }


def _moles(rng: np.random.Generator) -> tuple[Mole, ...]:
    """Anywhere on the skin's texture: only those that fall on the face are seen."""
    drawn = rng.random((int(rng.poisson(5)), 4))
    return tuple(
        Mole(0.32 + 0.36 * u, 0.6 + 0.38 * v, 1.5 + 3 * s * s, 0.35 + 0.5 * d) for u, v, s, d in drawn.tolist()
    )


def rounded(value: Any, digits: int = 4) -> Any:
    """Numbers at so many digits, in dictionaries and lists too: a picture never shows more."""
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, dict):
        return {key: rounded(part, digits) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(part, digits) for part in value]
    return value
