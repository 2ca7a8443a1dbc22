"""How good a picture of a face is: sharpness, exposure, light, eyes, glasses, and how much of it is on the picture.

Everything here is a number read off pixels and landmarks; where to draw the line is the caller's. The measured figures are
of 768 drawn pictures of 48 people (256 px, faces of 77 to 136 px, all skin tones) unless another source is named.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from likeness.faces.arrays import Floats, Pixels
from likeness.faces.face import LEFT_EYE, OVAL, RIGHT_EYE, Face
from likeness.faces.geometry import Region, similarity_transform
from likeness.faces.regions import LEFT_CHEEK, RIGHT_CHEEK, inside

_CROP = 256
_BORDER = 25  # pixels of the crop left out on each side: background, and what a warp repeats beyond the picture's edge
_GAMMA = 2.2  # pixel values are about light to the power of 1 / 2.2, so that a stop is 1 / 2.2 of a doubling of them
_COLOUR = 6.0  # a line whose share of red or blue differs by a sixth counts as a black one

# Landmarks around the strip below each eye.
_LEFT_LID = (110, 24, 23, 22, 26, 112, 232, 231, 230, 229, 228, 31, 25)
_RIGHT_LID = (339, 254, 253, 252, 256, 341, 452, 451, 450, 449, 448, 261, 255)


@dataclass(frozen=True)
class Exposure:
    """Luma of face and picture, all of [0, 1].

    bright: 95th percentile on the face.  white: 99.5th percentile of the whole picture.  burnt: share of the face where
    two of three colours are at the top of the scale. Dark skin and under-exposure differ in `white`: under-exposed, nothing on the picture is bright.
    """

    bright: float
    white: float
    burnt: float


@dataclass(frozen=True)
class EyeVisibility:
    """Of the better visible eye, relative to the cheek's brightness.

    contrast: spread from dark to bright within the eye.  lid: brightness of the skin right below the eye.
    """

    contrast: float
    lid: float


def sharpness(rgb: Pixels, face: Face) -> float:
    """1 minus the blur of the upright 256 px face crop, in [0, 1], by how little a further blur changes.

    Crete et al. 2007 ("The blur effect"), which by its construction does not depend on contrast or brightness; along the
    axis that is blurred more, so that camera shake counts. A slight blur comes first, for noise looks like detail.
    Measured: untouched 0.25 to 0.61; blurred by sigma 2 px of the crop 0.18 to 0.42, by 3 px 0.13 to 0.29; shaken by
    14 px 0.13 to 0.34. Strong noise on a blurred photograph still hides the blur.
    """
    crop = Region.of_face(face, margin=1.0).cut(rgb, _CROP)
    luma: Floats = np.asarray(cv2.GaussianBlur(_luma(crop), (0, 0), 1.0), np.float32)[
        _BORDER:-_BORDER, _BORDER:-_BORDER
    ]
    return 1.0 - max(blur_along_rows(luma.T), blur_along_rows(luma))


def blur_along_rows(luma: Floats) -> float:
    """The share of the differences between horizontal neighbours that an 11-pixel mean along rows does not remove."""
    before = np.abs(np.diff(luma, axis=1))
    smoothed = cv2.blur(np.ascontiguousarray(luma), (11, 1), borderType=cv2.BORDER_REFLECT)
    lost = np.maximum(0, before - np.abs(np.diff(smoothed, axis=1)))
    return 1.0 - float(lost.sum() / max(float(before.sum()), 1e-6))


def exposure(rgb: Pixels, face: Face) -> Exposure:
    """Luma statistics of the face and the picture."""
    luma = _luma(rgb)
    skin = inside(luma, face, OVAL)
    second = np.median(inside(rgb, face, OVAL), axis=-1)
    return Exposure(
        bright=float(np.percentile(skin, 95)) / 255,
        white=float(np.percentile(luma, 99.5)) / 255,
        burnt=float((second >= 250).mean()),
    )


def colour(rgb: Pixels, face: Face) -> float:
    """How far the skin is from grey, in [0, 1]: median distance of a pixel's strongest colour from its weakest.

    Measured: 0.11 and up, on skin of every tone and in every light; 0 on what was turned black and white.
    """
    return float(np.median(np.ptp(inside(rgb, face, OVAL), axis=-1))) / 255


def blueness(rgb: Pixels, face: Face) -> float:
    """How much bluer than red the skin is, in [-1, 1]: median over its pixels.

    Measured on skin of every tone: -0.11 and less as taken, in the light of a blue sky (12,000 K) up to 0.04, before a screen up to 0.10.
    """
    skin = inside(rgb, face, OVAL).astype(np.int16)
    return float(np.median(skin[..., 2] - skin[..., 0])) / 255


def light_side(rgb: Pixels, face: Face) -> float:
    """By how many stops the cheek on the picture's left is brighter than the one on its right.

    Either sign; measured: within 1.5 stops for nine tenths, 2.5 at most.
    """
    luma = _luma(rgb)
    left, right = (float(np.median(inside(luma, face, cheek))) + 4 for cheek in (LEFT_CHEEK, RIGHT_CHEEK))
    return _GAMMA * float(np.log2(left / right))


def eye_visibility(rgb: Pixels, face: Face) -> EyeVisibility:
    """How much of the better visible eye there is to see.

    Measured: open eyes, also behind clear glasses, contrast 0.19 and up (1 in 20 below 0.5), lid 0.71 and up; black lenses, painted, contrast
    0 and lid mostly under 0.4. One eye behind hair or turned away is common in good selfies, so that the better one counts.
    """
    luma = _luma(rgb)
    contrasts, lids = [], []
    for eye, lid, cheek in ((LEFT_EYE, _LEFT_LID, LEFT_CHEEK), (RIGHT_EYE, _RIGHT_LID, RIGHT_CHEEK)):
        skin = float(np.median(inside(luma, face, cheek))) + 1
        dark, bright = np.percentile(inside(luma, face, eye), [5, 95])
        contrasts.append(float(bright - dark) / skin)
        lids.append(float(np.median(inside(luma, face, lid))) / skin)
    return EyeVisibility(max(contrasts), max(lids))


GLASSES_RIM = 0.15
"""Of `glasses_rim`, from which glasses are worn: 47 pictures that the pocket base drew of people without have 0.106 at most."""


def glasses_rim(rgb: Pixels, face: Face) -> float:
    """How strong a thin line runs below the eyes, where the lower rim of glasses would be: darker than the skin, or of another
    colour, for a red rim on dark skin is no darker than the skin. Relative to the skin's light; colour counts as _COLOUR says.

    The black-hat transform keeps dark lines that are thinner than its window, the top-hat transform light ones. Measured on the
    cohort's selfies: 360 without glasses 0.123 at most; rims of horn or colour above 0.15 on 180 of 180, by darkness alone on
    163; wire rims on 25 of 36. Rimless glasses are not seen.
    """
    eyes = np.array([[70.0, 80.0], [170.0, 80.0]])  # 100 px apart on a crop of 240 x 200
    matrix = similarity_transform(face.eyes.astype(np.float64), eyes)
    upright = cv2.warpAffine(
        rgb.astype(np.float32), matrix, (240, 200), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    upright = cv2.GaussianBlur(upright, (0, 0), 1.0)
    luma = np.asarray(cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY), np.float32)
    dark = _line_below_the_eyes(luma, cv2.MORPH_BLACKHAT) / (float(np.median(luma[100:150, 40:200])) + 2)
    # Shares of red and blue, which shade does not change; in the dark they are noise, and go to a third.
    shares = (upright[..., ::2] + 6.7) / (upright.sum(axis=-1, keepdims=True) + 20)
    coloured = [
        _line_below_the_eyes(np.ascontiguousarray(shares[..., channel]), kind)
        for channel in (0, 1)
        for kind in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT)
    ]
    return max(dark, _COLOUR * max(coloured))


def _line_below_the_eyes(values: npt.NDArray[np.float32], kind: int) -> float:
    """Of the clearer side: what a transform leaves of lines across the columns of an upright crop, on most of the columns."""
    lines = cv2.morphologyEx(values, kind, np.ones((15, 1), np.uint8))
    below = [lines[98:140, middle - 25 : middle + 25].max(axis=0) for middle in (70, 170)]
    return max(float(np.percentile(columns, 40)) for columns in below)


def share_on_picture(face: Face, height: int, width: int) -> float:
    """Share of the face's outline, by area, that lies on a picture of that size, in [0, 1]."""
    outline = face.landmarks[list(OVAL), :2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    whole = cv2.contourArea(cv2.convexHull(outline))
    common, _ = cv2.intersectConvexConvex(cv2.convexHull(outline), corners)
    return float(common / max(whole, 1e-6))


def _luma(rgb: Pixels) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
