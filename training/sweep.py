"""Many small trainings side by side: named variants of one configuration, each on the same people, each measured alike.

A cell is one variant on one person. What it found is written when it is done, under a key of all that it depends on; a sweep
that is started again finds those cells there and goes on with the others, in the middle of a training where it was. One that is
started several times shares the people out.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import re
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import model_validator

from likeness import files
from likeness.errors import LikenessError
from likeness.families import fingerprint
from likeness.person import Person, check_name
from likeness.settings import Settings, with_overrides
from likeness.yaml12 import dump_yaml
from training.config import TrainConfig
from training.metrics import Diverged
from training.run import train
from training.signals import Interrupted

Measure = Callable[[Person, Path, TrainConfig], Mapping[str, float]]
"""(person, adapter, its configuration) -> numbers by name."""

_FREE = {"person", "name", "tracking", "checkpoint", "accept_license"}
"""What a cell's numbers do not depend on; that candidates come at checkpoints is settled beforehand."""
_FACTOR = re.compile(r"x\d+(\.\d+)?")


class Variant(Settings):
    """One way of training."""

    name: str
    question: str = ""
    """What it is there to answer, in words."""
    set: dict[str, Any] = {}
    """Settings by dotted key, over those of the configuration. "x0.5" is half of what that has, for bases differ in it."""


class Sweep(Settings):
    """Variants to be compared, one by one or as a grid; the first is what the others are compared with."""

    set: dict[str, Any] = {}
    """Settings by dotted key for all of them, where a variant has no other value."""
    variants: list[Variant] = []
    grid: dict[str, list[Any]] = {}
    """Values by dotted key: every combination is a variant."""

    @model_validator(mode="after")
    def _something_to_compare(self) -> Sweep:
        names = [variant.name for variant in self.all()]
        if not names:
            raise ValueError("variants or a grid")
        if len(set(names)) < len(names):
            raise ValueError("every variant has a name of its own")
        return self

    def all(self) -> list[Variant]:
        """The variants, then those of the grid."""
        keys = list(self.grid)
        combinations = itertools.product(*self.grid.values()) if keys else ()
        pairs = [list(zip(keys, values, strict=True)) for values in combinations]
        named = [
            Variant(name=", ".join(f"{key}={value}" for key, value in chosen), set=dict(chosen)) for chosen in pairs
        ]
        return [*self.variants, *named]


@dataclass(frozen=True)
class Cell:
    """One variant on one person with one seed. key: of all that its numbers depend on."""

    variant: str
    person: Person
    config: TrainConfig
    key: str


@dataclass(frozen=True)
class Result:
    """What a cell found; seconds: of the training alone, attempts that were asked to stop included.

    failed: why there are no values, where the training diverged; empty otherwise.
    """

    variant: str
    person: str
    seed: int
    seconds: float
    values: dict[str, float]
    failed: str = ""


def cells(sweep: Sweep, base: Mapping[str, Any], people: Sequence[Person], seeds: int, measured: str) -> list[Cell]:
    """All cells, person by person, so that what is there after an interruption can be compared.

    ``base``: plain values of a TrainConfig without a person.  ``seeds``: trainings of every variant and person, each with a seed
    of its own.  ``measured``: says how adapters are measured. Raises
    LikenessError for settings that there are not.
    """
    found = []
    base_of = functools.cache(fingerprint)
    for person, seed, variant in itertools.product(people, range(seeds), sweep.all()):
        try:
            plain = TrainConfig.parse({**base, "person": str(person.folder)}).model_dump(mode="json")
            changes = {key: _scaled(plain, key, value) for key, value in (sweep.set | variant.set).items()}
            values = with_overrides(plain, changes)
            config = TrainConfig.parse(values | {"seed": values["seed"] + seed})
            key = _key(config, base_of(config.base, config.revision), person, measured)
        except LikenessError as error:
            raise LikenessError(f'in the variant "{variant.name}": {error.what}', error.remedy) from error
        # A sweep has hundreds of runs: no tracker is told of them.
        quiet = config.tracking.model_copy(update={"trackers": []})
        config = config.model_copy(update={"name": check_name(f"sweep-{key}", "a run's name"), "tracking": quiet})
        found.append(Cell(variant.name, person, config, key))
    return found


