"""Face mesh: 468 landmarks on a rough face, and how sure the network is that there is a face at all."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from likeness.faces.arrays import Floats, Pixels
from likeness.faces.networks import Network

CROP = 192
"""Side in pixels of the upright crop that the network sees."""

_MARGIN = 1.5  # the crop's side over the face box's longer side, as the network was trained
_OUTER_EYES = 33, 263  # mesh landmarks, the picture's left eye first


@dataclass(frozen=True)
class Region:
    """A rotated square on a picture: centre (2,) and side in pixels, angle in radians (x axis towards y axis)."""

    centre: Floats
    side: float
    angle: float

    @staticmethod
    def around(box: Floats, left_eye: Floats, right_eye: Floats) -> "Region":
        """The square around a box (x0, y0, x1, y1), turned so that the eyes lie level."""
        across = right_eye - left_eye
        angle = math.atan2(float(across[1]), float(across[0]))
        return Region((box[:2] + box[2:]) / 2, _MARGIN * float((box[2:] - box[:2]).max()), angle)

    def to_picture(self, size: int) -> Floats:
        """Affine map (2, 3) from a size x size crop of the region to the picture."""
        scale = self.side / size
        turn = scale * np.array(
            [[math.cos(self.angle), -math.sin(self.angle)], [math.sin(self.angle), math.cos(self.angle)]]
        )
        return np.column_stack([turn, self.centre - turn @ np.full(2, (size - 1) / 2)])


class FaceMesh:
    """The landmark network; two looks at a face, the second through a crop made from the first one's landmarks."""

    def __init__(self) -> None:
        self._network = Network("face_landmark.tflite", ["conv2d_21", "conv2d_31"])

    def __call__(self, rgb: Pixels, box: Floats, left_eye: Floats, right_eye: Floats) -> tuple[Floats, float]:
        """Landmarks (468, 3) in pixels of the picture, z towards the back in the same unit, and presence in [0, 1]."""
        landmarks, _ = self._look(rgb, Region.around(box, left_eye, right_eye))
        flat = landmarks[:, :2]
        tight = np.concatenate([flat.min(axis=0), flat.max(axis=0)])
        return self._look(rgb, Region.around(tight, flat[_OUTER_EYES[0]], flat[_OUTER_EYES[1]]))

    def _look(self, rgb: Pixels, region: Region) -> tuple[Floats, float]:
        to_picture = region.to_picture(CROP)
        # A far larger region is shrunk first: warpAffine reads single pixels and would alias.
        shrink = min(1.0, 2 * CROP / max(region.side, 1))
        source = rgb if shrink == 1 else cv2.resize(rgb, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        to_source = to_picture * shrink
        crop = cv2.warpAffine(
            source,
            to_source,
            (CROP, CROP),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        points, logit = self._network((crop.astype(np.float32) / 255).transpose(2, 0, 1)[None])
        points = points.reshape(468, 3)
        landmarks = np.empty_like(points)
        landmarks[:, :2] = points[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
        landmarks[:, 2] = points[:, 2] * region.side / CROP
        return landmarks, 1 / (1 + math.exp(-float(np.clip(logit.ravel()[0], -80, 80))))
