"""A face on a picture, and what follows from its landmarks alone."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from likeness.faces.arrays import Floats

# Landmark numbers of the 468-point mesh. "Left" and "right" are the picture's, for a face that is upright on it.
LEFT_EYE_CORNERS = 33, 133
RIGHT_EYE_CORNERS = 362, 263
NOSE_TIP = 1
MOUTH_CORNERS = 61, 291
FOREHEAD, CHIN = 10, 152
LEFT_CHEEKBONE, RIGHT_CHEEKBONE = 234, 454
# fmt: off
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
LEFT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
RIGHT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
# fmt: on

# Pitch that the line from forehead to chin reads on a face that looks straight ahead: the chin lies behind the forehead in
# the mesh. Fitted on drawn pictures of known pose within 10 degrees of level; on the 48 people of the cohort it is 1.3 degrees off.
_LEVEL_PITCH = 13.6


@dataclass(frozen=True)
class Face:
    """One face.

    box: (x0, y0, x1, y1), the landmarks' bounding box in pixels, which may leave the picture.
    score: the smaller of the detector's and the mesh's confidence, in [0, 1].
    landmarks: (468, 3) float32 in pixels; z grows away from the camera, in the same unit.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: Floats

    @staticmethod
    def from_landmarks(landmarks: Floats, score: float) -> "Face":
        """A face whose box is the bounding box of its landmarks (468, 3)."""
        low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
        box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        return Face(box, score, np.asarray(landmarks, np.float32))

    @property
    def size(self) -> float:
        """Mean side of the box in pixels."""
        return (self.box[2] - self.box[0] + self.box[3] - self.box[1]) / 2

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def eyes(self) -> Floats:
        """Middles of the two eyes (2, 2) in pixels, the picture's left one first."""
        corners = self.landmarks[[*LEFT_EYE_CORNERS, *RIGHT_EYE_CORNERS], :2]
        return np.asarray(corners.reshape(2, 2, 2).mean(axis=1))

    @property
    def points5(self) -> Floats:
        """Eyes, nose tip and mouth corners (5, 2) in pixels: the points that recognisers are aligned by."""
        return np.concatenate([self.eyes, self.landmarks[[NOSE_TIP, *MOUTH_CORNERS], :2]])

    @property
    def yaw(self) -> float:
        """Turn of the head in degrees, positive when it looks to the picture's right."""
        return self._pose[0]

    @property
    def pitch(self) -> float:
        """Nod of the head in degrees, positive when it looks down."""
        return self._pose[1]

    @property
    def roll(self) -> float:
        """Tilt of the head in degrees, positive clockwise on the picture."""
        return self._pose[2]

    @cached_property
    def _pose(self) -> tuple[float, float, float]:
        """Euler angles of the frame spanned by cheekbone to cheekbone and forehead to chin.

        The mesh's z is weak-perspective and in the unit of x, so that the frame can be read off the points directly.
        """
        across, down = axes(self.landmarks.astype(np.float64))
        roll = math.atan2(across[1], across[0])
        yaw = math.atan2(across[2], math.hypot(across[0], across[1]))
        turned_back = np.array([-math.sin(roll), math.cos(roll), 0])
        pitch = math.atan2(down[2], down @ turned_back)
        return math.degrees(yaw), math.degrees(pitch) - _LEVEL_PITCH, math.degrees(roll)

    def moved(self, dx: float, dy: float, scale: float = 1.0) -> "Face":
        """The same face on a picture that was shifted by (dx, dy) and then scaled."""
        landmarks = (self.landmarks + np.array([dx, dy, 0], np.float32)) * np.float32(scale)
        return Face.from_landmarks(landmarks, self.score)


def axes(landmarks: Floats) -> tuple[Floats, Floats]:
    """The head's own x and y, unit vectors (3,) at right angles, of landmarks (468, 3): cheekbone to cheekbone, forehead to chin."""
    across = landmarks[RIGHT_CHEEKBONE] - landmarks[LEFT_CHEEKBONE]
    down = landmarks[CHIN] - landmarks[FOREHEAD]
    across = across / np.linalg.norm(across)
    down = down - (down @ across) * across
    return across, down / np.linalg.norm(down)
