"""Shifts, turns and scales between a picture and an upright crop of it."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from likeness.faces.arrays import Floats, Pixels
from likeness.faces.face import Face


@dataclass(frozen=True)
class Region:
    """A rotated square on a picture: centre (2,) and side in pixels, angle in radians (x axis towards y axis)."""

    centre: Floats
    side: float
    angle: float

    @staticmethod
    def around(box: Floats, left_eye: Floats, right_eye: Floats, margin: float) -> "Region":
        """The square around a box (x0, y0, x1, y1), margin times its longer side, turned so that the eyes lie level."""
        across = right_eye - left_eye
        angle = math.atan2(float(across[1]), float(across[0]))
        return Region((box[:2] + box[2:]) / 2, margin * float((box[2:] - box[:2]).max()), angle)

    @staticmethod
    def of_face(face: Face, margin: float) -> "Region":
        """The square around a face."""
        left, right = face.eyes
        return Region.around(np.array(face.box), left, right, margin)

    def to_picture(self, size: int) -> Floats:
        """Affine map (2, 3) from a size x size crop of the region to the picture."""
        scale = self.side / size
        turn = scale * np.array(
            [[math.cos(self.angle), -math.sin(self.angle)], [math.sin(self.angle), math.cos(self.angle)]]
        )
        return np.column_stack([turn, self.centre - turn @ np.full(2, (size - 1) / 2)])

    def on_crop(self, points: Floats, size: int) -> Floats:
        """Where points (N, 2) of the picture, in pixels, lie on a size x size crop."""
        to_crop = cv2.invertAffineTransform(self.to_picture(size))
        return np.asarray(points @ to_crop[:, :2].T + to_crop[:, 2])

    def cut(self, rgb: Pixels, size: int) -> Pixels:
        """The region as an upright crop (size, size, 3); what lies outside of the picture repeats its edge."""
        # A far larger region is shrunk first: warpAffine reads single pixels and would alias.
        shrink = min(1.0, 2 * size / max(self.side, 1.0))
        source = rgb if shrink == 1 else cv2.resize(rgb, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        crop = cv2.warpAffine(
            source,
            self.to_picture(size) * shrink,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(crop, np.uint8)


def similarity_transform(source: Floats, target: Floats) -> Floats:
    """Least-squares shift, turn and scale (2, 3) from source to target points (N, 2); Umeyama 1991, no reflection."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    x, y = source - source_mean, target - target_mean
    u, spread, vt = np.linalg.svd(y.T @ x / len(source))
    signs = np.array([1.0, np.sign(np.linalg.det(u @ vt))])
    turn = (u * signs) @ vt
    scale = (spread * signs).sum() / (x**2).sum(axis=1).mean()
    return np.column_stack([scale * turn, target_mean - scale * turn @ source_mean])
