"""Portraits cut from a photograph, square or upright: all of it, head and shoulders, close."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from likeness.faces import Face, FaceFinder
from likeness.faces.framing import TOO_ALIKE, WIDTHS, Crop, corner
from likeness.faces.mask import face_weight

Shape = Literal["square", "portrait"]

_HEIGHTS: dict[Shape, float] = {"square": 1.0, "portrait": 1.25}  # over the width; 4:5 is the print of 8 x 10 inches

_SMALLEST_FACE = 0.12  # of the portrait's width: a smaller one teaches the background
_MOST_ENLARGED = 2.0


@dataclass(frozen=True)
class Frame:
    """A rectangle on a photograph: top left corner, width and height, in pixels."""

    crop: Crop
    left: float
    top: float
    width: float
    height: float
    also: Crop | None = None
    """Of a whole photograph: the closer portrait that it hardly differs from."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1)."""
        return self.left, self.top, self.left + self.width, self.top + self.height

    def shows(self, face: Face) -> bool:
        """Whether any of that face is within it."""
        left, top, right, bottom = self.box
        return face.box[0] < right and face.box[2] > left and face.box[1] < bottom and face.box[3] > top


def portrait_size(shape: Shape, resolution: int) -> tuple[int, int]:
    """(width, height) in px of a portrait that is `resolution` px wide."""
    return resolution, round(resolution * _HEIGHTS[shape])


def frames(face: Face, width: int, height: int, resolution: int, shape: Shape = "square") -> list[Frame]:
    """The portraits worth cutting from a width x height photograph, the widest first; at least one.

    They are moved to lie within the photograph, never padded: an invented border would be learnt. Left out are those
    on which the face would be tiny, that would have to be enlarged too much, or that hardly differ from a wider one.
    """
    taller = _HEIGHTS[shape]
    largest = min(float(width), height / taller)
    whole = replace(_placed("full", largest, taller, face, width, height), also=_also(face, largest, resolution))
    found = [whole] if face.size >= _SMALLEST_FACE * largest else []
    for crop, ratio in WIDTHS.items():
        wanted = ratio * face.size
        wider = found[-1].width if found else math.inf
        if wanted > largest or wider < TOO_ALIKE * wanted or wanted * _MOST_ENLARGED < resolution:
            continue
        found.append(_placed(crop, wanted, taller, face, width, height))
    return found or [whole]


def _also(face: Face, largest: float, resolution: int) -> Crop | None:
    """The portrait that is not cut from a photograph taken closely, because all of it is nearly that already."""
    for crop, ratio in WIDTHS.items():
        apart = largest / (ratio * face.size)
        if max(apart, 1 / apart) < TOO_ALIKE and largest * _MOST_ENLARGED >= resolution:
            return crop
    return None


def _placed(crop: Crop, wide: float, taller: float, face: Face, width: int, height: int) -> Frame:
    high = wide * taller
    return Frame(crop, *corner(crop, face, wide, high, width, height), wide, high)


class Photograph:
    """A photograph and the face on it, to cut portraits from."""

    def __init__(self, picture: Image.Image, face: Face, finder: FaceFinder, others: Sequence[Face] = ()) -> None:
        """`picture`: RGB, upright. `finder` says which pixels are the person. `others`: faces of somebody else."""
        self.picture, self.face, self._others = picture, face, others
        self._person = Image.fromarray((finder.person_mask(np.asarray(picture)) * 255).astype(np.uint8))

    def frames(self, resolution: int, shape: Shape = "square") -> list[Frame]:
        """See `frames`; those that show somebody else's face are left out, unless all do: then it is the closest."""
        found = frames(self.face, self.picture.width, self.picture.height, resolution, shape)
        return [frame for frame in found if not any(frame.shows(other) for other in self._others)] or found[-1:]

    def cut(self, frame: Frame, size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
        """The frame's portrait at `size` (width, height in px), RGB, and how much each of its pixels is face, L."""
        portrait, person = (
            whole.resize(size, Image.Resampling.LANCZOS, box=frame.box) for whole in (self.picture, self._person)
        )
        moved = self.face.moved(-frame.left, -frame.top, size[0] / frame.width)
        weight = face_weight((size[1], size[0]), moved, np.asarray(person, np.float32) / 255)
        return portrait, Image.fromarray(np.round(weight * 255).astype(np.uint8))
