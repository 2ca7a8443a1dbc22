"""Square portraits cut from a photograph: all of it, head and shoulders, close."""

import math
from dataclasses import dataclass
from typing import Literal

from likeness.faces import Face

Crop = Literal["full", "shoulders", "close"]

# Side of the square over the face's size, and where on it, from the top, the middle of the face lies.
_SIDES: dict[Crop, float] = {"shoulders": 2.6, "close": 1.55}
_MIDDLE: dict[Crop, float] = {"full": 0.42, "shoulders": 0.42, "close": 0.47}
_SMALLEST_FACE = 0.12  # of the portrait's side: a smaller one teaches the background
_MOST_ENLARGED = 2.0
_TOO_ALIKE = 1.15  # ratio of sides below which two portraits would be the same picture


@dataclass(frozen=True)
class Square:
    """A square on a photograph: top left corner and side, in pixels."""

    crop: Crop
    left: float
    top: float
    side: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1)."""
        return self.left, self.top, self.left + self.side, self.top + self.side


def squares(face: Face, width: int, height: int, resolution: int) -> list[Square]:
    """The portraits worth cutting from a width x height photograph, the widest first; at least one.

    Squares are moved to lie within the photograph, never padded: an invented border would be learnt. Left out are those
    on which the face would be tiny, that would have to be enlarged too much, or that hardly differ from a wider one.
    """
    largest = float(min(width, height))
    found: list[Square] = []
    if face.size >= _SMALLEST_FACE * largest:
        found.append(_placed("full", largest, face, width, height))
    for crop, ratio in _SIDES.items():
        side = ratio * face.size
        wider = found[-1].side if found else math.inf
        if side > largest or wider < _TOO_ALIKE * side or side * _MOST_ENLARGED < resolution:
            continue
        found.append(_placed(crop, side, face, width, height))
    return found or [_placed("full", largest, face, width, height)]


def _placed(crop: Crop, side: float, face: Face, width: int, height: int) -> Square:
    x, y = face.centre
    left = min(max(x - side / 2, 0.0), width - side)
    top = min(max(y - side * _MIDDLE[crop], 0.0), height - side)
    return Square(crop, left, top, side)
