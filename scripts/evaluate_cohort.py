"""A recipe on everybody of the cohort: python scripts/evaluate_cohort.py --out outputs/cohort

Trains an adapter of each, measures it, draws headshots as `likeness render` does, and audits them. One recogniser ranks; another
one and held-out selfies report. Where the recipe selects a checkpoint (`selection.enabled=true`), the one recogniser and some of the
held-out selfies select it, and the last one of the same training is measured beside it. What is done is kept, so that it may be stopped at
any time, and the same command started several times shares the people out. Whoever finishes last writes cohort.json, cohort.md,
audit.json and audit.html.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inference.audit import audit
from inference.audit_report import AuditSettings, finding_lines
from inference.headshots import RenderRequest, render
from inference.labels import cohort_labels, strata, stratified
from inference.material import load_renders
from inference.renderer import Renderer
from inference.scorecard import Scorecard, ScorecardSettings
from likeness import adapter, files, resources
from likeness.adapter_file import AdapterInfo, read_info
from likeness.cohort import cohort_names, cohort_person
from likeness.errors import LikenessError
from likeness.faces import REPORTING
from likeness.families import load_family
from likeness.person import Person
from training import checkpoint
from training.config import TrainConfig
from training.run import train
from training.signals import EXIT_INTERRUPTED, Interrupted
from training.sweep import Result, Variant
from training.sweep_table import markdown, tabulate

SELECTED = Variant(name="selected")
LAST = Variant(name="last", question="Does the selected checkpoint beat the last one of the same training?")
_RUN, _LAST = "cohort", "cohort-last"


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0, 2 for what the user can put right, 75 when it was stopped and can be gone on with."""
    parser = argparse.ArgumentParser(prog="evaluate_cohort.py", description="Evaluate a recipe on the cohort.")
    parser.add_argument("--config", type=Path, default=resources.configs() / "pocket.yaml")
    parser.add_argument("--people", type=int, default=48, help="of the cohort, evenly of its groups")
    parser.add_argument("--count", type=int, default=2, help="pictures in each of four styles to be measured")
    parser.add_argument("--headshots", type=int, default=4, help="to be drawn of each for the audit")
    parser.add_argument(
        "--selects", default="world", help="the recogniser that ranks headshots, and selects checkpoints"
    )
    parser.add_argument("--recogniser", default=REPORTING, help="reports; must not be the one that selects")
    parser.add_argument("--out", type=Path, default=Path("outputs/cohort"))
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that override the file's")
    options = parser.parse_intermixed_args(arguments)
    names = stratified({name: cohort_labels(name) for name in cohort_names()}, options.people)
    try:
        _go_through(names, options)
        if all(_path(options.out, name).is_file() for name in names):
            _report(names, options)
        else:
            print("other processes are at the people who are left; the last of them writes the report")
    except LikenessError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except (Interrupted, KeyboardInterrupt):
        print("stopped; the same command goes on from there", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _go_through(names: Sequence[str], options: argparse.Namespace) -> None:
    """Everybody who is neither done nor in another process's hands."""
    card = Scorecard(ScorecardSettings(count=options.count, recogniser=options.recogniser))
    for number, name in enumerate(names, 1):
        path = _path(options.out, name)
        with files.claim(path.with_suffix(".lock")) as mine:
            if mine and not path.is_file():
                found = _one(cohort_person(options.out / "people" / name), card, options)
                files.write_json(path, found)
                seen = ", ".join(f"{one} {values['likeness']:.2f}" for one, values in found["values"].items())
                print(f"{number} of {len(names)}: {name}, likeness {seen}, {found['seconds']:.0f} s", flush=True)


def _one(person: Person, card: Scorecard, options: argparse.Namespace) -> dict[str, Any]:
    """Trains, draws the headshots, and gives what the selected checkpoint and the last one show."""
    config = _config(options, f"person={person.folder}", f"name={_RUN}")
    started = time.monotonic()
    kept = train(config)
    seconds = time.monotonic() - started
    info = read_info(kept)
    assert info is not None, "an adapter that was trained a moment ago says what it is"
    if not any(index.complete for _, index in load_renders(person, kept)):
        renderer = Renderer(config.base, kept, accept_license=config.accept_license)
        render(person, RenderRequest(count=options.headshots, recogniser=options.selects), renderer, kept)
    values = {(SELECTED if info.selection else LAST).name: card.measure(person, kept, info.reporting)}
    if info.selection:
        last = _last_checkpoint(person, config, info)
        values[LAST.name] = card.measure(person, last, info.reporting) if last else values[SELECTED.name]
    # What is left of a run takes ten times as much room as its adapter.
    shutil.rmtree(person.runs / _RUN, ignore_errors=True)
    selection = info.selection.model_dump(mode="json") if info.selection else None
    return {"seconds": seconds, "seed": config.seed, "values": values, "selection": selection}


def _config(options: argparse.Namespace, *own: str) -> TrainConfig:
    overrides = [*own, f"selection.recogniser={options.selects}", "tracking.trackers=[]", *options.overrides]
    return TrainConfig.load(options.config, overrides)


def _last_checkpoint(person: Person, config: TrainConfig, info: AdapterInfo) -> Path | None:
    """An adapter of the run's last checkpoint; None where that is the one that `info` says was selected."""
    newest = checkpoint.newest(person.runs / _RUN / "checkpoints")
    assert newest is not None and info.selection is not None
    saved = checkpoint.load(newest)
    if info.selection.step == saved.step:
        return None
    family = load_family(config.base)
    adapter.inject(family, config.lora, config.seed)
    adapter.load_adapter_state(family, saved.trained)
    adapter.save(family, person.adapters / _LAST, info.model_copy(update={"selection": None}))
    return person.adapters / _LAST


def _path(out: Path, name: str) -> Path:
    return out / "results" / f"{name}.json"


def _report(names: Sequence[str], options: argparse.Namespace) -> None:
    """Writes the table and the audit, and prints them."""
    found = {name: files.read_json(_path(options.out, name)) for name in names}
    variants = [one for one in (SELECTED, LAST) if all(one.name in person["values"] for person in found.values())]
    results = [
        Result(variant.name, name, one["seed"], one["seconds"], one["values"][variant.name])
        for name, one in found.items()
        for variant in variants
    ]
    rows = tabulate(results, variants, strata(names))
    about = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": _config(options, "person=nobody").model_dump(mode="json"),
        "selects": options.selects,
        "recogniser": options.recogniser,
    }
    files.write_json(options.out / "cohort.json", about | {"rows": rows, "people": found})
    files.write_text(options.out / "cohort.md", markdown(rows))
    settings = AuditSettings(adapter=_RUN, recogniser=options.recogniser)
    report, _ = audit(options.out / "people", settings=settings, out=options.out)
    print(markdown(rows))
    for target in report["targets"]:
        value = "not known" if target["value"] is None else f"{target['value']:.2f}"
        print(f"{target['what']}: {value}, {target['limit']}{'' if target['met'] else ': missed'}")
    print("\n".join(finding_lines(report)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
