"""Writing files so that a reader sees the old content or the new, never half of it, and reading them.

Everything is written under a temporary name beside its destination, flushed to the disk, and renamed: rename is
atomic within one file system (POSIX ``rename``). This is the only place that does so, and the only place that
explains to a user why the system refused.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image

from likeness.errors import LikenessError, printable

_REMEDIES = {
    errno.ENOSPC: "Free some space on that disk, or choose a folder on another one",
    errno.EDQUOT: "Free some of your disk quota, or choose a folder on another disk",
    errno.EFBIG: "Choose a folder on a file system that allows larger files",
    errno.EROFS: "That disk is read-only: make it writable, or choose a folder on another one",
    errno.EACCES: "Give yourself permission to that folder, or choose another",
    errno.EPERM: "Give yourself permission to that folder, or choose another",
    errno.ENOENT: "Check the spelling of the path",
    errno.ENOTDIR: "A part of that path is a file, not a folder: choose another path",
    errno.EISDIR: "That is a folder, not a file: choose another path",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.ENOLCK: "Mount that file system with locks, or choose a folder on another one",
    errno.ENOSYS: "Mount that file system with locks, or choose a folder on another one",
    errno.EOPNOTSUPP: "Mount that file system with locks, or choose a folder on another one",
    errno.EIO: "The disk reports a fault: check it, or choose a folder on another one",
}
_NAMED = 40  # letters of its name in that of a temporary file
_LEFTOVER = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp")
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}


@contextmanager
def explained(path: Path, doing: str = "cannot be written") -> Iterator[None]:
    """Turns an OSError raised inside into a LikenessError that names the file and says what to do."""
    try:
        yield
    except OSError as error:
        raise _explanation(error, path, doing) from error


@contextmanager
def permitted() -> Iterator[None]:
    """Turns a PermissionError that nobody explained into a LikenessError: to ask whether a file is there raises one already,
    in a folder that is somebody else's."""
    try:
        yield
    except PermissionError as error:
        if error.filename is None:
            raise
        raise _explanation(error, Path(os.fsdecode(error.filename)), "cannot be entered or read") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces ``path`` by ``data`` atomically, making its parent folders. Raises LikenessError."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        try:
            # "x" keeps the user's umask, which tempfile's 0600 would not.
            with open(temporary, "xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Replaces ``path`` by ``text`` in UTF-8 atomically. Raises LikenessError."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replaces ``path`` by ``value`` as indented JSON atomically; paths and dates become strings.

    NaN and infinities are refused with ValueError, for they are not JSON and other readers reject them.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n")


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises LikenessError when the system does not give it, ValueError when it is no JSON in UTF-8."""
    with explained(path, "cannot be read"):
        return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """What a JSON text holds. Raises ValueError for what is none, and for one that is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_image(path: Path, image: Image.Image, **save_options: Any) -> None:
    """Replaces ``path`` by ``image`` atomically, in the format that its suffix names. Raises LikenessError."""
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise LikenessError(
            f"pictures are not written as {path.suffix or 'a file without a suffix'}",
            f"Use one of {', '.join(sorted(_FORMATS))}",
            path,
        )
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **save_options)
    write_bytes(path, buffer.getvalue())


@contextmanager
def claim(path: Path, wait: bool = False) -> Iterator[bool]:
    """Holds the lock file ``path`` while entered; gives False at once when another process holds it, unless it is to ``wait``.
    Raises LikenessError.

    The kernel lets go of it however the process ends.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(path, "w")  # noqa: SIM115
    with stream:
        with explained(path, "cannot be locked"):
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                mine = True
            except BlockingIOError:
                mine = False
        yield mine


def expanded(path: Path) -> Path:
    """The path with `~` as a user's home. Raises LikenessError when there is no such user, or no home."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise LikenessError("there is no such home", "Write the path in full", path) from error


def shown(path: Path) -> str:
    """A file's name as text, which it need not be: bytes that are no UTF-8, and what a terminal obeys, become U+FFFD."""
    return printable(os.fsencode(path.name).decode("utf-8", "replace"))


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal. Raises LikenessError when it cannot be read."""
    with explained(path, "cannot be read"), open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder to fill; when the block ends well it becomes ``path``, otherwise nothing is left.

    An existing ``path`` stays whole until the new one is complete and on the disk, then gives way to it.
    Raises LikenessError when the system refuses a write, also one that the block itself made.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        temporary.mkdir()
    try:
        yield temporary
        for inside in sorted(temporary.rglob("*")):
            _sync(inside)
        _sync(temporary)
        _take_the_place_of(path, temporary)
        _sync_folder(path.parent)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, LikenessError) and error.path and Path(error.path).is_relative_to(temporary):
            error.path = path  # what it names is gone, and was hidden
        cause = _as_os_error(error)
        if cause is None:
            raise
        raise _explanation(cause, path, "cannot be written") from error


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Removes what killed processes left of things that they were writing into ``folder``: of ``name``, or of any, in folders inside too.

    Nobody else may be writing there. Of a name too long to be told from others by its leftovers nothing is removed. What was set
    aside for something new (.old) is whole, and stays.
    """
    found = folder.rglob("*.tmp") if name is None else folder.glob(f".{name}.*.tmp")
    for path in list(found):
        left = _LEFTOVER.fullmatch(path.name)
        if left and (name is None or (left[1] == name and len(name) < _NAMED)):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _take_the_place_of(path: Path, temporary: Path) -> None:
    if not os.path.lexists(path):
        os.rename(temporary, path)
        return
    old = _temporary(path).with_suffix(".old")
    os.rename(path, old)
    try:
        os.rename(temporary, path)
    except BaseException:
        os.rename(old, path)
        raise
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink()


def _temporary(path: Path) -> Path:
    # Not made from the whole name of the file: a name of 250 letters is allowed, one of 290 is not.
    return path.with_name(f".{path.name[:_NAMED]}.{uuid.uuid4().hex[:12]}.tmp")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    # Some network file systems refuse to flush a folder; the rename has happened all the same.
    with suppress(OSError):
        _sync(path)


def _as_os_error(error: BaseException) -> OSError | None:
    """The OSError that an exception is or tells of: libraries written in Rust (safetensors) only quote its number.

    And torch.save tells only how far it had come; what stopped it is behind that.
    """
    if isinstance(error, OSError):
        return error
    if type(error) is RuntimeError and isinstance(error.__context__, OSError):
        return error.__context__
    number = re.search(r"\(os error (\d+)\)", str(error)) if isinstance(error, Exception) else None
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else None


def _explanation(error: OSError, path: Path, doing: str) -> LikenessError:
    why = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "Check the disk and the path")
    return LikenessError(f"{doing}: {why.lower()}", remedy, path)


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")
