"""Find the faces on a picture: BlazeFace proposes, the face mesh confirms."""

from collections.abc import Sequence

import numpy as np

from likeness.faces.arrays import Floats, Pixels
from likeness.faces.blazeface import BlazeFace, Detection
from likeness.faces.face import Face
from likeness.faces.mesh import FaceMesh
from likeness.faces.segment import PersonSegmenter

_MIN_PRESENCE = 0.5
# BlazeFace misses faces under about 14% of the picture's longer side. When the largest face found is below this share of it,
# others that are a third as large may have been missed, and quarters of the picture are searched too.
_TILES_BELOW = 0.45
_SURE = 0.22  # of the shorter side: a face of that size is as it was found on the whole picture, whatever a quarter of it shows
_TILE_SHARE = 0.6  # of each side, so that a face of a tenth of the picture lies wholly in one of the 2 x 2 tiles
_SAME_FACE = 0.5  # centres nearer than this share of the larger face's size are one face


class FaceFinder:
    """Detector, mesh and segmenter together; each reads its model at first use. Make one an owner: not to be shared."""

    def __init__(self) -> None:
        self._detect = BlazeFace()
        self._mesh = FaceMesh()
        self._segment = PersonSegmenter()

    def find(self, rgb: Pixels) -> list[Face]:
        """Faces on an RGB picture (height, width, 3), largest first; none is an empty list."""
        height, width = rgb.shape[:2]
        faces = self._confirmed(rgb, self._detect(rgb))
        if faces and faces[0].size >= _TILES_BELOW * max(height, width):
            return faces
        sure = faces if faces and faces[0].size >= _SURE * min(height, width) else []
        for x, y, tile in _tiles(rgb):
            shifted = [_shifted(detection, x, y) for detection in self._detect(tile)]
            faces = [*faces, *self._confirmed(rgb, shifted)]
        return _distinct(faces, sure)

    def person_mask(self, rgb: Pixels) -> Floats:
        """How surely each pixel belongs to a person: float32 (height, width) in [0, 1]."""
        return self._segment(rgb)

    def _confirmed(self, rgb: Pixels, detections: list[Detection]) -> list[Face]:
        faces = []
        for detection in detections:
            landmarks, presence = self._mesh(rgb, detection.box, detection.points[0], detection.points[1])
            if presence >= _MIN_PRESENCE:
                faces.append(Face.from_landmarks(landmarks, min(detection.score, presence)))
        return _distinct(faces)


def _tiles(rgb: Pixels) -> list[tuple[int, int, Pixels]]:
    """Four overlapping corners of the picture, each with its offset (x, y)."""
    height, width = rgb.shape[:2]
    tall, wide = max(1, round(height * _TILE_SHARE)), max(1, round(width * _TILE_SHARE))
    corners = [(x, y) for y in (0, height - tall) for x in (0, width - wide)]
    return [(x, y, rgb[y : y + tall, x : x + wide]) for x, y in corners]


def _shifted(detection: Detection, x: int, y: int) -> Detection:
    return Detection(detection.box + np.array([x, y, x, y]), detection.points + np.array([x, y]), detection.score)


def _distinct(faces: list[Face], sure: Sequence[Face] = ()) -> list[Face]:
    """Faces with repeats dropped, largest first; of two that lie on each other the surer one stays, and `sure` ones always."""
    kept = list(sure)
    for face in sorted(faces, key=lambda face: -face.score):
        apart = (np.hypot(*np.subtract(face.centre, other.centre)) / max(face.size, other.size) for other in kept)
        if all(distance >= _SAME_FACE for distance in apart):
            kept.append(face)
    return sorted(kept, key=lambda face: -face.size)
