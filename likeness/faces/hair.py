"""How grey hair is: how much blue light it gives back.

Both pigments of hair absorb blue most, three and five times as strongly as red (d'Eon et al. 2011, "An Energy-Conserving
Hair Reflectance Model", doi:10.1111/j.1467-8659.2011.01976.x). So it is blue that black, brown, red and blond hair all lack,
and that comes back with every strand whose pigment has gone; lightness or chroma alone would take blond for grey, or black.

No network at hand tells hair from the rest of a person. It is looked for where it grows, between the upper edge of the face
and the top of the head, and is what does not have the skin's colour there. Measured on 48 drawn people: that is 0.39 of the
place and more (median of a person's selfies) with hair, 0.29 and less on the three bald heads. What this cannot tell:
a hat or a scarf is hair to it, bleached hair is grey, and hair that is gone is nothing, not a drift.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from likeness.faces import colour
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.face import CHIN, FOREHEAD, OVAL, Face
from likeness.faces.geometry import Region
from likeness.faces.regions import LEFT_BROW, RIGHT_BROW

_SIDE, _MARGIN = 192, 2.0
"""Pixels of the upright crop that is measured on, and its side over the face's."""
_FOCUS = 1.35
"""Sigma in its pixels of a blur before colours are read: single strands shine and shade each other."""
_ABOVE, _TOP, _WIDER = 1.18, 1.5, 1.25
"""Between the face's outline, which ends at the hairline, stretched so far upwards about its middle, and the top of the head."""
_PERSON = 0.7
_OTHER_TINT, _DARKER = 0.5, 1.0
"""Stops by which red over blue differs from the skin's, or by which it is darker, in what is not skin: light brown hair on
brown skin differs by no more, and the gloss and the shade of a bald head by less."""
_LEAST, _LEAST_PIXELS = 0.4, 120
"""Share of the place, and pixels of the crop, under which there is too little hair."""


def blue_of_hair(rgb: Pixels, face: Face, person: Floats, skin: Floats) -> float:
    """log2 of the linear blue light of the hair, median over its pixels; 1 more is twice the light. NaN with too little hair.

    person: how surely each pixel of the RGB picture (height, width, 3) is a person's, (height, width) in [0, 1].  skin: (3,) log2
    of linear red, green and blue, as `SkinReading` has it.  The picture's light is in it: compare it with `SkinReading.light`.
    """
    logs = _place(rgb, face, person)
    other = logs - skin
    hair = (np.abs(other[:, 0] - other[:, 2]) > _OTHER_TINT) | (other.mean(axis=1) < -_DARKER)
    if hair.sum() < max(_LEAST_PIXELS, _LEAST * len(logs)):
        return math.nan
    return float(np.median(logs[hair, 2]))


def _place(rgb: Pixels, face: Face, person: Floats) -> npt.NDArray[np.float32]:
    """log2 of linear red, green and blue (N, 3) of the person's pixels where hair grows on an upright head."""
    region = Region.of_face(face, _MARGIN)
    points = region.on_crop(face.landmarks[:, :2], _SIDE)
    crop = region.cut(np.dstack([rgb, np.round(255 * person).astype(np.uint8)]), _SIDE)
    middle = (points[CHIN] + points[FOREHEAD]) / 2
    place = (
        _outline(points, middle, _WIDER, _TOP) & ~_outline(points, middle, 1.0, _ABOVE) & (crop[..., 3] > 255 * _PERSON)
    )
    place[int(max(0.0, points[[*LEFT_BROW, *RIGHT_BROW], 1].min())) :] = False  # beside the face are ears
    soft = np.asarray(cv2.GaussianBlur(crop[..., :3], (0, 0), _FOCUS), np.uint8)
    return np.asarray(colour.log_light(soft[place]))


def _outline(points: Floats, middle: Floats, wider: float, taller: float) -> npt.NDArray[np.bool_]:
    """The face's outline on the crop, its upper half stretched about its middle."""
    off = points[list(OVAL)] - middle
    stretched = off * np.column_stack([np.full(len(off), wider), np.where(off[:, 1] < 0, taller, 1.0)])
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    cv2.fillPoly(mask, [np.round(middle + stretched).astype(np.int32)], 1)
    return mask > 0
