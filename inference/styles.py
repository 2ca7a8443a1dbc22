"""Headshot styles: a prompt with slots, each slot with a default and the alternatives that suit the style.

A style speaks of light, background, clothing, framing, expression and pose. It says nothing of the person's looks: those come
from the adapter alone.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from likeness import resources
from likeness.errors import LikenessError
from likeness.settings import Settings

SlotName = Literal["light", "background", "outfit", "framing", "expression", "pose"]
SLOTS: tuple[SlotName, ...] = get_args(SlotName)
SUBJECT = "subject"


class Slot(Settings):
    """One choice of a style, in words that end up in the prompt. Any other words may be given instead."""

    default: str
    options: list[str] = []


class Style(Settings):
    """A headshot style, one YAML file in configs/styles."""

    name: str = Field("", exclude=True)
    """The file's name without its suffix; not written in the file."""
    title: str = Field(min_length=1)
    description: str = ""
    prompt: str
    """With {subject} and, each once at most, {light}, {background}, {outfit}, {framing}, {expression} and {pose}."""
    negative: str = ""
    monochrome: bool = False
    """Whether the picture is turned grey once it is drawn, as photographers do: an adapter that was trained on colour
    photographs tints what a prompt calls black and white."""
    slots: dict[SlotName, Slot]

    @model_validator(mode="after")
    def _slots_and_prompt_agree(self) -> Self:
        try:
            parts = list(string.Formatter().parse(self.prompt))
        except ValueError as error:
            raise ValueError(f"a prompt whose braces close ({error})") from error
        if any(form or how for _, _, form, how in parts):
            raise ValueError("nothing but a name in the prompt's braces, no : and no !")
        fields = [field for _, field, _, _ in parts if field is not None]
        known = {SUBJECT, *self.slots}
        unknown = [field for field in fields if field not in known]
        if unknown:
            raise ValueError(f"only {', '.join(sorted(known))} in the prompt's braces, not {', '.join(unknown)}")
        missing = [name for name in sorted(known) if fields.count(name) != 1]
        if missing:
            raise ValueError(f"each of {', '.join(sorted(known))} once in the prompt; see {', '.join(missing)}")
        return self


def styles_folder() -> Path:
    """Where the packaged styles are."""
    return resources.configs() / "styles"


def load_styles(folder: Path | None = None) -> dict[str, Style]:
    """All styles of a folder (the packaged ones), by name. Raises LikenessError naming the file that is wrong."""
    folder = folder or styles_folder()
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise LikenessError("no styles are in this folder", "Give a folder with style files (*.yaml)", folder)
    return {path.stem: _read(path) for path in paths}


def find_style(name_or_path: str) -> Style:
    """The packaged style of that name, or the one in a YAML file of your own. Raises LikenessError for neither."""
    if name_or_path.endswith((".yaml", ".yml")):
        return _read(Path(name_or_path))
    styles = load_styles()
    if name_or_path not in styles:
        raise LikenessError(f"there is no style {name_or_path!r}", f"There are: {', '.join(styles)}")
    return styles[name_or_path]


def _read(path: Path) -> Style:
    return Style.load(path).model_copy(update={"name": path.stem})
