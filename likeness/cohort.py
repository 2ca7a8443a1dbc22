"""The people of the bundled cohort, who do not exist, as people's folders."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

from likeness import resources
from likeness.errors import LikenessError
from likeness.files import explained
from likeness.person import Consent, Person


def cohort_names() -> list[str]:
    """Everybody's name, sorted."""
    return sorted(path.parent.name for path in (resources.assets() / "cohort").glob("*/person.json"))


def cohort_person(folder: Path) -> Person:
    """The person whose name is the folder's, made as `likeness person create` makes one; as it is where it is there.

    Raises LikenessError for a name that is not in the cohort.
    """
    if folder.is_dir():
        return Person.open(folder)
    if folder.name not in cohort_names():
        raise LikenessError(f"there is no {folder.name!r} in the cohort", "Look into the folder likeness/assets/cohort")
    note = "drawn, not photographed: this person does not exist"
    person = Person.create(folder, Consent(who="nobody", basis="written-release", when=date(2026, 11, 23), note=note))
    for path in sorted((resources.assets() / "cohort" / folder.name).glob("selfie_*.jpg")):
        with explained(person.selfies):
            shutil.copyfile(path, person.selfies / path.name)
    return person
