"""Where the face is, for a loss that cares most about it."""

import cv2
import numpy as np
import numpy.typing as npt

from likeness.faces.arrays import Floats
from likeness.faces.face import CHIN, FOREHEAD, OVAL, Face

# The mesh ends at the hairline and before the ears: its outline is stretched about its middle to take them in.
_WIDER = 1.12
_TALLER_ABOVE = 1.35
_GROWN = 0.05  # of the face's size, all around: on the far side of a turned head a stretch adds next to nothing
_FEATHER = 0.05  # of the face's size: the mask's edge is no edge for the loss


def face_weight(shape: tuple[int, int], face: Face, person: Floats | None = None) -> Floats:
    """Soft mask of a face with its hairline and ears: float32 (height, width), 1 on the face, falling to 0 around it.

    person: how surely each pixel is a person's, (height, width) in [0, 1]; takes the background beside hair and ears out.
    """
    points = face.landmarks[:, :2].astype(np.float64)
    down = points[CHIN] - points[FOREHEAD]
    down /= max(float(np.linalg.norm(down)), 1e-6)
    across = np.array([down[1], -down[0]])
    middle = (points[CHIN] + points[FOREHEAD]) / 2
    outline = points[list(OVAL)] - middle
    x, y = outline @ across * _WIDER, outline @ down
    y = np.where(y < 0, y * _TALLER_ABOVE, y)
    mask = _filled(shape, middle + x[:, None] * across + y[:, None] * down)
    reach = max(1, round(_GROWN * face.size))
    mask = np.asarray(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)), np.float32)
    if person is not None:
        # The segmenter may miss parts of a face, the mesh does not: within its own outline it is believed.
        mask = np.maximum(mask * person, _filled(shape, outline + middle))
    feathered = cv2.GaussianBlur(mask, (0, 0), max(0.5, _FEATHER * face.size), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(feathered, 0, 1), np.float32)


def _filled(shape: tuple[int, int], outline: Floats) -> npt.NDArray[np.float32]:
    mask = np.zeros(shape, np.float32)
    sixteenths = 4  # OpenCV takes corners in fixed point, with so many bits after the point
    cv2.fillPoly(mask, [np.round(outline * 2**sixteenths).astype(np.int32)], 1.0, cv2.LINE_8, sixteenths)
    return mask
