"""From a style and the user's choices to the words that the base reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inference.styles import SLOTS, SUBJECT, SlotName, Style
from likeness.errors import LikenessError
from likeness.faces.following import with_glasses


@dataclass(frozen=True)
class Prompt:
    """What to draw, what to keep away from, and the words that stand in each slot."""

    positive: str
    negative: str
    slots: dict[str, str]


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
    filled = style.prompt.format(**{SUBJECT: subject, **slots})
    # An empty slot leaves a comma without words behind.
    phrases = [phrase.strip() for phrase in filled.split(",")]
    positive = with_glasses(", ".join(phrase for phrase in phrases if phrase), glasses)
    return Prompt(positive, style.negative, slots)
