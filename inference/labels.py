"""Which groups people belong to, as somebody who knows has written down. Nothing here looks at a face.

labels.json   {"ana": {"skin tone": "dark", "age": "20s"}, "ben": {...}}
labels.csv    person,skin tone,age        one line a person; an empty cell is not known

The attribute "years" is how old somebody is, as a number: it makes no groups, but apparent age is learnt from it.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness import files, resources
from likeness.errors import LikenessError

Labels = dict[str, dict[str, str]]
"""{person: {attribute: value}}."""

YEARS = "years"
"""The attribute that is a number."""
_FILES = "labels.json", "labels.csv"
_SKIN_TONES = ((3, "light"), (7, "middle"), (10, "dark"))
"""The drawing's ten tones in three: below the number, the word."""
_AGES = ((35, "under 35"), (55, "35 to 54"), (1000, "55 and over"))


@dataclass(frozen=True)
class Group:
    """The people who have all these values: of one attribute, or of the intersection of two.

    others: those who are known to have another value. Of whom it is not known is neither.
    """

    values: tuple[tuple[str, str], ...]
    members: frozenset[str]
    others: frozenset[str]

    @property
    def name(self) -> str:
        return ", ".join(f"{attribute}: {value}" for attribute, value in self.values)


def load_labels(folder: Path, given: Path | None, people: Iterable[str]) -> Labels:
    """The labels in `given`, else in the folder's labels.json or labels.csv; people of the bundled cohort have their own.

    Raises LikenessError for a file that cannot be read, or when nobody of `people` is labelled.
    """
    found = [folder / name for name in _FILES if (folder / name).is_file()]
    path = given or (found[0] if found else None)
    written = _read(path) if path is not None else {}
    labels = {name: written.get(name) or cohort_labels(name) for name in people}
    labels = {name: known for name, known in labels.items() if known}
    if not labels:
        remedy = 'Write labels.json there, {"ana": {"age": "20s"}}, or give a file with --labels'
        raise LikenessError("it is not known which groups these people belong to", remedy, path or folder)
    return labels


def cohort_labels(name: str) -> dict[str, str]:
    """Of a person of the bundled cohort, whose truth is in person.json; of others none."""
    identity = _truth(name)
    if not identity:
        return {}
    return {
        "skin tone": next(word for end, word in _SKIN_TONES if identity["skin_tone"] < end),
        "age": next(word for end, word in _AGES if identity["age_years"] < end),
        "sex presentation": str(identity["sex_presentation"]),
    }


def known_years(name: str, labels: Mapping[str, Mapping[str, str]]) -> float:
    """How old a person is, by their label or else the cohort's truth; NaN when it is not known."""
    truth = labels.get(name, {}).get(YEARS) or _truth(name).get("age_years")
    try:
        return float(truth) if truth is not None else math.nan
    except ValueError as error:
        remedy = f'"{YEARS}" is an age as a number, 34; a span of ages goes under another name'
        raise LikenessError(f'the label "{YEARS}" of {name} is no number: {truth}', remedy) from error


def _truth(name: str) -> dict[str, Any]:
    """Of a person of the bundled cohort; empty for others."""
    path = resources.assets() / "cohort" / name / "person.json"
    return dict(files.read_json(path)["identity"]) if path.is_file() else {}


def stratified(labels: Mapping[str, Mapping[str, str]], count: int) -> list[str]:
    """`count` of the labelled people (all, where they are fewer), such that every attribute's values come up as evenly as can be.

    One after the other, each time whoever has the values that are there least; the first by name of equals. So the first six
    of twelve are the six.
    """
    seen: Counter[tuple[str, str]] = Counter()
    left, chosen = sorted(labels), list[str]()
    while left and len(chosen) < count:
        chosen.append(min(left, key=lambda name: (sum(seen[item] for item in labels[name].items()), name)))
        left.remove(chosen[-1])
        seen.update(labels[chosen[-1]].items())
    return chosen


def strata(people: Iterable[str]) -> dict[str, frozenset[str]]:
    """Who of these people of the bundled cohort has each value of an attribute, where two or more have it and two or more not."""
    labels = {name: known for name in people if (known := cohort_labels(name))}
    return {group.name: group.members for group in groups(labels, 2) if len(group.values) == 1}


def groups(labels: Mapping[str, Mapping[str, str]], least: int) -> list[Group]:
    """Every value of every attribute, and every pair of values of two, that `least` people have and `least` others not."""
    single = sorted({item for known in labels.values() for item in known.items() if item[0] != YEARS})
    pairs = [(one, other) for one, other in itertools.combinations(single, 2) if one[0] != other[0]]
    found = [_group(values, labels) for values in [*((one,) for one in single), *pairs]]
    return [group for group in found if min(len(group.members), len(group.others)) >= least]


def _group(values: tuple[tuple[str, str], ...], labels: Mapping[str, Mapping[str, str]]) -> Group:
    members = {name for name, known in labels.items() if all(known.get(key) == value for key, value in values)}
    others = {name for name, known in labels.items() if any(known.get(key, value) != value for key, value in values)}
    return Group(values, frozenset(members), frozenset(others))


def _read(path: Path) -> Labels:
    try:
        with files.explained(path, "cannot be read"):
            text = path.read_text(encoding="utf-8-sig")
        rows = _table(text) if path.suffix.lower() == ".csv" else files.parse_json(text)
        return {str(name).strip(): _known(values) for name, values in rows.items()}
    except (ValueError, AttributeError, csv.Error) as error:
        remedy = 'Write {"ana": {"age": "20s"}} as JSON, or a CSV whose first column is called person'
        raise LikenessError("these are no labels", remedy, path) from error


def _known(values: Mapping[Any, Any]) -> dict[str, str]:
    """An empty cell is not known; `false` and 0 are values like others."""
    told = {str(key).strip(): "" if value is None else str(value).strip() for key, value in values.items()}
    return {key: value for key, value in told.items() if value}


def _table(text: str) -> dict[str, dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(text), strict=True))
    if any("person" not in row or None in row for row in rows):
        raise ValueError("no column of that name, or more cells than columns")
    return {row.pop("person"): row for row in rows}
