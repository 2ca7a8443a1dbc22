"""The skin on a picture: its colour under the person's own light, and how much fine texture it has.

A photograph's light changes the colour of skin far more than any retouching does. So the light is read off the same face:
lips, brows and eyes hang in the same light as the cheeks, and have their own colour on every picture of the person. What they
changed by, channel by channel (von Kries 1902), is taken out of the skin. Measured on 48 drawn people: the median spread over
ten selfies falls from 3.7 to 1.5 in L*, and from 3.4 to 1.3 degrees in hue.
A retouching that lightens lips, brows and eyes along with the skin looks like light, and is not seen. What is small blurs into
the skin around it, and thin or pale brows are half skin: of a lightening of 18 L* that spares all three, 9 are read (5 to 11).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from likeness.faces import colour
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.face import LEFT_EYE, RIGHT_EYE, Face
from likeness.faces.geometry import Region
from likeness.faces.regions import LEFT_BROW, LIPS, RIGHT_BROW, SKIN, inside

_SIDE = 128
"""Pixels of the upright crop that is measured on: every selfie and picture has more, so that none is enlarged."""
_MARGIN = 1.2
_FOCUS = 1.5
"""Sigma in its pixels of a blur before colours are read, so that the picture's own sharpness hardly changes them."""
_FINE, _COARSE = 0.8, 1.6
"""Sigmas, in pixels of that crop, between which detail counts: finer is the camera's noise, coarser is shading."""
_LEAST_TEXTURE = 0.02
_OUTLYING = 3.0
"""Robust deviations from which a detail is a mole or a hair and no texture."""


@dataclass(frozen=True)
class SkinReading:
    """One picture's skin and light, each (3,): log2 of linear red, green and blue.

    skin: mean of the medians of cheeks and lower forehead.  light: mean of lips, brows and eyes.
    """

    skin: Floats
    light: Floats

    def under(self, light: Floats) -> Floats:
        """Lab (3,) of the skin as it would look in the light (3,) of another reading."""
        return colour.lab_of_light(2.0 ** (self.skin - self.light + light) - colour.FLOOR)


def read_skin(rgb: Pixels, face: Face) -> SkinReading:
    """Reads one face on an RGB picture (height, width, 3)."""
    rgb, face = _canonical(rgb, face)
    rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), _FOCUS), np.uint8)
    skin = [_median(_logs(rgb, face, part)) for part in SKIN]
    brows = np.concatenate([_logs(rgb, face, LEFT_BROW), _logs(rgb, face, RIGHT_BROW)])
    # Of the eyes the mean light: their white alone is a few pixels, with a highlight or without, and spreads far more.
    eyes = np.concatenate([colour.linear(inside(rgb, face, eye)) for eye in (LEFT_EYE, RIGHT_EYE)])
    light = [_median(_logs(rgb, face, LIPS)), _median(brows), np.log2(eyes.mean(axis=0) + colour.FLOOR)]
    return SkinReading(np.mean(skin, axis=0), np.mean(light, axis=0))


def texture(rgb: Pixels, face: Face) -> float:
    """log2 of the robust amplitude of fine detail on cheeks and forehead, in L* at a face of about 107 px.

    1 less is half the texture. The band between two Gaussians, as in a Laplacian pyramid (Burt & Adelson 1983); 1.4826 of
    the median absolute value, of what remains without outliers, so that a mole or a strand of hair hardly counts. Noise looks like texture.
    """
    crop, face = _canonical(rgb, face)
    lightness = colour.lab(crop)[..., 0]
    band = cv2.GaussianBlur(lightness, (0, 0), _FINE) - cv2.GaussianBlur(lightness, (0, 0), _COARSE)
    values = np.concatenate([inside(band, face, part) for part in SKIN])
    amplitudes = np.abs(values - np.median(values))
    fine = amplitudes[amplitudes <= _OUTLYING * 1.4826 * np.median(amplitudes)]
    return float(np.log2(1.4826 * np.median(fine) + _LEAST_TEXTURE))


def _canonical(rgb: Pixels, face: Face) -> tuple[Pixels, Face]:
    """The upright crop, and the face on it."""
    region = Region.of_face(face, _MARGIN)
    landmarks = np.column_stack([region.on_crop(face.landmarks[:, :2], _SIDE), face.landmarks[:, 2]])
    return region.cut(rgb, _SIDE), Face.from_landmarks(landmarks, face.score)


def _logs(rgb: Pixels, face: Face, part: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return np.asarray(colour.log_light(inside(rgb, face, part)), np.float32)


def _median(logs: Floats) -> Floats:
    return np.asarray(np.median(logs, axis=0), np.float64)