def run(wanted: Sequence[Cell], folder: Path, measure: Measure) -> Generator[tuple[Cell, Result], None, None]:
    """Runs the cells that are not in ``folder`` yet, and yields all of them, person by person, each as soon as it is known.

    People whom another process is at come last: they are waited for, and what that process left undone is done. Raises
    Interrupted out of a training that was asked to stop, and LikenessError.
    """
    left = {cell.person.name: [one for one in wanted if one.person.name == cell.person.name] for cell in wanted}
    for wait in (False, True):
        for name in list(left):
            with files.claim(folder / f".{name}.lock", wait) as mine:
                for cell in left.pop(name) if mine else ():
                    yield cell, _found(cell, folder, measure)


def known(wanted: Sequence[Cell], folder: Path) -> list[Result]:
    """Of the cells those that are done, whoever did them."""
    found = [(cell, _read(_path(folder, cell))) for cell in wanted]
    # Two variants may come to the same: where the recipe has the value already that one of them sets.
    return [replace(result, variant=cell.variant) for cell, result in found if result]


def recipe(config: TrainConfig) -> str:
    """A configuration as a recipe for others: YAML of what differs from the defaults, without the person and the name.

    Nor with the acceptance of a base's licence: whoever takes the recipe has to read that.
    """
    defaults = TrainConfig(person=config.person)
    skip = {"name", "accept_license"}
    return dump_yaml(_differing(config.model_dump(mode="json"), defaults.model_dump(mode="json"), skip))


def _scaled(plain: Mapping[str, Any], key: str, value: Any) -> Any:
    """The value of a variant; that of the configuration times a factor where it is written as "x0.5"."""
    if not (isinstance(value, str) and _FACTOR.fullmatch(value)):
        return value
    own: Any = plain
    for part in key.split("."):
        own = own.get(part) if isinstance(own, Mapping) else None
    if isinstance(own, bool) or not isinstance(own, int | float):
        raise LikenessError(f"{key} is {own!r}, of which {value} means nothing", "Give the value itself")
    product = own * float(value[1:])
    return max(1, round(product)) if isinstance(own, int) else product


def _found(cell: Cell, folder: Path, measure: Measure) -> Result:
    path = _path(folder, cell)
    result = _read(path)
    if result is None:
        result = _run(cell, measure, path.parent)
        files.write_json(path, {**vars(result), "config": json.loads(cell.config.model_dump_json())})
    _clear(cell)
    return replace(result, variant=cell.variant)


def _path(folder: Path, cell: Cell) -> Path:
    return folder / "cells" / f"{cell.key}.json"


def _run(cell: Cell, measure: Measure, folder: Path) -> Result:
    spent = folder / f"{cell.key}.seconds.json"
    before = float(files.read_json(spent)) if spent.is_file() else 0.0
    started = time.monotonic()
    failed, values = "", {}
    try:
        adapter = train(cell.config)
    except Interrupted:
        files.write_json(spent, before + time.monotonic() - started)
        raise
    except Diverged as error:
        failed = error.what
    seconds = before + time.monotonic() - started
    if not failed:
        values = {name: float(value) for name, value in measure(cell.person, adapter, cell.config).items()}
    spent.unlink(missing_ok=True)
    return Result(cell.variant, cell.person.name, cell.config.seed, seconds, values, failed)


def _clear(cell: Cell) -> None:
    for folder in (cell.person.runs, cell.person.adapters):
        shutil.rmtree(folder / cell.config.run_name, ignore_errors=True)
    (cell.person.runs / f".{cell.config.run_name}.lock").unlink(missing_ok=True)


def _key(config: TrainConfig, base: str, person: Person, measured: str) -> str:
    plain = config.model_dump(mode="json", exclude=_FREE)
    plain["selection"]["every"] = config.selection.every or config.checkpoint.every
    photos = sorted(files.sha256(path) for path in person.selfie_files())
    made_of = [plain, base, person.name, photos, measured]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> Result | None:
    """The result in a file; None where there is none, or a damaged one, which is then made anew."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return Result(**{name: record[name] for name in Result.__dataclass_fields__})
    except (OSError, ValueError, KeyError):
        return None


def _differing(values: Mapping[str, Any], defaults: Mapping[str, Any], skip: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        other = defaults.get(key)
        if key in skip or value == other:
            continue
        found[key] = _differing(value, other, set()) if isinstance(value, dict) and isinstance(other, dict) else value
    return found
