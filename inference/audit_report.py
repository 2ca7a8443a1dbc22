"""The audit's numbers, from people who were measured: every group against everybody else, worst first.

People are the units, not pictures: every interval and every test is over people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from inference.apparent_age import LEAST_PEOPLE, AgeReading, read_ages
from inference.audit_page import finding_words
from inference.labels import YEARS, Group, Labels, groups, known_years
from inference.subjects import Subject, between, dispersion
from likeness import __version__
from likeness.faces import REPORTING
from likeness.settings import Settings
from likeness.statistics import Gap, gap_by_chance, group_gaps, mean_interval, share_interval


@dataclass(frozen=True)
class Column:
    """One measure of the table. worse: which way it is bad, "away" from `fair` in both."""

    title: str
    unit: str
    worse: Literal["more", "less", "away"]
    share: bool = False
    fair: float = 0.0

    def badness(self, value: float) -> float:
        """How bad a value is; comparable within the measure alone."""
        if self.worse == "away":
            return abs(value - self.fair)
        return value if self.worse == "more" else -value


COLUMNS: Mapping[str, Column] = {
    "rejected": Column("headshots rejected by a gate", "share", "more", share=True),
    "yield": Column("candidates that no strict gate rejects", "share", "less", share=True),
    "likeness": Column("likeness", "", "less"),
    "rank_1": Column("recognised among all (rank 1)", "share", "less", share=True),
    "copied": Column("copies of a selfie", "share", "more", share=True),
    "lightened": Column("pictures with lighter skin than their own", "share", "away", share=True, fair=0.5),
    "lightness": Column("shift in lightness of the skin", "L*", "away"),
    "hue": Column("shift in hue of the skin", "degrees", "away"),
    "shape": Column("drift of the face's proportions", "own spreads", "more"),
    "texture": Column("shift in fine texture of the skin", "stops", "away"),
    "grey": Column("shift in greyness of the hair", "stops", "away"),
    "age": Column("shift in apparent age", "years", "away"),
    "dispersion": Column("distance from other people, over that of the selfies", "ratio", "less"),
}


class AuditSettings(Settings):
    """How people are compared."""

    adapter: str | None = None
    """The adapter's name in every person's folder; None: each one's newest."""
    recogniser: str = REPORTING
    """A name or the path of a manifest; best one that did not choose the pictures."""
    least_people: int = Field(3, ge=2)
    """In a group and outside of it: two people are an anecdote."""
    significance: float = Field(0.05, gt=0, lt=1)
    """Chance of any finding at all where no group differs."""
    seed: int = Field(0, ge=0)
    """Of bootstrap and permutations."""


def report_of(subjects: Sequence[Subject], labels: Labels, settings: AuditSettings) -> dict[str, Any]:
    """The report, from what was measured: a pure function."""
    names = [subject.name for subject in subjects]
    ages = read_ages(subjects, [known_years(name, labels) for name in names])
    shifts = [math.nan] * len(subjects) if ages is None else ages.shifts.tolist()
    rows = [
        subject.values | others | {"age": shift}
        for subject, others, shift in zip(subjects, between(subjects), shifts, strict=True)
    ]
    values = np.array([[row[name] for name in COLUMNS] for row in rows], np.float64)
    known = {name: labels[name] for name in names if name in labels}
    found = groups(known, settings.least_people)
    members, others = (
        np.array([[name in side for name in names] for side in sides], bool).reshape(-1, len(names))
        for sides in ([group.members for group in found], [group.others for group in found])
    )
    labelled = np.array([name in known for name in names])
    gaps = group_gaps(values[labelled], members[:, labelled], others[:, labelled], settings.seed) if found else []
    everyone = _summary("everyone", values, subjects, settings.seed)
    table = [
        _group(group, values[inside], [one for one in subjects if one.name in group.members], row, settings)
        for group, inside, row in zip(found, members, gaps, strict=True)
    ]
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "recogniser": subjects[0].reference.recogniser,
        "settings": settings.model_dump(mode="json") | {"recogniser": Path(settings.recogniser).name},
        "measures": {name: asdict(column) for name, column in COLUMNS.items()},
        "everyone": everyone,
        "groups": sorted(table, key=lambda group: (-len(group["findings"]), -group["worst_t"], group["name"])),
        "targets": _targets(
            everyone, table, _lightened_by_chance(values[labelled], members[:, labelled], found, settings.seed)
        ),
        "not_labelled": [name for name in names if name not in known],
        "each": {
            name: {key: _plain(value) for key, value in row.items()} for name, row in zip(names, rows, strict=True)
        },
        "cannot_tell": [_on_age(ages), *_cannot_tell(subjects, found, settings)],
    }


def _group(
    group: Group,
    values: npt.NDArray[np.float64],
    members: Sequence[Subject],
    gaps: Sequence[Gap | None],
    settings: AuditSettings,
) -> dict[str, Any]:
    summary = _summary(group.name, values, members, settings.seed)
    findings, worst = [], 0.0
    for (name, column), gap in zip(COLUMNS.items(), gaps, strict=True):
        if gap is None:
            continue
        summary["measures"][name] |= {"difference": gap.difference, "t": gap.t, "p": gap.p}
        mean = summary["measures"][name]["mean"]
        worse = column.badness(mean) > column.badness(mean - gap.difference)
        worst = max(worst, abs(gap.t)) if worse else worst
        if worse and gap.p < settings.significance:
            findings.append(name)
    return summary | {
        "attributes": dict(group.values), "others": len(group.others), "findings": findings, "worst_t": worst
    }  # fmt: skip


