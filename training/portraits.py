"""Which of a person's prepared portraits a run trains on: by photograph first, then by crop.

Which photographs are held out, and which are left out of the others, is settled before portraits of other crops are put aside,
and for all buckets at once: what an adapter was trained on does not depend on which portraits a photograph gives in which bucket.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from likeness.errors import LikenessError
from likeness.faces.framing import Crop
from likeness.person import Person
from training.crops import Shape
from training.data import DataSettings
from training.prepare import load_portraits, prepare
from training.variety import choose_photos

Row = Mapping[str, Any]
"""As `training.prepare.load_portraits` has them."""


@dataclass(frozen=True)
class Record:
    """What is to be remembered of the choice. Photographs are SHA-256, in order."""

    digest: str
    """Of all that is trained on: pictures, masks and captions."""
    trained: list[str]
    untrained: list[str]
    """Every accepted photograph that is not trained on, for whatever reason."""
    note: str
    """How many of these are not because they give no portrait of the crops asked for, in words; empty where there are none."""


@dataclass(frozen=True)
class Chosen:
    """A person's portraits as one run uses them."""

    train: list[list[Row]]
    """Those that are trained on, bucket by bucket; none of the lists is empty."""
    evaluated: list[Row]
    """Those of held-out photographs, of the same crops."""
    held_out: list[Row]
    """All portraits of held-out photographs, whatever their crop: a face is measured on the whole photograph."""
    record: Record

    @property
    def learnt(self) -> list[Row]:
        """What is trained on, of all buckets."""
        return [row for bucket in self.train for row in bucket]


def choose_portraits(person: Person, settings: DataSettings, buckets: Sequence[tuple[int, Shape]]) -> Chosen:
    """Prepares and reads the portraits of every (resolution, shape).

    Raises LikenessError when there are none of the crops asked for to train on in one of them.
    """
    found = [_read(person, *bucket) for bucket in buckets]
    rows = [row for bucket in found for row in bucket]
    to_train = [row for row in rows if row["split"] == "train"]
    digests = {row["digest"] for row in to_train}
    if settings.photos is not None:
        digests = choose_photos(to_train, settings.photos, settings.photos_by)
    wanted = [_wanted(bucket, settings.crops) for bucket in found]
    train = [[row for row in bucket if row["digest"] in digests] for bucket in wanted]
    if not all(train):
        raise LikenessError(
            f"no portraits of the crops {', '.join(settings.crops)} are left to train on",
            f"Add photos, look at: likeness check {person.folder}, or allow more of data.crops",
            person.folder,
        )
    learnt = [row for bucket in train for row in bucket]
    trained = {row["digest"] for row in learnt}
    untrained = {row["digest"] for row in rows} - trained
    note = _note(len(digests - trained), len(digests), settings.crops)
    return Chosen(
        train,
        [row for bucket in wanted for row in bucket if row["split"] == "held-out"],
        [row for row in rows if row["split"] == "held-out"],
        Record(_digest(learnt), sorted(trained), sorted(untrained), note),
    )


def _digest(rows: Sequence[Row]) -> str:
    digest = hashlib.sha256()
    contents = [
        hashlib.sha256(row["image"].tobytes() + row["mask"].tobytes() + row["caption"].encode()).hexdigest()
        for row in rows
    ]
    for content in sorted(contents):
        digest.update(content.encode())
    return digest.hexdigest()


def _note(lacking: int, photos: int, crops: Sequence[Crop]) -> str:
    what = f"{lacking} of {photos} usable photographs to train on are left out"
    return f"{what}: they give no portrait that is {' or '.join(crops)} (data.crops)" if lacking else ""


def _read(person: Person, resolution: int, shape: Shape) -> list[Row]:
    prepare(person, resolution, shape=shape)
    return list(load_portraits(person, resolution, shape))


def _wanted(rows: Sequence[Row], crops: Sequence[Crop]) -> list[Row]:
    """The portraits of these crops; of a photograph that gives none, taken closely as it was, the whole that is nearly one."""
    given = {row["digest"] for row in rows if row["crop"] in crops}
    return [row for row in rows if row["crop"] in crops or (row["digest"] not in given and row["also"] in crops)]
