"""The held-out cohort: 48 people balanced over skin tone, age and sex presentation, whom no base may be trained on."""

from __future__ import annotations

from typing import Any

import numpy as np

from .identity import AGES, FIRST_HELD_OUT, TONES

PEOPLE = 48
_BANDS = 4  # of age; with two presentations, PEOPLE is a whole number of every combination of the two


def numbers() -> range:
    return range(FIRST_HELD_OUT, FIRST_HELD_OUT + PEOPLE)


def attributes(number: int) -> dict[str, Any]:
    """Skin tone, age and sex presentation of one of the cohort.

    Every band of age has six people of each presentation, every tone four or five people in all, and within a
    presentation no tone is had by more than one person more than another.
    """
    return _plan()[number - FIRST_HELD_OUT]


def _plan() -> list[dict[str, Any]]:
    rng = np.random.default_rng(48)
    cells = [(band, sex) for band in range(_BANDS) for sex in ("female", "male")]
    low, high = AGES
    plan: list[dict[str, Any]] = []
    for sex, tones in _tones(rng).items():
        for (band, _), mine in zip([cell for cell in cells if cell[1] == sex], tones, strict=True):
            for place, tone in enumerate(mine):
                part = (band + (place + rng.uniform(0.1, 0.9)) / len(mine)) / _BANDS
                plan.append({"skin_tone": tone, "age_years": low + (high - low) * part, "sex_presentation": sex})
    return [plan[index] for index in rng.permutation(len(plan))]


def _tones(rng: np.random.Generator) -> dict[str, list[list[int]]]:
    """For each presentation, the tones of its bands of age: all ten in turn, the second going on where the first ended."""
    each = PEOPLE // 2 // _BANDS
    tones = {}
    for sex, first in (("female", 0), ("male", PEOPLE // 2)):
        # A step of 3 walks through all ten tones, so that a band's six are spread from light to dark.
        walk = [3 * (first + step) % TONES for step in range(each * _BANDS)]
        tones[sex] = [
            [int(tone) for tone in rng.permutation(walk[band * each : (band + 1) * each])] for band in range(_BANDS)
        ]
    return tones
