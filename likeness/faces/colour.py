"""Colour as it is measured on skin: CIELAB, and what the standards and the literature derive from it.

Lab is of CIE 1976 under D65, as OpenCV makes it of sRGB: L* in [0, 100], a* and b* about [-128, 128].
"""

import cv2
import numpy as np

from likeness.faces.arrays import Floats, Pixels

MONK = (
    *("#f6ede4", "#f3e7db", "#f7ead0", "#eadaba", "#d7bd96"),
    *("#a07e56", "#825c43", "#604134", "#3a312a", "#292420"),
)
"""The ten swatches of the Monk Skin Tone Scale, lightest first (Monk 2023, doi:10.31235/osf.io/pdf4c, CC BY 4.0)."""

FLOOR = 0.002
"""Light that is added before a logarithm: half a step of 8 bits, so that black is no minus infinity."""
_TINY = 1e-9
_COLOURLESS = 10.0
_SMALL = 64
"""Side in pixels of the picture that is looked at for colour: a pixel alone may be noise."""


def lab(rgb: Pixels) -> Floats:
    """Lab, float32 of the same shape, of sRGB pixels (height, width, 3); OpenCV reads a table, and is within 0.5."""
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def black_and_white(rgb: Pixels) -> bool:
    """Whether a picture (height, width, 3) has next to no colour anywhere: 99 in 100 of its pixels a chroma under 10.

    A mean would call half of the cohort's portraits so, were they in grey before a white wall: there a face is the only colour.
    Measured: pictures of the cohort 17 at least, and no less in grey before white; the pocket base's black and white, which is
    not quite without, 5.
    """
    values = lab(np.asarray(cv2.resize(rgb, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA), np.uint8))
    return bool(np.percentile(np.hypot(values[..., 1], values[..., 2]), 99) < _COLOURLESS)


def ita(colour: Floats) -> float:
    """Individual typology angle in degrees of a Lab colour (3,): lighter skin has the greater angle.

    Chardon, Cretois & Hourseau 1991 (doi:10.1111/j.1467-2494.1991.tb00561.x): arctan((L* - 50) / b*). The arctan of two
    arguments, so that skin without yellow is no division by zero; in (-180, 180], on skin within about 90 of 0.
    """
    return float(np.degrees(np.arctan2(colour[0] - 50, colour[2])))


def hue(colour: Floats) -> float:
    """Hue angle h_ab in degrees of a Lab colour (3,); CIE 15:2018. 0 is red, 90 yellow; skin is about 30 to 75.

    In (-180, 180], so that a little beyond red towards blue is a little less, and not 359: hues are subtracted and averaged.
    """
    return float(np.degrees(np.arctan2(colour[2], colour[1])))


def ciede2000(first: Floats, second: Floats) -> Floats:
    """Colour difference of Lab colours (..., 3), >= 0; about 1 can just be seen, 2 side by side is plain.

    CIE 142-2001, in the form of Sharma, Wu & Dalal 2005 (doi:10.1002/col.20070), whose equations are named here.
    """
    l1, a1, b1 = np.moveaxis(np.asarray(first, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(second, np.float64), -1, 0)
    chroma = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1 + 0.5 * (1 - np.sqrt(chroma / (chroma + 25.0**7)))  # (4), (5)
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)  # (6)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360  # (7)
    grey = c1 * c2 < _TINY
    apart = h2 - h1  # (10)
    apart = np.where(grey, 0, np.where(apart > 180, apart - 360, np.where(apart < -180, apart + 360, apart)))
    dl, dc = l2 - l1, c2 - c1  # (8), (9)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(apart / 2))  # (11)
    l, c = (l1 + l2) / 2, (c1 + c2) / 2  # (12), (13)
    h = np.where(grey, h1 + h2, _mean_hue(h1, h2))  # (14)
    t = 1 - 0.17 * _cos(h - 30) + 0.24 * _cos(2 * h) + 0.32 * _cos(3 * h + 6) - 0.20 * _cos(4 * h - 63)  # (15)
    turn = 60 * np.exp(-(((h - 275) / 25) ** 2))  # (16), twice
    rotation = -2 * np.sqrt(c**7 / (c**7 + 25.0**7)) * np.sin(np.radians(turn))  # (17), (21)
    sl = 1 + 0.015 * (l - 50) ** 2 / np.sqrt(20 + (l - 50) ** 2)  # (18)
    sc, sh = 1 + 0.045 * c, 1 + 0.015 * c * t  # (19), (20)
    squares = (dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rotation * (dc / sc) * (dh / sh)
    return np.asarray(np.sqrt(np.maximum(squares, 0)))  # (22)


def _mean_hue(h1: Floats, h2: Floats) -> Floats:
    """Middle of two hues in degrees, on the shorter way around."""
    middle, far = (h1 + h2) / 2, np.abs(h1 - h2) > 180
    return np.asarray(np.where(far, np.where(h1 + h2 < 360, middle + 180, middle - 180), middle))


def _cos(degrees: Floats) -> Floats:
    return np.asarray(np.cos(np.radians(degrees)))


def monk_position(colour: Floats) -> float:
    """Where a Lab colour (3,) lies along the Monk scale, in [1, 10]: the nearest point (CIE 1976) of the line through its swatches.

    Light moves it as it moves the colour: only the difference between two pictures of one person means something, and
    only that is ever reported. It sorts nobody into a group.
    """
    srgb = np.array([[[int(swatch[i : i + 2], 16) for i in (1, 3, 5)] for swatch in MONK]], np.uint8)
    swatches = lab(srgb)[0].astype(np.float64)
    starts, steps = swatches[:-1], np.diff(swatches, axis=0)
    along = np.clip(((colour - starts) * steps).sum(axis=1) / (steps**2).sum(axis=1), 0, 1)
    far = np.linalg.norm(starts + along[:, None] * steps - colour, axis=1)
    nearest = int(np.argmin(far))
    return 1 + nearest + float(along[nearest])


def linear(srgb: Pixels) -> Floats:
    """Light, float32 in [0, 1] and proportional to it, of sRGB values of any shape (IEC 61966-2-1)."""
    values = srgb.astype(np.float32) / 255
    return np.asarray(np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4), np.float32)


def log_light(srgb: Pixels) -> Floats:
    """log2 of the same light: 1 more is twice as much."""
    return np.asarray(np.log2(linear(srgb) + FLOOR), np.float32)


def lab_of_light(light: Floats) -> Floats:
    """Lab (3,) of one colour given as linear light (3,); what is beyond the gamut is clipped."""
    light = np.clip(light, 0, 1)
    srgb = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(cv2.cvtColor(srgb.astype(np.float32).reshape(1, 1, 3), cv2.COLOR_RGB2Lab)[0, 0])
