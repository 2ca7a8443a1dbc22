"""What is done about a drawn picture on which a check finds something: nothing, a word about it, or another one is drawn.

Only the settings and what a gate says are here; what is measured is in `faces/`, and the rendering half applies them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from likeness.settings import Settings

GateName = Literal["faults", "skin", "shape", "texture", "marks", "hair", "copying", "setting", "likeness"]
Mode = Literal["off", "warn", "reject"]


class Gates(Settings):
    """One mode a gate. A base that cannot pass a gate says so in its `recipe.json`; the limits are the measures' own."""

    faults: Mode = "reject"
    """No face, several, one cut off or tiny: nobody can use such a picture."""
    skin: Mode = "reject"
    """Lightness or hue of the skin beyond the person's own spread: a headshot must not lighten anybody."""
    shape: Mode = "reject"
    """Nose, jaw, width of the face and spacing of the eyes beyond that spread."""
    texture: Mode = "reject"
    """Skin without its fine texture looks like plastic; far too much of it is noise."""
    marks: Mode = "warn"
    """Moles and marks gone. A word only: hair, light or a turn of the head hides a mole on an honest photograph too."""
    hair: Mode = "warn"
    """Hair greyer or darker. A word only: people do dye their hair, and what is hair is told by its colour alone."""
    copying: Mode = "reject"
    """A training photograph given back."""
    setting: Mode = "reject"
    """The background of a training photograph: where somebody lives is no part of a headshot."""
    likeness: Mode = "warn"
    """Below the person's verification threshold. A word only, and likeness ranks anyway: the threshold stands on few drawn
    people, and a recogniser that rejected would soon be what the pictures are made for."""

    def over(self, modes: Mapping[GateName, Mode]) -> Gates:
        """These gates with some modes changed. Raises LikenessError for what is no gate or no mode."""
        return Gates.parse(self.model_dump() | dict(modes))

    def mode(self, gate: GateName) -> Mode:
        found: Mode = getattr(self, gate)
        return found

    def rejecting(self, failures: Iterable[Failure]) -> tuple[Failure, ...]:
        """The failures for which a picture does not pass."""
        return tuple(failure for failure in failures if self.mode(failure.gate) == "reject")

    def remarks(self, failures: Iterable[Failure]) -> str:
        """What they say of a picture, in words; empty where nothing was found."""
        found = [failure for failure in failures if self.mode(failure.gate) != "off"]
        rejecting = self.rejecting(found)
        noted = ", ".join(failure.what for failure in found if failure not in rejecting)
        why = ", ".join(failure.what for failure in rejecting)
        return ". ".join(part for part in (why and f"DOES NOT PASS: {why}", noted and f"note: {noted}") if part)


@dataclass(frozen=True)
class Failure:
    """What one gate found: `what` in words, the measured value and the limit that it lies beyond, in the measure's unit."""

    gate: GateName
    what: str
    value: float
    limit: float

    @staticmethod
    def read(record: Mapping[str, Any]) -> Failure:
        """From its JSON."""
        return Failure(record["gate"], str(record["what"]), float(record["value"]), float(record["limit"]))
