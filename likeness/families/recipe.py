"""How a base likes to be drawn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from likeness.gates import Gates
from likeness.settings import Settings

RECIPE_FILE = "recipe.json"


class Recipe(Settings):
    """How a base likes to be sampled. A base folder may bring its own as `recipe.json`; else the family's holds."""

    steps: int = 30
    guidance_scale: float = 6.0
    """1 is none (Ho and Salimans 2022, arXiv 2207.12598), also where the stock pipeline calls that 0."""
    guidance_from: Literal["words", "base"] = "words"
    """What it leads away from: the negative words, or what the base draws of the same words without the adapter (`guidance.py`).

    Where there is no adapter that can be switched off, from words.
    """
    words_scale: float = Field(1.0, ge=1)
    """Where it leads away from the base: how far what the base itself predicts is led away from the negative words, besides; 1 is none."""
    guidance_rescale: float = 0.0
    """Lin et al. 2023, arXiv 2305.08891: keeps guidance from over-exposing, above all with zero terminal SNR."""
    eta: float = Field(0.0, ge=0, lt=1)
    """Noise that DDIM puts back at every step: 0 is none, 1 as much as DDPM (Song et al. 2021, arXiv 2010.02502, equation 16).

    With some, a base can take back what it began wrongly. Not 1: with zero terminal SNR the first step would be no number.
    """
    face_strength: float = Field(0.0, ge=0, lt=1)
    """Share of the noise from which a second pass draws the face again, closer (img2img's strength); 0 is no such pass."""
    negative: bool = True
    """Whether the base knows what to make of a negative prompt; else guidance is away from the empty one."""
    scheduler: str = "base"
    gates: Gates = Gates()
    """What is done about pictures on which a check finds something, unless the render says otherwise."""
