"""BlazeFace, short range: where the faces are, roughly (Bazarevsky et al. 2019, arXiv:1907.05047)."""

from dataclasses import dataclass

import cv2
import numpy as np

from likeness.faces.arrays import Floats, Pixels
from likeness.faces.networks import Network

CANVAS = 128
"""Side in pixels of the square that the network sees."""

_MIN_SCORE = 0.5
_SAME_FACE_IOU = 0.3


@dataclass(frozen=True)
class Detection:
    """A rough face: box (x0, y0, x1, y1), six key points (6, 2) in pixels, score in [0, 1].

    The key points are the eye on the picture's left, the other eye, nose tip, mouth, and the two ears in the same order.
    """

    box: Floats
    points: Floats
    score: float


def anchors() -> Floats:
    """Centres (896, 2) in units of the canvas: two a cell of a 16 x 16 grid, then six a cell of an 8 x 8 grid.

    Every anchor has the size of the whole canvas, so that only its centre matters.
    """
    centres = []
    for cells, repeats in ((16, 2), (8, 6)):
        ticks = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(ticks, ticks)
        centres.append(np.stack([x, y], -1).reshape(-1, 2).repeat(repeats, axis=0))
    return np.concatenate(centres)


def weighted_nms(boxes: Floats, points: Floats, scores: Floats) -> list[Detection]:
    """Non-maximum suppression where the winner takes the score-weighted mean of those that it suppresses.

    The mean, BlazeFace's "blending", steadies the box against the coarse anchor grid.
    """
    found = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        near = left[_iou(boxes[left[0]], boxes[left]) >= _SAME_FACE_IOU]
        weights = scores[near] / scores[near].sum()
        found.append(
            Detection(
                box=np.tensordot(weights, boxes[near], 1),
                points=np.tensordot(weights, points[near], 1),
                score=float(scores[left[0]]),
            )
        )
        left = np.setdiff1d(left, np.append(near, left[0]), assume_unique=False)
        left = left[np.argsort(-scores[left], kind="stable")]
    return found


def _iou(box: Floats, others: Floats) -> Floats:
    """Intersection over union of one box (4,) with many (N, 4)."""
    top, bottom = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    overlap = np.clip(bottom - top, 0, None).prod(axis=1)
    area = np.clip(others[:, 2:] - others[:, :2], 0, None).prod(axis=1)
    return np.asarray(overlap / np.maximum((box[2:] - box[:2]).prod() + area - overlap, 1e-9))


class BlazeFace:
    """The detector; finds faces of about 14% of the picture's longer side and up."""

    def __init__(self) -> None:
        self._network = Network("face_detection_short_range.tflite", ["regressors", "classificators"])
        self._anchors = anchors()

    def __call__(self, rgb: Pixels) -> list[Detection]:
        """Rough faces in an RGB picture (height, width, 3), best score first."""
        height, width = rgb.shape[:2]
        scale = CANVAS / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        offset = np.array([(CANVAS - size[0]) // 2, (CANVAS - size[1]) // 2])
        canvas = np.zeros((CANVAS, CANVAS, 3), np.float32)  # grey, once pixels are in [-1, 1]
        resized = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        canvas[offset[1] : offset[1] + size[1], offset[0] : offset[0] + size[0]] = resized / 127.5 - 1
        raw, logits = self._network(canvas.transpose(2, 0, 1)[None])
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -80, 80)))
        good = scores >= _MIN_SCORE
        centres = self._anchors[good] * CANVAS
        raw = raw[0, good]
        middle, side = raw[:, :2] + centres, raw[:, 2:4]
        boxes = np.concatenate([middle - side / 2, middle + side / 2], axis=1)
        points = raw[:, 4:].reshape(-1, 6, 2) + centres[:, None]
        to_picture = np.array([width / size[0], height / size[1]])
        boxes = (boxes.reshape(-1, 2, 2) - offset) * to_picture
        return weighted_nms(boxes.reshape(-1, 4), (points - offset) * to_picture, scores[good])
