"""`likeness tune`: which recipe makes adapters that are most like the person? And what it shares with scripts/ablate.py.

Trainings are of `training/`, pictures and scores of `inference/`: this file joins them. Tuning chooses, so that the selecting
recogniser looks, at the photographs that choose; an ablation reports, by the other recogniser and the other photographs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from inference.labels import cohort_labels, strata, stratified
from inference.scorecard import Scorecard, ScorecardSettings
from inference.styles import find_style
from likeness import files
from likeness.adapter_file import read_info
from likeness.cohort import cohort_names, cohort_person
from likeness.errors import LikenessError
from likeness.person import Person
from training.config import TrainConfig, usual_recipe
from training.prepare import load_portraits
from training.selection import split_held_out
from training.signals import EXIT_INTERRUPTED, Interrupted
from training.sweep import Cell, Sweep, cells, known, recipe, run
from training.sweep_table import Row, choose, markdown, tabulate
from training.tracking import TrackingSettings

__all__ = [
    "EXIT_INTERRUPTED",
    "Comparison",
    "Interrupted",
    "ScorecardSettings",
    "Sweep",
    "base_values",
    "cohort_sample",
    "compare",
    "tune",
]

Judges = Literal["choosing", "reporting"]


@dataclass(frozen=True)
class Comparison:
    """A sweep to be run: on whom, measured how, written where."""

    sweep: Sweep
    base: Mapping[str, Any]
    people: Sequence[Person]
    scores: ScorecardSettings
    judges: Judges
    """Which of the held-out photographs likeness is to."""
    out: Path
    seeds: int = 1
    """Trainings of each variant and person."""

    def cells(self) -> list[Cell]:
        """Raises LikenessError for a setting that there is not, before anything is trained."""
        # Not the styles' names alone: somebody may rewrite one.
        styles = [find_style(name).model_dump_json() for name in self.scores.styles]
        measured = " ".join([self.scores.model_dump_json(), self.judges, *styles])
        return cells(self.sweep, self.base, self.people, self.seeds, measured)


def compare(wanted: Comparison, name: str, console: Console) -> tuple[list[Row], list[Cell]]:
    """Runs what is missing; writes `<name>.json` and `<name>.md` after every cell, and returns the table and the cells.

    Raises Interrupted when it was asked to stop in a training: the same again goes on from there. Raises LikenessError.
    """
    todo = wanted.cells()
    with files.explained(wanted.out):
        # People's scores by name, outside their folders that nobody else may enter.
        wanted.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    card = Scorecard(wanted.scores)
    members = strata(person.name for person in wanted.people)

    def measure(person: Person, adapter: Path, config: TrainConfig) -> dict[str, float]:
        return card.measure(person, adapter, _judging(person, adapter, config, wanted.judges))

    rows: list[Row] = []
    for number, (cell, result) in enumerate(run(todo, wanted.out, measure), 1):
        found = f"failed: {result.failed}" if result.failed else f"likeness {result.values['likeness']:.2f}"
        console.print(
            f"{number} of {len(todo)}: {cell.person.name}, {result.variant}: {found}, {result.seconds:.0f} s",
            highlight=False,
        )
        results = known(todo, wanted.out)  # those of other processes too
        rows = tabulate(results, wanted.sweep.all(), members)
        report = {"recogniser": wanted.scores.recogniser, "judged_by": wanted.judges, "rows": rows}
        files.write_json(wanted.out / f"{name}.json", report | {"cells": [vars(one) for one in results]})
        files.write_text(wanted.out / f"{name}.md", markdown(rows))
    return rows, todo


def cohort_sample(count: int, into: Path) -> list[Person]:
    """So many people of the bundled cohort, evenly of its groups, as folders in `into`."""
    chosen = stratified({name: cohort_labels(name) for name in cohort_names()}, count)
    return [cohort_person(into / name) for name in chosen]


def base_values(config: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration that variants change, as plain values."""
    settings = TrainConfig.load(config or usual_recipe(overrides), ["person=nobody", *overrides])
    return settings.model_dump(mode="json", exclude={"person", "name"})


def _judging(person: Person, adapter: Path, config: TrainConfig, judges: Judges) -> Collection[str]:
    """SHA-256 of the photographs that judge: the same whatever the variant, for they follow from the person alone.

    So they are those that were held out of the person's photographs, not all that adapter.json lists: a variant with fewer
    `data.photos`, or other crops, was trained on fewer.
    """
    info = read_info(adapter)
    assert info is not None, "an adapter that was trained a moment ago says what it is"
    rows = load_portraits(person, info.resolution, config.data.shape[0]).select_columns(["digest", "split"])
    held_out = {row["digest"] for row in rows if row["split"] == "held-out"}
    choosing, reporting = split_held_out(sorted(held_out), config.selection.share)
    if not reporting:
        raise LikenessError("no selfie was held out to measure likeness by", "Add selfies: five or more", person.folder)
    # A single one cannot both choose and report; then the sweep says at least something.
    return reporting if judges == "reporting" or not choosing else choosing


def tune(wanted: Comparison, console: Console) -> str:
    """Compares, writes the best variant as `best.yaml` beside the table, and returns its name. Raises as `compare` does."""
    rows, done = compare(wanted, "tune", console)
    limit = done[0].config.selection.max_copying
    chosen = choose(rows, limit)
    best = next(cell.config for cell in done if cell.variant == chosen)
    tracking = TrackingSettings.parse(wanted.base["tracking"])  # which the sweep itself did without
    files.write_text(wanted.out / "best.yaml", recipe(best.model_copy(update={"tracking": tracking})))
    return chosen
