"""Does a picture show what was asked for? Only what pixels tell without a model: background, clothes, framing, pose, colour or
not, glasses. Whatever else a prompt says is not checked, and says so by being absent.

Colours are regions of lightness, chroma and hue in CIELAB, wide enough for light and shade, for which neighbours overlap: a
navy suit may well pass for black. Measured on pictures of 48 drawn people, whose words are true: 192 studio backgrounds all agree
with the name of their own colour, and 281 outfits in 99%.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from likeness.faces.arrays import Floats, Pixels
from likeness.faces.colour import black_and_white, hue, lab
from likeness.faces.face import Face
from likeness.faces.quality import GLASSES_RIM, glasses_rim
from likeness.faces.segment import grown

CLOSE_UP, HEAD_AND_SHOULDERS = 0.55, 0.24
"""Face size over the picture's width, from which a portrait is called so; as the captions of the training have it."""

_POSES = ((10, "facing the camera"), (30, "head turned slightly"), (60, "three-quarter view"), (90, "profile view"))
"""Up to how many degrees of yaw a head is said to be turned so, to whichever side: a mirrored picture keeps its words."""

_PLAIN = 3.2
"""Lab units of variation about a smooth surface, in the middle two thirds of a background's pixels, on a picture 48 px wide, under which it
is plain: a studio's falls off evenly. At 3.0 to 3.3 fewest of 536 pictures of drawn people err that were made 256 px wide and brought through
*pocket*'s autoencoder (2.4%), and one of the pictures themselves. A room may well show a bare wall, and is not judged."""
_LEAST_PIXELS = 200
_BELOW_CHIN, _BESIDE = 0.45, 0.55
"""Of the face's size: what lies so far below the chin, and so far from the face's middle, is clothes. Nearer are neck and hair, and
close-ups show no more than that, of which a tenth were judged by the colour of the skin."""
_SCENES = re.compile(r"\b(outdoors?|librar(y|ies)|offices?|street|park|garden|city)\b")
_STUDIO = re.compile(r"\bstudio (background|backdrop)\b")
_BLACK_AND_WHITE = re.compile(r"\b(black[ -]and[ -]white|monochrome|greyscale|grayscale)\b")
_GLASSES = re.compile(r"\b(glasses|spectacles)\b")
WEARING_GLASSES = "wearing glasses"

# Name: lightness, chroma, hue in degrees, each from and to; a hue that ends beyond 360 goes on from 0.
_REGIONS: Mapping[str, tuple[float, ...]] = {
    "white": (58, 101, 0, 13, 0, 360),
    "light grey": (42, 95, 0, 14, 0, 360),
    "grey": (14, 75, 0, 13, 0, 360),
    "black": (0, 30, 0, 12, 0, 360),
    "dark": (0, 32, 0, 60, 0, 360),
    "beige": (35, 95, 4, 26, 35, 110),
    "brown": (10, 65, 6, 45, 20, 95),
    "red": (15, 75, 22, 120, 345, 405),
    "burgundy": (5, 55, 12, 60, 330, 410),
    "pink": (45, 95, 10, 80, 315, 395),
    "orange": (35, 90, 28, 120, 38, 78),
    "yellow": (30, 100, 18, 120, 76, 118),
    "green": (10, 90, 9, 120, 105, 180),
    "teal": (8, 90, 7, 80, 165, 235),
    "blue": (20, 85, 12, 100, 235, 305),
    "navy": (3, 48, 5, 45, 240, 315),
    "purple": (12, 80, 14, 100, 285, 345),
}


@dataclass(frozen=True)
class Followed:
    """One thing that was asked for, what was found, and whether they agree."""

    asked: str
    found: str
    agrees: bool


def following(rgb: Pixels, face: Face, person: Floats, prompt: str, slots: Mapping[str, str]) -> dict[str, Followed]:
    """What can be checked of a prompt on an RGB picture (height, width, 3), by what it is about.

    person: how surely each pixel is a person's, (height, width) in [0, 1].  slots: the prompt's words for "background",
    "outfit", "framing" and "pose", of which any may be missing.
    """
    values, text = lab(rgb), " ".join((prompt, *slots.values())).lower()
    background, outfit = (slots.get(name, "").lower() for name in ("background", "outfit"))
    # A black and white shirt makes no black and white picture.
    asked_grey = bool(_BLACK_AND_WHITE.search(text.replace(outfit, "").replace(background, "")))
    found: dict[str, Followed] = {"colour": _colour(rgb, asked_grey)}
    free = values[grown(person) < 0.2]
    if (_STUDIO.search(background) or _SCENES.search(background)) and len(free) >= _LEAST_PIXELS:
        found["background kind"] = _kind(values, person, background)
    if _STUDIO.search(background) and not asked_grey and len(free) >= _LEAST_PIXELS:
        found |= _named("background colour", background, free)
    clothes = values[(person > 0.8) & _shoulders(rgb.shape[:2], face)]
    if not asked_grey and len(clothes) >= _LEAST_PIXELS:
        found |= _named("outfit colour", outfit, clothes)
    if framing := _framing(slots.get("framing", "").lower(), face.size / rgb.shape[1]):
        found["framing"] = framing
    if pose := _pose(slots.get("pose", "").lower(), face.yaw):
        found["pose"] = pose
    if _GLASSES.search(text):
        worn = glasses_rim(rgb, face) >= GLASSES_RIM
        wanted = not re.search(r"\b(no|without) (glasses|spectacles)\b", text)
        found["glasses"] = Followed("glasses" if wanted else "none", "glasses" if worn else "none", worn == wanted)
    return found


