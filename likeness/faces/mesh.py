"""Face mesh: 468 landmarks on a rough face, and how sure the network is that there is a face at all."""

import math

import numpy as np

from likeness.faces.arrays import Floats, Pixels
from likeness.faces.face import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from likeness.faces.geometry import Region
from likeness.faces.networks import Network

CROP = 192
"""Side in pixels of the upright crop that the network sees."""

_MARGIN = 1.5  # the crop's side over the face box's longer side, as the network was trained


class FaceMesh:
    """The landmark network; two looks at a face, the second through a crop made from the first one's landmarks."""

    def __init__(self) -> None:
        self._network = Network("face_landmark.tflite", ["conv2d_21", "conv2d_31"])

    def __call__(self, rgb: Pixels, box: Floats, left_eye: Floats, right_eye: Floats) -> tuple[Floats, float]:
        """Landmarks (468, 3) in pixels of the picture, z towards the back in the same unit, and presence in [0, 1]."""
        landmarks, _ = self._look(rgb, Region.around(box, left_eye, right_eye, _MARGIN))
        flat = landmarks[:, :2]
        tight = np.concatenate([flat.min(axis=0), flat.max(axis=0)])
        left, right = flat[LEFT_EYE_CORNERS[0]], flat[RIGHT_EYE_CORNERS[1]]
        return self._look(rgb, Region.around(tight, left, right, _MARGIN))

    def _look(self, rgb: Pixels, region: Region) -> tuple[Floats, float]:
        crop = region.cut(rgb, CROP).astype(np.float32) / 255
        points, logit = self._network(crop.transpose(2, 0, 1)[None])
        points = points.reshape(468, 3)
        to_picture = region.to_picture(CROP)
        landmarks = np.empty_like(points)
        landmarks[:, :2] = points[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
        landmarks[:, 2] = points[:, 2] * region.side / CROP
        return landmarks, 1 / (1 + math.exp(-float(np.clip(logit.ravel()[0], -80, 80))))
