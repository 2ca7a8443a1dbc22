"""Moles and other lasting marks of a person's skin: found on the selfies, looked for again on pictures.

A mark is a small dark spot that three quarters of the selfies show in the same place. Dark means relative to the skin around it, as
the logarithm of light, so that neither light nor skin tone counts; small and round means that the darkness bends upwards
along every direction: the smaller eigenvalue of the Hessian, by which blobs are told from lines such as folds and hair
(Lindeberg 1998, doi:10.1023/A:1008045108935).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from likeness.faces.arrays import Floats, Pixels
from likeness.faces.face import LEFT_EYE, OVAL, RIGHT_EYE, Face
from likeness.faces.frontal import FlatFace
from likeness.faces.regions import NOT_SKIN

_SCALE = 1.7
"""Sigma in grid pixels: blobs of about 5 pixels of 160, 4 mm on a face, answer most."""
_WANDER = 5
"""Grid pixels by which the mesh may misplace a mark from picture to picture."""
_INSET, _MARGIN, _RIMS = -9, 7, 22
"""Grid pixels kept from the outline, where hair falls, from lips, brows and nostrils, whose corners look like marks, and from
the eyes, around which the rims of glasses run."""
_OFTEN = 0.75
"""Share of the selfies showing a place that must show the mark there."""
_LEAST = 0.12
"""Stops by which a spot must be darker than its surroundings on those."""
_LEAST_SELFIES = 4
"""That must show a place for something to be called lasting there."""
_MOST = 12
"""Of the strongest; freckled skin has hundreds, and the strongest tell enough."""
_KEPT = 0.3
"""Share of its darkness on the selfies with which a mark counts as kept: one that is blurred or on lightened skin still does.
Measured on painted moles: kept 0.58 and up, blurred by 4.5 of 256 px 0.22 to 0.76, taken away 0.00 to 0.22 in 22 of 24 pictures."""


@dataclass(frozen=True)
class Marks:
    """A person's lasting marks.

    places: (N, 2) x and y on the flat face's grid.  strength: (N,) stops, reached on three quarters of the selfies.
    """

    flat: FlatFace
    places: npt.NDArray[np.int64]
    strength: Floats

    def found(self, rgb: Pixels, face: Face) -> Floats:
        """How dark each mark is on a picture, over how dark on the selfies, (N,): 1 as on them, 0 gone, NaN out of sight."""
        spots = _spots(self.flat, rgb, face)
        return np.asarray(spots[self.places[:, 1], self.places[:, 0]] / np.maximum(self.strength, 1e-6))

    def kept(self, rgb: Pixels, face: Face) -> float | None:
        """Share of the marks in sight that a picture shows, [0, 1]; None when there are none to be seen."""
        found = self.found(rgb, face)
        in_sight = found[np.isfinite(found)]
        return float((in_sight >= _KEPT).mean()) if len(in_sight) else None


def find_marks(photos: Sequence[tuple[Pixels, Face]]) -> Marks:
    """The marks that photographs of one person (four or more) have in common, the strongest first; often there are none."""
    flat = FlatFace([face for _, face in photos])
    spots = np.stack([_spots(flat, rgb, face) for rgb, face in photos])
    often = np.isfinite(spots).sum(axis=0) >= _LEAST_SELFIES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of places that no photograph shows
        lasting = np.where(often, np.nanquantile(spots, 1 - _OFTEN, axis=0), 0.0)
    places: list[tuple[int, int]] = []
    strength: list[float] = []
    left = lasting.copy()
    while len(places) < _MOST and float(left.max()) >= _LEAST:
        # The greatest within reach is a plateau around the mark, for every photograph's spot was spread: take its middle.
        y, x = np.unravel_index(int(left.argmax()), left.shape)
        near = np.zeros(left.shape, np.uint8)
        cv2.circle(near, (int(x), int(y)), 2 * _WANDER, 1, -1)
        plateau = np.argwhere((lasting >= 0.9 * left[y, x]) & (near > 0))
        row, column = min(plateau, key=lambda spot: float(np.hypot(*(spot - plateau.mean(axis=0)))))
        places.append((int(column), int(row)))
        strength.append(float(lasting[row, column]))
        cv2.circle(near, places[-1], 2 * _WANDER, 1, -1)
        left[near > 0] = 0
    return Marks(flat, np.array(places, np.int64).reshape(-1, 2), np.array(strength, np.float64))


def _spots(flat: FlatFace, rgb: Pixels, face: Face) -> Floats:
    """The darkest small spot within reach of each grid pixel (GRID, GRID) in stops >= 0; NaN where no skin is seen."""
    light = (cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255) ** 2.2
    laid, seen = flat.lay(np.log2(light + 0.005), face)  # half a percent: the sensor's floor, below which all is noise
    smooth = cv2.GaussianBlur(laid, (0, 0), _SCALE)
    xx, yy = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, scale=0.25), cv2.Sobel(smooth, cv2.CV_32F, 0, 2, scale=0.25)
    xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, scale=0.25)
    smaller = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    near_eyes = flat.within([LEFT_EYE, RIGHT_EYE], _RIMS)
    skin = flat.within([OVAL], _INSET) & ~flat.within(NOT_SKIN, _MARGIN) & ~near_eyes & seen
    depth = np.where(skin, np.maximum(smaller, 0) * _SCALE**2, 0).astype(np.float32)
    reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _WANDER + 1,) * 2)
    return np.asarray(np.where(skin, cv2.dilate(depth, reach), np.nan))
