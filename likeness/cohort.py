"""The people of the bundled cohort, who do not exist, as people's folders."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from likeness import resources
from likeness.errors import LikenessError
from likeness.person import Consent, Person


def cohort_names() -> list[str]:
    """Everybody's name, sorted."""
    return [folder.name for folder in resources.cohort_folders()]


def cohort_person(folder: Path) -> Person:
    """The person whose name is the folder's, made as `likeness person create` makes one; as it is where it is there.

    Raises LikenessError for a name that is not in the cohort.
    """
    known = folder.name in cohort_names()
    if folder.is_dir():
        there = Person.open(folder)
        # The consent comes last: without one somebody was stopped in the middle of making this person.
        if not known or there.consent is not None:
            return there
    if not known:
        raise LikenessError(f"there is no {folder.name!r} in the cohort", "Look into the folder likeness/assets/cohort")
    note = "drawn, not photographed: this person does not exist"
    consent = Consent(who="nobody", basis="written-release", when=date(2026, 11, 23), note=note)
    photos = sorted((resources.assets() / "cohort" / folder.name).glob("selfie_*.jpg"))
    try:
        return Person.create(folder, consent, photos)
    except LikenessError:
        # Another process made the same person meanwhile, file by file the same.
        if Person(folder).consent is None:
            raise
        return Person.open(folder)
