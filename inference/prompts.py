"""From a style and the user's choices to the words that the base reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inference.styles import SLOTS, SUBJECT, SlotName, Style
from likeness.errors import LikenessError
from likeness.faces.following import with_glasses

_CLOSE_UP = "close-up"
"""As captions call a portrait of that framing."""


@dataclass(frozen=True)
class Prompt:
    """What to draw, what to keep away from, and the words that stand in each slot.

    closer: what to draw where the face fills the picture: `positive` with that framing, if the style frames at all.
    """

    positive: str
    negative: str
    slots: dict[str, str]
    closer: str = ""


def compose(style: Style, choices: Mapping[SlotName, str], subject: str, glasses: bool = False) -> Prompt:
    """The prompt of a style for `subject` (trigger and class word), its slots filled by `choices`, else by defaults.

    A choice is any text; an empty one leaves the slot out. `glasses`: whether they are worn. Raises LikenessError for a slot that the style lacks.
    """
    unknown = [name for name in choices if name not in style.slots]
    if unknown:
        has = ", ".join(name for name in SLOTS if name in style.slots)
        raise LikenessError(f"the style {style.name} has no {unknown[0]} to choose", f"It has: {has}")
    slots: dict[str, str] = {}
    for name, slot in style.slots.items():
        slots[name] = " ".join(choices.get(name, slot.default).split())
    closer = slots | {"framing": _CLOSE_UP}
    return Prompt(
        _filled(style, subject, slots, glasses), style.negative, slots, _filled(style, subject, closer, glasses)
    )


def _filled(style: Style, subject: str, slots: Mapping[str, str], glasses: bool) -> str:
    filled = style.prompt.format(**{SUBJECT: subject, **slots})
    # An empty slot leaves a comma without words behind.
    phrases = [phrase.strip() for phrase in filled.split(",")]
    return with_glasses(", ".join(phrase for phrase in phrases if phrase), glasses)
