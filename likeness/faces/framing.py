"""How much of a picture a portrait takes around a face."""

from __future__ import annotations

from typing import Literal

from likeness.faces.face import Face

Crop = Literal["full", "shoulders", "close"]

# Width of the portrait over the face's size, and where on its height, from the top, the middle of the face lies.
WIDTHS: dict[Crop, float] = {"shoulders": 2.2, "close": 1.55}
MIDDLE: dict[Crop, float] = {"full": 0.42, "shoulders": 0.42, "close": 0.47}
TOO_ALIKE = 1.15
"""Ratio of widths below which two portraits would be the same picture."""


def corner(crop: Crop, face: Face, wide: float, high: float, width: float, height: float) -> tuple[float, float]:
    """Left and top edge in px of a `wide` x `high` portrait, moved to lie within a `width` x `height` picture."""
    x, y = face.centre
    left = min(max(x - wide / 2, 0.0), width - wide)
    top = min(max(y - high * MIDDLE[crop], 0.0), height - high)
    return left, top
