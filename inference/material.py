"""What a certificate is made from: the selfies and how they were split for the training, and the adapter's headshots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.gates import JUDGED
from inference.index import INDEX, Index, read_index, read_record
from likeness.adapter_file import INFO_FILE, read_info, weights_sha256
from likeness.errors import LikenessError
from likeness.faces import FaceEmbedder
from likeness.faces.arrays import Pixels
from likeness.images import enlarge, load_photo
from likeness.person import Person


@dataclass(frozen=True)
class Selfies:
    """The photographs that an adapter was made from: name and pixels of each.

    held_out: names of those that took no part in anything.  chose: of those that chose the checkpoint, and no more. All others
    were trained on.
    """

    photos: list[tuple[str, Pixels]]
    held_out: frozenset[str]
    chose: frozenset[str] = frozenset()

    @property
    def trained(self) -> frozenset[str]:
        """Names of the photographs that were trained on."""
        return frozenset(name for name, _ in self.photos) - self.held_out - self.chose


@dataclass(frozen=True)
class Shot:
    """One headshot and the record beside it."""

    path: Path
    record: dict[str, Any]

    @property
    def noise(self) -> object:
        """What it began with: pictures of one seed have one pose, whatever the style, and are not independent of each other."""
        return self.record.get("seed", self.path)

    def pixels(self) -> Pixels:
        """RGB (height, width, 3), as large as the gates look at it: of a larger file every look takes many times as long."""
        picture = load_photo(self.path)
        most = max((JUDGED, *self.record.get("drawn_size", ())))
        return np.asarray(enlarge(picture, min(max(picture.size), most)))


def load_selfies(person: Person, adapter: Path) -> Selfies:
    """The photographs that the adapter says it was trained on, and those that were kept from it; none that were added since.

    Raises LikenessError when it does not say, and when a photograph is gone or was changed since.
    """
    info = read_info(adapter)
    if info is None:
        raise LikenessError("this adapter was made elsewhere: what it was trained on is not known", path=adapter)
    if not info.trained:
        what = (
            f"which photographs this adapter was trained on is not on record: that is in {INFO_FILE} beside its weights"
        )
        raise LikenessError(what, "Give the folder that it was trained into, or train again", adapter)
    names = {digest: path.name for digest, path in person.selfies_by_digest().items()}
    missing = [digest for digest in (*info.trained, *info.held_out) if digest not in names]
    if missing:
        what = f"{len(missing)} of the photographs that this adapter was made from are gone or were changed since the training"
        raise LikenessError(what, "Put them back as they were", person.selfies)
    selecting = info.selection.photos if info.selection else []
    chose = frozenset(names[digest] for digest in info.held_out if digest in selecting)
    kept = frozenset(names[digest] for digest in info.held_out)
    wanted = sorted(kept | {names[digest] for digest in info.trained})
    return Selfies([(name, np.asarray(load_photo(person.selfies / name))) for name in wanted], kept - chose, chose)


def check_reporter(adapter: Path, recogniser: FaceEmbedder) -> None:
    """Raises LikenessError where the recogniser that is to report has had a say in the adapter's training."""
    info = read_info(adapter)
    if info is not None and info.trained_by == recogniser.id:
        what = f"this adapter was trained to be like the person in the eyes of {recogniser.id}, which must not report on it"
        raise LikenessError(what, "Report by another one: --recogniser dlib", adapter)


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
    shots = [Shot(path, read_record(path.with_suffix(".json"))) for path in paths if path.is_file()]
    if not shots:
        remedy = f"Draw some: likeness render {person.folder} --adapter {adapter.name}"
        raise LikenessError("there are no headshots of this adapter", remedy, person.headshots)
    return shots