def _summary(name: str, values: npt.NDArray[np.float64], members: Sequence[Subject], seed: int) -> dict[str, Any]:
    """Mean and interval over people of every measure, and the dispersion among these people alone."""
    measures: dict[str, dict[str, Any]] = {}
    for (key, column), row in zip(COLUMNS.items(), values.T, strict=True):
        known = row[np.isfinite(row)].tolist()
        interval = None
        if known:
            wilson = share_interval(math.fsum(known), len(known)) if column.share else None
            interval = wilson or mean_interval(known, seed, f"{name} {key}")
        measures[key] = {
            "people": len(known),
            "mean": math.fsum(known) / len(known) if known else None,
            "interval_95": asdict(interval) if interval else None,
        }
    return {
        "name": name,
        "people": len(members),
        "names": [subject.name for subject in members],
        "pictures": sum(subject.pictures for subject in members),
        "dispersion_within": _plain(dispersion(members)),
        "measures": measures,
    }


def _lightened_by_chance(
    values: npt.NDArray[np.float64], members: npt.NDArray[np.bool_], found: Sequence[Group], seed: int
) -> float | None:
    single = np.array([len(group.values) == 1 for group in found], bool)
    return gap_by_chance(values[:, list(COLUMNS).index("lightened")], members[single], seed)


def _targets(
    everyone: Mapping[str, Any], table: Sequence[Mapping[str, Any]], by_chance: float | None
) -> list[dict[str, Any]]:
    """What a good recipe reaches, over everyone and in the worst group of one attribute.

    `by_chance`: the gap in lightened skin that random labels give, beside the one there is.
    """

    def means(name: str) -> list[float]:
        single = [group["measures"][name]["mean"] for group in table if len(group["attributes"]) == 1]
        return [mean for mean in single if mean is not None]

    lightened, likeness = means("lightened"), means("likeness")
    rows: list[tuple[str, float | None, str, float]] = [
        ("mean likeness", everyone["measures"]["likeness"]["mean"], "at least", 0.9),
        ("likeness of the worst group", min(likeness, default=None), "at least", 0.85),
        ("rank 1", everyone["measures"]["rank_1"]["mean"], "at least", 0.95),
        ("copies", everyone["measures"]["copied"]["mean"], "at most", 0.15),
        ("yield", everyone["measures"]["yield"]["mean"], "at least", 0.5),
        ("dispersion", everyone["measures"]["dispersion"]["mean"], "at least", 0.9),
        ("lightened, away from one half", _away(everyone["measures"]["lightened"]["mean"]), "at most", 0.07),
        ("gap in lightened between groups", max(lightened) - min(lightened) if lightened else None, "at most", 0.07),
    ]
    targets: list[dict[str, Any]] = [
        {"what": what, "value": value, "limit": f"{sense} {limit:g}", "met": _met(value, sense, limit)}
        for what, value, sense, limit in rows
    ]
    targets[-1]["by_chance"] = by_chance
    return targets


def _away(share: float | None) -> float | None:
    return None if share is None else abs(share - 0.5)


def _met(value: float | None, sense: str, limit: float) -> bool | None:
    if value is None:
        return None
    return value >= limit if sense == "at least" else value <= limit


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _on_age(ages: AgeReading | None) -> str:
    if ages is None:
        return (
            f'Age drift is not measured: it takes {LEAST_PEOPLE} people whose label "{YEARS}" says how old they are, and a '
            "recogniser whose vectors tell ages."
        )
    return (
        f"Apparent age is read by what the ages of {ages.people} people here teach, and is off by {ages.error:.0f} years on their own "
        f"photographs (their mean age by {ages.guess:.0f}): one person's shift means little."
    )


def _cannot_tell(subjects: Sequence[Subject], found: Sequence[Group], settings: AuditSettings) -> list[str]:
    """What the reader must not conclude."""
    return [
        f"Groups of fewer than {settings.least_people} people are left out.",
        f"{len(subjects)} people in all tell large differences only: no finding is no proof of fairness.",
        "Groups are as they were labelled; who is labelled wrongly is counted wrongly, and of whom something is not known is on no side there.",
        f"p is the chance of so large a gap in any of {len(found)} groups and {len(COLUMNS)} measures, were there none.",
        "Shares have intervals as if each person had given one picture, which is somewhat too wide.",
        "A recogniser that is itself worse for some group makes likeness worse there, whatever the pictures are.",
        "Skin lightened together with lips, brows and eyes looks like more light, and is not seen.",
    ]


def finding_lines(report: Mapping[str, Any]) -> list[str]:
    """Every group that is served worse, worst first, in words."""
    found = [(group["name"], finding_words(report, group)) for group in report["groups"]]
    return [f"{name}: {'; '.join(words)}" for name, words in found if words]
