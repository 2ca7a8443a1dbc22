"""One person is one folder: consent, selfies, and everything that is derived from their face.

    people/ana/consent.json  who agreed, on what basis, when
               selfies/      the photographs that the person gave, as they are
               prepared/     portraits cropped for training         cache/   encoded portraits
               runs/         logs, checkpoints, sample pictures     adapters/  headshots/
               certificates/ what was measured on the headshots

Erasing the person is erasing the folder (`Person.forget`). So nothing in it may be a link to somewhere else.
"""

from __future__ import annotations

import itertools
import re
import shutil
import stat
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from likeness.errors import LikenessError
from likeness.files import expanded, explained, read_json, sha256, shown, write_bytes, write_json
from likeness.settings import Settings

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PASSES, _PAUSE = 5, 1.0
"""How often, and with how many seconds between, what is forgotten is looked for: another process may have been writing just then."""


class Consent(Settings):
    """The statement without which nobody's face is trained on or rendered."""

    who: str = Field(min_length=1, max_length=200)
    """The person who is in the photographs, as they call themselves."""
    basis: Literal["self", "written-release"]
    """``self``: the person runs this themselves. ``written-release``: they signed one for whoever runs it."""
    when: date
    note: str = ""
    """Where the written release is kept, for instance."""

    @field_validator("when")
    @classmethod
    def _has_been(cls, when: date) -> date:
        if when > date.today() + timedelta(days=1):  # somewhere it is tomorrow already
            raise ValueError("the day on which they agreed, which cannot be still to come")
        return when


def check_name(name: str, what: str) -> str:
    """Returns a safe folder name unchanged. Raises LikenessError for anything that could leave its parent folder."""
    if _NAME.fullmatch(name):
        return name
    raise LikenessError(
        f"{name!r} cannot be {what}",
        "Use small letters a-z, digits, - and _, at most 64, beginning with a letter or digit",
    )


