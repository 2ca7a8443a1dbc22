"""What a sweep found, variant by variant: means and intervals over people, against the first variant, the worst group.

People are the units, for the pictures and the seeds of one person hang together; differences are paired by person.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from likeness.errors import LikenessError
from likeness.statistics import mean_interval
from training.selection import best
from training.sweep import Result, Variant

_LEAST = 2
"""People of a group: of one person there is no group."""
_COLUMNS = ("likeness", "copying", "faces", "rank_1", "yield")

Row = dict[str, Any]


def tabulate(
    results: Sequence[Result], variants: Sequence[Variant], groups: Mapping[str, Collection[str]]
) -> list[Row]:
    """One row a variant that has results, in order; the first is what the others are held against.

    ``groups``: people's names by group, for the worst one. Values without a result are None. Trainings that failed are listed and
    count in no mean, so that a row which has any says too much of its variant.
    """
    means = {variant.name: _people(results, variant.name) for variant in variants}
    first = means[variants[0].name]
    rows = []
    for variant in variants:
        people = means[variant.name]
        failed = [
            {"person": result.person, "seed": result.seed, "why": result.failed}
            for result in results
            if result.variant == variant.name and result.failed
        ]
        if people or failed:
            rows.append({"variant": variant.name, "question": variant.question, "set": variant.set, "failed": failed})
            rows[-1] |= _row(variant.name, people, first if variant is not variants[0] else {}, groups)
    return rows


@dataclass(frozen=True)
class _Candidate:
    step: int
    likeness: float
    copying: float


def choose(rows: Sequence[Row], max_copying: float) -> str:
    """The variant to recommend: by the rule that chooses checkpoints, and of equals the first; none of which a training failed.

    Raises LikenessError where there is no other.
    """
    whole = [row for row in rows if not row["failed"]]
    if not whole:
        raise LikenessError("a training of every variant failed", "Lower optim.lr in the recipe and in the sweep")
    means = [{name: measure["mean"] for name, measure in row["measures"].items()} for row in whole]
    found = [_Candidate(place, values["likeness"], values["copying"]) for place, values in enumerate(means)][::-1]
    return str(whole[found[best(found, max_copying, margin=0)].step]["variant"])


def markdown(rows: Sequence[Row]) -> str:
    """The table for people to read."""
    lines = [
        "| variant | people | likeness (95%) | against the first (95%) | worst group | copying | faces | rank 1 | yield | time |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    failed = [(row["variant"], one) for row in rows for one in row["failed"]]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    notes = [f"- {variant}, {one['person']}, seed {one['seed']}: {one['why']}" for variant, one in failed]
    if notes:
        lines += ["", "Trainings that failed, in no mean above:", "", *notes]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> list[str]:
    measures, worst, failed = row["measures"], row["worst_group"], len(row["failed"])
    likeness = measures.get("likeness", {})
    seconds = "" if row["seconds"] is None else f"{row['seconds']:.0f} s"
    return [
        row["variant"],
        str(row["people"]) + (f" ({failed} failed)" if failed else ""),
        _with_interval(likeness.get("mean"), likeness.get("interval_95")),
        _with_interval(likeness.get("difference"), likeness.get("difference_interval_95"), sign=True),
        f"{worst['likeness']:.2f} ({worst['group']})" if worst else "",
        *(_number(measures.get(name, {}).get("mean")) for name in _COLUMNS[1:]),
        seconds + (f" ({row['times_first']:.2f} x)" if row["times_first"] else ""),
    ]


def _people(results: Sequence[Result], variant: str) -> dict[str, dict[str, float]]:
    """Every person's values of a variant, the mean over the seeds; "seconds" among them."""
    found: dict[str, list[dict[str, float]]] = {}
    for result in results:
        if result.variant == variant and not result.failed:
            found.setdefault(result.person, []).append(result.values | {"seconds": result.seconds})
    return {
        person: {name: _mean([values[name] for values in each]) for name in each[0]} for person, each in found.items()
    }


def _row(
    name: str,
    people: Mapping[str, Mapping[str, float]],
    first: Mapping[str, Mapping[str, float]],
    groups: Mapping[str, Collection[str]],
) -> Row:
    both = sorted(people.keys() & first.keys())
    measures: dict[str, Row] = {}
    for measure in next(iter(people.values()), {}):
        values = [person[measure] for person in people.values()]
        differences = [people[one][measure] - first[one][measure] for one in both]
        interval, apart = (mean_interval(v, 0, f"{name} {measure}") for v in (values, differences))
        measures[measure] = {
            "mean": _mean(values),
            "interval_95": asdict(interval) if interval else None,
            "difference": _mean(differences) if differences else None,
            "difference_interval_95": asdict(apart) if apart else None,
        }
    worst = [
        (_mean([people[one]["likeness"] for one in members if one in people]), group)
        for group, members in groups.items()
        if sum(one in people for one in members) >= _LEAST
    ]
    seconds = measures.pop("seconds", {"mean": None})
    common = _mean([first[one]["seconds"] for one in both]) if both else 0.0
    return {
        "people": len(people),
        "measures": measures,
        "worst_group": {"likeness": min(worst)[0], "group": min(worst)[1]} if worst else None,
        "seconds": seconds["mean"],
        "times_first": _mean([people[one]["seconds"] for one in both]) / common if common else None,
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _with_interval(value: float | None, interval: Mapping[str, float] | None, sign: bool = False) -> str:
    form = "+.2f" if sign else ".2f"
    if value is None:
        return ""
    around = f" ({interval['low']:{form}} to {interval['high']:{form}})" if interval else ""
    return f"{value:{form}}{around}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
