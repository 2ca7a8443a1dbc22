"""What a portrait's caption says: framing, pose, light and what else can be measured; never how the person looks.

Whatever a caption names, the adapter need not learn as a part of the person. Words are those of portrait photography, and
only for what pixels show reliably: a room cannot be told from a street by brightness, so that neither is named.
"""

from dataclasses import dataclass

from pydantic import field_validator

from likeness.faces import Face
from likeness.faces import quality as measure
from likeness.faces.arrays import Pixels
from likeness.faces.colour import black_and_white
from likeness.faces.following import CLOSE_UP, HEAD_AND_SHOULDERS, WEARING_GLASSES, pose_words
from likeness.settings import Settings

SUBJECT = "{subject}"
"""Stands in captions where "<trigger> <class word>" goes."""

_DRAMATIC_STOPS, _SOFT_STOPS = 1.9, 0.4  # between the cheeks: a tenth and about a third of the synthetic selfies
# Bright end of the whole picture, not of the face: dark skin is not dim light. Measured: 0, 2 and 3 in 100 synthetic
# photographs of the lightest, middle and darkest third of skin tones.
_DIM_WHITE = 0.60


class CaptionSettings(Settings):
    """The wording of captions."""

    lead: str = "a photo of {subject}"
    """Begins every caption."""

    @field_validator("lead")
    @classmethod
    def _names_the_subject(cls, lead: str) -> str:
        if lead.count(SUBJECT) != 1:
            raise ValueError(f'must hold "{SUBJECT}" once')
        return lead


@dataclass(frozen=True)
class Scene:
    """Words for one photograph, the same for all portraits cut from it."""

    light: str | None
    monochrome: bool
    glasses: bool

    @staticmethod
    def of(rgb: Pixels, face: Face, glasses: bool) -> "Scene":
        """Measures an RGB picture (height, width, 3) and the face on it."""
        return Scene(_light(rgb, face), black_and_white(rgb), glasses)


def caption(scene: Scene, face: Face, width: float, settings: CaptionSettings) -> str:
    """The caption of a portrait of that width in pixels, with "{subject}" in the person's place."""
    share = face.size / width
    words = [settings.lead]
    if share >= CLOSE_UP:
        words.append("close-up")
    elif share >= HEAD_AND_SHOULDERS:
        words.append("head and shoulders")
    words.append(pose_words(face.yaw))
    if scene.light:
        words.append(scene.light)
    if scene.monochrome:
        words.append("black and white photograph")
    if scene.glasses:
        words.append(WEARING_GLASSES)
    return ", ".join(words)


def worded(caption: str, subject: str) -> str:
    """A caption or prompt with these words in the person's place."""
    return caption.replace(SUBJECT, subject)


def _light(rgb: Pixels, face: Face) -> str | None:
    if measure.exposure(rgb, face).white < _DIM_WHITE:
        return "dim light"
    difference = abs(measure.light_side(rgb, face))
    if difference >= _DRAMATIC_STOPS:
        return "dramatic light"
    return "soft light" if difference <= _SOFT_STOPS else None
