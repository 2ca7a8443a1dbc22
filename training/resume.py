"""Where a run that is started begins: anew, after a checkpoint, or not at all because it is finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object

from likeness import files
from likeness.adapter_file import INFO_FILE, read_info
from likeness.errors import LikenessError
from likeness.person import Person
from likeness.settings import dump
from training import checkpoint, tracking
from training.config import TrainConfig, differing_keys

_FINISHED = "finished.json"
_ANEW = "Undo the change, give the run another name=..., or throw the earlier run away with checkpoint.resume=never"


@dataclass(frozen=True)
class Start:
    """``checkpoint`` is None when the run begins anew; ``finished`` when its adapter is there already.

    ``outdated``: whether other selfies lay there when the adapter was trained.
    """

    checkpoint: Path | None
    finished: bool
    outdated: bool = False


@contextmanager
def only_one(person: Person, run_name: str) -> Iterator[None]:
    """Holds the run for this process while entered. Raises LikenessError when another one is at it.

    The kernel lets go of the lock however the process ends. What a killed one left half-written, as large as a checkpoint, is removed.
    """
    with files.claim(person.runs / f".{run_name}.lock") as mine:
        if not mine:
            what = "another process is training this run now"
            raise LikenessError(what, "Wait for it, or give this one another name=...", person.runs / run_name)
        files.remove_leftovers(person.runs / run_name)
        files.remove_leftovers(person.adapters, run_name)
        yield


def find_start(config: TrainConfig, person: Person, shares: int) -> Start:
    """Reads the run's folder and changes nothing in it. Raises LikenessError when the run cannot be gone on with.

    ``shares``: into how many a step's batch is split, over processes and accumulation rounds.
    """
    path = checkpoint.newest(person.runs / config.run_name / "checkpoints")
    if path is None or config.checkpoint.resume == "never":
        return Start(None, finished=False)
    state = checkpoint.read_state(path)
    changed = differing_keys(state["config"], config.model_dump(mode="json"))
    if changed:
        raise LikenessError(f"this run began with other settings: {', '.join(changed)} changed", _ANEW, path.parents[1])
    if state["step"] > config.steps:
        raise LikenessError(
            f"this run has gone to step {state['step']}, beyond steps={config.steps}",
            "Raise steps, or give the run another name=...",
            path.parents[1],
        )
    info = read_info(adapter) if ((adapter := person.adapters / config.run_name) / INFO_FILE).is_file() else None
    # An adapter that does not say what it was trained on was written by an earlier version: the last checkpoint writes it again.
    # And one that is there need not be this run's: an earlier one of its name may have written it.
    record = _finished(path.parents[1])
    whole = info is not None and bool(info.trained) and record.get("steps") == config.steps
    if not whole and config.method == "lora" and config.lora.dropout:
        _check_shares(state, shares, path.parents[1])
    return Start(path, whole, whole and record.get("selfies") != sorted(person.selfies_by_digest()))


def note_finished(config: TrainConfig, selfies: Collection[str], folder: Path) -> None:
    """Says in the run's folder that its adapter is written; ``selfies``: SHA-256 of all that lay there."""
    files.write_json(folder / _FINISHED, {"steps": config.steps, "selfies": sorted(selfies)})


def _finished(folder: Path) -> dict[str, Any]:
    """What `note_finished` wrote; empty where there is nothing, or nothing whole."""
    try:
        record: dict[str, Any] = json.loads((folder / _FINISHED).read_text(encoding="utf-8"))
        return record
    except (OSError, ValueError):
        return {}


def _check_shares(state: dict[str, Any], now: int, folder: Path) -> None:
    """Dropout is drawn for every share of a batch at once: with others the run would be another one."""
    then = state.get("shares", state["config"]["gradient_accumulation"])
    if now != then:
        what = f"lora.dropout needs as many shares of a batch: processes x gradient_accumulation changed from {then} to {now}"
        raise LikenessError(what, _ANEW, folder)


def check_agreement(accelerator: Accelerator, what: str, value: Any, folder: Path) -> None:
    """Raises LikenessError, in all processes, unless it is the same in all of them. They wait for each other here."""
    if accelerator.num_processes > 1 and any(other != value for other in gather_object([value])):
        remedy = "On several machines the person's folder has to be one that they share, and the command the same"
        raise LikenessError(f"the processes do not have the same {what}", remedy, folder)


def check_sameness(state: dict[str, Any], data_digest: str, base_sha256: str, folder: Path) -> None:
    """Raises LikenessError when the portraits or the base are no longer those that the run began with."""
    for what, now, then in (
        ("the person's portraits", data_digest, state["data_digest"]),
        ("the base's weights", base_sha256, state["base_sha256"]),
    ):
        if now != then:
            raise LikenessError(f"{what} changed since this run began", _ANEW, folder)


def on_other_steps(config: TrainConfig, state: dict[str, Any]) -> str:
    """In words, what ``steps`` other than those of the checkpoint do to the run; empty where that is nothing."""
    then, schedule = state["config"]["steps"], config.optim.schedule
    if then == config.steps or schedule == "constant":
        return ""
    return (
        f"this run was to have {then} steps: from here on its learning rate is that of {schedule} over {config.steps}"
    )


def open_folder(config: TrainConfig, folder: Path, start: Start, step: int) -> None:
    """Makes the run's folder ready to be written from ``step`` on.

    Raises LikenessError when another process has trained the run since ``start`` was found: loading a base takes its time.
    """
    if config.checkpoint.resume == "auto" and checkpoint.newest(folder / "checkpoints") != start.checkpoint:
        raise LikenessError("another process trained this run in the meantime", "Give the same command again", folder)
    if start.checkpoint is None and folder.exists():
        with files.explained(folder, "cannot be removed"):
            shutil.rmtree(folder)
    files.write_text(folder / "config.yaml", dump(config))
    tracking.truncate(folder / "metrics.jsonl", step)