def with_glasses(prompt: str, worn: bool) -> str:
    """The prompt, and that glasses are worn, where they are and it says nothing of glasses itself."""
    return f"{prompt}, {WEARING_GLASSES}" if worn and not _GLASSES.search(prompt.lower()) else prompt


def pose_words(yaw: float) -> str:
    """How a photographer calls a head that is turned by so many degrees from the camera; the side does not matter."""
    return next((words for most, words in _POSES if abs(yaw) < most), _POSES[-1][1])


def colour_in(words: str) -> str | None:
    """The first colour that a text names; None without one, or for a pattern of several: "blue and white"."""
    names = "|".join(sorted(_REGIONS, key=len, reverse=True))
    found = re.search(rf"\b({names})\b( and (?:{names})\b)?", words.replace("gray", "grey"))
    return found.group(1) if found and not found.group(2) else None


def is_colour(name: str, colour: Floats) -> bool:
    """Whether a Lab colour (3,) may be called by that name."""
    light_low, light_high, chroma_low, chroma_high, hue_low, hue_high = _REGIONS[name]
    chroma = float(np.hypot(colour[1], colour[2]))
    angle = hue(colour)
    if not (light_low <= colour[0] <= light_high and chroma_low <= chroma <= chroma_high):
        return False
    return hue_low <= angle <= hue_high or hue_low <= angle + 360 <= hue_high


def _named(what: str, words: str, pixels: Floats) -> dict[str, Followed]:
    name = colour_in(words)
    if name is None:
        return {}
    middle = np.median(pixels, axis=0)
    fitting = [other for other in _REGIONS if is_colour(other, middle)]
    return {what: Followed(name, " or ".join(fitting) or "no colour with a name", name in fitting)}


def _kind(values: Floats, person: Floats, words: str) -> Followed:
    small = cv2.resize(values, (48, 48), interpolation=cv2.INTER_AREA)
    free = cv2.resize(grown(person), (48, 48), interpolation=cv2.INTER_AREA) < 0.2
    y, x = (np.nonzero(free)[axis] / 48 for axis in (0, 1))
    smooth = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    rest = small[free] - smooth @ np.linalg.lstsq(smooth, small[free], rcond=None)[0]
    # The middle two thirds, for hair that is taken for background is no variation of it.
    low, high = np.quantile(rest, (0.16, 0.84), axis=0) if len(rest) else np.zeros((2, 3))
    variation = float(np.linalg.norm(high - low)) / 2
    asked = "plain" if _STUDIO.search(words) else "a place"
    found = "plain" if variation < _PLAIN else "a place"
    return Followed(asked, found, asked == found)


def _colour(rgb: Pixels, asked_grey: bool) -> Followed:
    names = {True: "black and white", False: "colour"}
    found = black_and_white(rgb)
    return Followed(names[asked_grey], names[found], asked_grey == found)


def _shoulders(shape: tuple[int, ...], face: Face) -> npt.NDArray[np.bool_]:
    """Where shoulders would be on a picture (height, width)."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    below = y > face.box[3] + _BELOW_CHIN * face.size
    return np.asarray(below & (np.abs(x - face.centre[0]) > _BESIDE * face.size))


def _framing(words: str, share: float) -> Followed | None:
    found = "close-up" if share >= CLOSE_UP else "head and shoulders" if share >= HEAD_AND_SHOULDERS else "further away"
    asked = next((name for name in ("close-up", "head and shoulders") if name in words), None)
    return Followed(asked, found, asked == found) if asked else None


def _pose(words: str, yaw: float) -> Followed | None:
    found = pose_words(yaw)
    asked = next((name for _, name in _POSES if name in words), None)
    return Followed(asked, found, asked == found) if asked else None