class Person:
    """One person's folder. Use ``Person.create`` or ``Person.open``; folders inside are made by who writes to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"Person({str(self.folder)!r})"

    @classmethod
    def create(cls, folder: Path, consent: Consent, photos: Iterable[Path] = ()) -> Person:
        """Makes the folder, copies ``photos`` into its ``selfies/``, and records the consent.

        A file whose name is not text gets one that is.
        The consent comes last: a folder that is there already without one is completed. Raises LikenessError when it has one.
        """
        folder = expanded(folder)
        check_name(folder.absolute().name, "a person's folder name")
        if folder.is_symlink():
            raise _is_a_link(folder)
        person = cls(folder)
        if person.consent is not None:
            raise LikenessError("this person exists already, with a consent", "Choose another name", folder)
        with explained(folder, "cannot be made"):
            # Faces are biometric data: on a shared machine other users have no business in here.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(PermissionError):  # one that was there, and is somebody else's
                folder.chmod(0o700)
            person.selfies.mkdir(exist_ok=True)
        chosen = list(photos)
        for photo, name in zip(chosen, _names(chosen), strict=True):
            with explained(photo, "cannot be read"):
                data = photo.read_bytes()
            write_bytes(person.selfies / name, data)
        write_json(folder / "consent.json", consent.model_dump(mode="json"))
        return person

    @classmethod
    def open(cls, folder: Path) -> Person:
        """The person whose folder this is. Raises LikenessError when it is not there, is a link or has a bad name."""
        folder = expanded(folder)
        check_name(folder.absolute().name, "a person's folder name")
        if folder.is_symlink():
            raise _is_a_link(folder)
        if not folder.is_dir():
            raise LikenessError("there is no such person", f"Make one: {_how_to_create(folder)}", folder)
        return cls(folder)

    def forget(self) -> None:
        """Removes the folder and all that is in it. Raises LikenessError when the system refuses.

        The consent goes first: trainings and renders that are under way look for it before they write, and end.
        """
        with explained(self.folder, "cannot be removed"):
            (self.folder / "consent.json").unlink(missing_ok=True)
            for _ in range(_PASSES):
                shutil.rmtree(self.folder, ignore_errors=True)
                time.sleep(_PAUSE)
                if not self.folder.exists():
                    return
            shutil.rmtree(self.folder)

    def links(self) -> dict[Path, Path]:
        """The links inside the folder that lead out of it, and where to: what lies there is not erased with the person."""
        home = self.folder.resolve()
        found = {path: path.resolve() for path in self.folder.rglob("*") if path.is_symlink()}
        return {path: target for path, target in found.items() if target.exists() and not target.is_relative_to(home)}

    @property
    def name(self) -> str:
        return self.folder.absolute().name

    @property
    def selfies(self) -> Path:
        return self._room("selfies")

    @property
    def prepared(self) -> Path:
        return self._room("prepared")

    @property
    def cache(self) -> Path:
        return self._room("cache")

    @property
    def runs(self) -> Path:
        return self._room("runs")

    @property
    def adapters(self) -> Path:
        return self._room("adapters")

    @property
    def headshots(self) -> Path:
        return self._room("headshots")

    @property
    def certificates(self) -> Path:
        return self._room("certificates")

    @property
    def consent(self) -> Consent | None:
        """The recorded consent, None without one. Raises LikenessError when the record is damaged."""
        path = self.folder / "consent.json"
        if not path.exists():
            return None
        try:
            record = read_json(path)
        except ValueError as error:
            raise LikenessError("the consent is not readable JSON", "Restore it, or give consent anew", path) from error
        return Consent.parse(record, path)

    def require_consent(self) -> Consent:
        """The recorded consent. Raises LikenessError, with the command that gives one, when there is none."""
        consent = self.consent
        if consent is None:
            remedy = f"If this person agrees, say so: {_how_to_create(self.folder)}"
            raise LikenessError("no consent is recorded for this person", remedy, self.folder)
        return consent

    def selfie_files(self) -> list[Path]:
        """Every regular file in ``selfies/``, sorted by name, broken ones too; hidden files and links are not."""
        return regular_files(self.selfies) if self.selfies.is_dir() else []

    def selfies_by_digest(self) -> dict[str, Path]:
        """The files in ``selfies/`` by their SHA-256; of equal ones the first by name."""
        return {sha256(path): path for path in reversed(self.selfie_files())}

    def adapter(self, name: str | None = None) -> Path:
        """The folder of the adapter of that name, or of the newest one. Raises LikenessError when there is none."""
        if name is not None:
            path = self.adapters / check_name(name, "an adapter's name")
            if path.is_symlink():
                raise _is_a_link(path)
            if path.is_dir():
                return path
        found = self.adapter_folders()
        if name is None and found:
            return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name))
        names = ", ".join(path.name for path in found)
        raise LikenessError(
            f"there is no adapter {name!r}" if name else "this person has no adapter yet",
            f"There are: {names}"
            if names
            else f"Train one: likeness train --config configs/pocket.yaml person={self.folder}",
            self.folder,
        )

    def adapter_folders(self) -> list[Path]:
        if not self.adapters.is_dir():
            return []
        inside = sorted(self.adapters.iterdir())
        return [path for path in inside if _NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]

    def _room(self, name: str) -> Path:
        path = self.folder / name
        if path.is_symlink():
            raise _is_a_link(path)
        return path


def regular_files(folder: Path) -> list[Path]:
    """The regular files directly in a folder, sorted by name; hidden ones, links and folders are left out.

    Raises LikenessError when the folder cannot be read.
    """
    with explained(folder, "cannot be read"):
        visible = (path for path in folder.iterdir() if not path.name.startswith("."))
        return sorted(path for path in visible if stat.S_ISREG(path.lstat().st_mode))


def _names(photos: Sequence[Path]) -> list[str]:
    """The files' names, those that are not text with "_" for what cannot be read, and a number where another has that name."""
    taken, names = {photo.name for photo in photos}, []
    for photo in photos:
        name = shown(photo)
        if name != photo.name:
            plain = Path(name.replace("\ufffd", "_"))
            numbered = (f"{plain.stem}-{number}{plain.suffix}" for number in itertools.count(2))
            name = next(one for one in itertools.chain([plain.name], numbered) if one not in taken)
        taken.add(name)
        names.append(name)
    return names


def _how_to_create(folder: Path) -> str:
    return f'likeness person create {folder} --who "Their Name" --basis self'


def _is_a_link(path: Path) -> LikenessError:
    return LikenessError("is a link to somewhere else", "Put the real folder there: all of a person is in one", path)
