"""Which of a person's prepared portraits a run trains on: by photograph first, then by crop.

Which photographs are held out, and which are left out of the others, is settled before portraits of other crops are put aside,
and for all buckets at once: what an adapter was trained on does not depend on which portraits a photograph gives in which bucket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from likeness.errors import LikenessError
from likeness.person import Person
from training.crops import Shape
from training.data import DataSettings
from training.prepare import load_portraits, prepare
from training.variety import choose_photos

Row = Mapping[str, Any]
"""As `training.prepare.load_portraits` has them."""


@dataclass(frozen=True)
class Chosen:
    """A person's portraits as one run uses them."""

    train: list[list[Row]]
    """Those that are trained on, bucket by bucket; none of the lists is empty."""
    evaluated: list[Row]
    """Those of held-out photographs, of the same crops."""
    held_out: list[Row]
    """All portraits of held-out photographs, whatever their crop: a face is measured on the whole photograph."""
    untrained: list[str]
    """SHA-256 of every accepted photograph that is not trained on, for whatever reason, in order."""

    @property
    def learnt(self) -> list[Row]:
        """What is trained on, of all buckets."""
        return [row for bucket in self.train for row in bucket]

    @property
    def trained(self) -> list[str]:
        """SHA-256 of the photographs that are trained on, in order."""
        return sorted({row["digest"] for row in self.learnt})


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
    train = [[row for row in bucket if row["digest"] in digests and _wanted(row, settings)] for bucket in found]
    if not all(train):
        raise LikenessError(
            f"no portraits of the crops {', '.join(settings.crops)} are left to train on",
            f"Add photos, look at: likeness check {person.folder}, or allow more of data.crops",
            person.folder,
        )
    held_out = [row for row in rows if row["split"] == "held-out"]
    trained = {row["digest"] for bucket in train for row in bucket}
    return Chosen(
        train,
        [row for row in held_out if _wanted(row, settings)],
        held_out,
        sorted({row["digest"] for row in rows} - trained),
    )


def _read(person: Person, resolution: int, shape: Shape) -> list[Row]:
    # Which photos are held out is a matter of the person, not of the run: so not by its seed.
    prepare(person, resolution, shape=shape)
    return list(load_portraits(person, resolution, shape))


def _wanted(row: Row, settings: DataSettings) -> bool:
    return row["crop"] in settings.crops
