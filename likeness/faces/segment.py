"""Selfie segmentation: which pixels are the person."""

import cv2
import numpy as np

from likeness.faces.arrays import Floats, Pixels
from likeness.faces.networks import Network

_CANVAS = 256


def grown(person: Floats) -> Floats:
    """A mask (height, width) with the soft edge and the halo of hair that the network leaves out: what is beyond is background."""
    reach = max(3, round(max(person.shape) / 43))
    return np.asarray(cv2.dilate(person.astype(np.float32), np.ones((reach, reach), np.uint8)))


class PersonSegmenter:
    """The segmentation network; sees the whole picture squeezed into a square, as it was trained to."""

    def __init__(self) -> None:
        self._network = Network("selfie_segmentation.tflite", ["activation_10"])

    def __call__(self, rgb: Pixels) -> Floats:
        """How surely each pixel of an RGB picture belongs to a person: float32 (height, width) in [0, 1]."""
        height, width = rgb.shape[:2]
        canvas = cv2.resize(rgb, (_CANVAS, _CANVAS), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        (mask,) = self._network(canvas.transpose(2, 0, 1)[None])
        mask = cv2.resize(mask[0, 0], (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(np.clip(mask, 0, 1))
