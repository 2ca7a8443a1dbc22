"""What a certificate is made from: the selfies and how they were split for the training, and the adapter's headshots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.index import INDEX, Index, read_index, read_json
from likeness import files
from likeness.adapter_file import read_info, weights_sha256
from likeness.errors import LikenessError
from likeness.faces import FaceEmbedder
from likeness.faces.arrays import Pixels
from likeness.images import load_photo
from likeness.person import Person


@dataclass(frozen=True)
class Selfies:
    """The photographs that an adapter was made from: name and pixels of each.

    held_out: names of those that took no part in anything.  chose: of those that chose the checkpoint, and no more.
    """

    photos: list[tuple[str, Pixels]]
    held_out: frozenset[str]
    chose: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Shot:
    """One headshot and the record beside it."""

    path: Path
    record: dict[str, Any]


def load_selfies(person: Person, adapter: Path) -> Selfies:
    """The photographs that the adapter's portraits were cut from.

    A photograph counts as held out when it is in every set of portraits of the adapter's resolution, or was left out. Raises LikenessError
    when there is none, or a photograph is gone or was changed since.
    """
    info = read_info(adapter)
    if info is None:
        raise LikenessError("this adapter was made elsewhere: what it was trained on is not known", path=adapter)
    splits: dict[str, set[str]] = {}
    digests: dict[str, str] = {}
    for name, digest, split in _portraits(person, info.resolution):
        splits.setdefault(name, set()).add(split)
        digests[name] = digest
    if not splits:
        remedy = f"Make them: likeness prepare {person.folder} --resolution {info.resolution}"
        raise LikenessError("the portraits that this adapter was trained on are not there", remedy, person.prepared)
    photos = []
    for name, digest in sorted(digests.items()):
        path = person.selfies / name
        if not path.is_file() or files.sha256(path) != digest:
            raise LikenessError("this photograph is gone or was changed since the training", "Put it back", path)
        photos.append((name, np.asarray(load_photo(path))))
    selecting = set(info.selection.photos) if info.selection else set()
    chose = frozenset(name for name, digest in digests.items() if digest in selecting)
    untrained = set(info.held_out)
    held_out = frozenset(n for n, found in splits.items() if found == {"held-out"} or digests[n] in untrained)
    return Selfies(photos, held_out - chose, chose)


def check_reporter(adapter: Path, recogniser: FaceEmbedder) -> None:
    """Raises LikenessError where the recogniser that is to report has had a say in the adapter's training."""
    info = read_info(adapter)
    if info is not None and info.trained_by == recogniser.id:
        what = f"this adapter was trained to be like the person in the eyes of {recogniser.id}, which must not report on it"
        raise LikenessError(what, "Report by another one: --recogniser dlib", adapter)


def _portraits(person: Person, width: int) -> Iterator[tuple[str, str, str]]:
    """(photo, digest, split) of all prepared portraits of that width, square or not."""
    from datasets import load_from_disk

    folders = [person.prepared / str(width), *sorted(person.prepared.glob(f"{width}x*"))]
    for folder in folders:
        if (folder / "dataset_info.json").is_file():
            for row in load_from_disk(str(folder)).select_columns(["photo", "digest", "split"]):
                yield row["photo"], row["digest"], row["split"]


def load_renders(person: Person, adapter: Path) -> list[tuple[Path, Index]]:
    """The folder and the index of every render that was drawn with these very weights, oldest first."""
    weights = weights_sha256(adapter)
    found = [(path.parent, read_index(path)) for path in sorted(person.headshots.glob(f"*/{INDEX}"))]
    return [(folder, index) for folder, index in found if index.adapter_sha256 == weights]


def load_shots(person: Person, adapter: Path) -> list[Shot]:
    """The headshots drawn with these very weights, as the indexes of the renders list them; what was removed is left out.

    Raises LikenessError when there are none, or a record cannot be read.
    """
    kept = [(folder, shot) for folder, index in load_renders(person, adapter) for shot in index.headshots]
    paths = [folder / shot.file for folder, shot in kept if shot.file is not None]
    shots = [Shot(path, read_json(path.with_suffix(".json"))) for path in paths if path.is_file()]
    if not shots:
        remedy = f"Draw some: likeness render {person.folder} --adapter {adapter.name}"
        raise LikenessError("there are no headshots of this adapter", remedy, person.headshots)
    return shots
