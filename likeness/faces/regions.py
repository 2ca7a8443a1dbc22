"""Parts of a face by the outlines of the mesh: what is skin, and what beside it tells of the light."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from likeness.faces.face import LEFT_EYE, RIGHT_EYE, Face

_SMALLEST_REGION = 4  # pixels; less than that says nothing

# fmt: off
LEFT_CHEEK = (117, 118, 101, 36, 205, 187, 123)
RIGHT_CHEEK = (346, 347, 330, 266, 425, 411, 352)
LOW_FOREHEAD = (107, 9, 336, 337, 151, 108)
"""Above the nose and between the brows' upper ends: further up and out a fringe may hang."""
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
LEFT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
RIGHT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
NOSTRILS = (64, 98, 2, 327, 294, 4)
# fmt: on

SKIN = LEFT_CHEEK, RIGHT_CHEEK, LOW_FOREHEAD
NOT_SKIN = LEFT_EYE, RIGHT_EYE, LIPS, LEFT_BROW, RIGHT_BROW, NOSTRILS


def inside(picture: npt.NDArray[Any], face: Face, landmarks: tuple[int, ...]) -> npt.NDArray[Any]:
    """Values (N,) or (N, 3) of the pixels within a polygon of landmarks; one mid-grey pixel where it is off the picture."""
    height, width = picture.shape[:2]
    points = face.landmarks[list(landmarks), :2]
    low = np.clip(np.floor(points.min(axis=0)).astype(int), 0, [width, height])
    high = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, 0, [width, height])
    part = picture[low[1] : high[1], low[0] : high[0]]
    nothing = np.full((1, *picture.shape[2:]), 128, picture.dtype)
    if part.size == 0:
        return nothing
    within = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(within, [np.round(points - low).astype(np.int32)], 1)
    values = part[within > 0]
    return values if len(values) >= _SMALLEST_REGION else nothing
