"""The one error that a user is meant to read."""

from __future__ import annotations

import os
import unicodedata


class LikenessError(Exception):
    """Something the user can put right: what is wrong, in which file, and what to do about it.

    ``str(error)`` is always one line, ``path: what. remedy``. The command line prints it and exits with
    ``exit_code``; a programme can catch it and read the parts.
    """

    exit_code = 2

    def __init__(self, what: str, remedy: str = "", path: str | os.PathLike[str] | None = None) -> None:
        super().__init__(what, remedy, path)
        self.what = _one_line(what).rstrip(".")
        self.remedy = _one_line(remedy)
        self.path = path

    def __str__(self) -> str:
        place = f"{_one_line(os.fspath(self.path))}: " if self.path is not None else ""
        advice = f". {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{advice}"


def first_line(error: BaseException | None) -> str:
    """What another library's error begins with, for a message of ours; its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """The text without what a terminal obeys: names and messages come from strangers' files. Control characters become U+FFFD."""
    return "".join("\ufffd" if unicodedata.category(letter) == "Cc" else letter for letter in text)
