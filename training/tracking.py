"""Where the numbers of a run go: metrics.jsonl always, TensorBoard and wandb on request, all through accelerate.

Trackers may be on someone else's machine. So they are told numbers and the names of settings, never a prompt, a caption,
a person's name or a path, and no pictures unless ``share_images`` says so. wandb's own look around the machine (command
line, host, user, git, console, installed packages) is switched off.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal, get_origin

import numpy as np
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker, on_main_process
from PIL import Image
from pydantic import Field

from likeness import files
from likeness.errors import LikenessError, first_line
from likeness.settings import Settings
from training.metrics import finite

Tracker = Literal["tensorboard", "wandb"]


class TrackingSettings(Settings):
    """What is logged, how often, and who may see what."""

    trackers: list[Tracker] = []
    """Besides metrics.jsonl, which is always written."""
    every: int = Field(1, ge=1)
    """Steps that one line of numbers sums up."""
    project: str = "likeness"
    """What the run is filed under at the trackers."""
    wandb_mode: Literal["auto", "online", "offline"] = "auto"
    """auto: online when this machine is logged in to wandb, else offline. Nothing ever asks for a key."""
    share_images: bool = False
    """Send the sample pictures to the trackers too. They show the person's face."""
    share_names: bool = False
    """Call the run by its name and the person's at the trackers, instead of by a short hash."""


class JsonLines(GeneralTracker):
    """One JSON object a line and a logging step, in a file that a person can read."""

    name = "jsonl"
    requires_logging_directory = False

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def tracker(self) -> Path:
        return self.path

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Nothing: the run's config.yaml is beside the file."""

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        """Appends a line. Raises LikenessError when it cannot be written."""
        with files.explained(self.path), open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **finite(values)}) + "\n")


def between_updates() -> float:
    """Seconds between two updates of a progress bar: few lines where standard error is a log, and nobody looks on."""
    return 0.2 if sys.stderr.isatty() else 20.0


def truncate(path: Path, step: int) -> None:
    """Drops the lines after ``step``, and one that a killed process left half-written: those steps will come again."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry["step"] <= step:
            kept.append(line + "\n")
    files.write_text(path, "".join(kept))


def new_id(label: str) -> str:
    """A short name for a run that is about to begin, which says nothing of whose it is."""
    return hashlib.sha256(f"{label} {time.time_ns()}".encode()).hexdigest()[:10]


def check(settings: TrackingSettings) -> None:
    """Raises LikenessError when a tracker that is asked for is not installed."""
    for name in settings.trackers:
        if importlib.util.find_spec(name) is None:
            raise LikenessError(
                f"tracking.trackers asks for {name}, which is not installed",
                f"Install it (pip install {name}), or leave it out",
            )


def log_with(settings: TrackingSettings, run_folder: Path) -> list[Any]:
    """What accelerate's ``log_with`` takes."""
    return [JsonLines(run_folder / "metrics.jsonl"), *settings.trackers]


def start(
    accelerator: Accelerator, settings: TrackingSettings, run_folder: Path, label: str, tracker_id: str, step: int
) -> None:
    """Starts the trackers of a run that is at ``step``.

    ``label`` is the person's and the run's name, ``tracker_id`` what wandb knows this run by also when it goes on. Raises
    LikenessError when wandb does not start.
    """
    # TensorBoard hides what an earlier attempt wrote after the step that is gone on from.
    options: dict[str, dict[str, Any]] = {"tensorboard": {"purge_step": step + 1}}
    with _wandb_explained() if "wandb" in settings.trackers else nullcontext():
        if "wandb" in settings.trackers and accelerator.is_main_process:
            options["wandb"] = _wandb_options(settings, run_folder, label, tracker_id)
        accelerator.init_trackers(settings.project, init_kwargs=options)


def log(accelerator: Accelerator, values: dict[str, Any], step: int) -> None:
    """Tells all trackers. Raises LikenessError when metrics.jsonl cannot be written; the others can be done without."""
    for tracker in list(accelerator.trackers):
        with _dispensable(accelerator, tracker):
            tracker.log(values, step=step)


def finish(accelerator: Accelerator) -> None:
    """Ends all trackers."""
    while accelerator.trackers:
        with _dispensable(accelerator, tracker := accelerator.trackers[-1]):
            tracker.finish()
            accelerator.trackers.remove(tracker)


@contextmanager
def hushed() -> Iterator[None]:
    """On a full disk wandb's log and TensorBoard's thread tell of it by tracebacks beside what we say: inside, without."""
    before = logging.raiseExceptions, threading.excepthook
    if not os.environ.get("LIKENESS_DEBUG"):
        logging.raiseExceptions = False
        threading.excepthook = lambda end: None if isinstance(end.exc_value, OSError) else before[1](end)
    try:
        yield
    finally:
        logging.raiseExceptions, threading.excepthook = before


def config_values(settings: Settings, prefix: str = "") -> dict[str, int | float | bool | str]:
    """The numbers, switches and choices from fixed words of a configuration, flat, with dotted keys.

    Free text is left out: it may be a prompt, a name or a folder.
    """
    flat: dict[str, int | float | bool | str] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, Settings):
            flat.update(config_values(value, f"{prefix}{name}."))
        elif isinstance(value, bool | int | float) or (value is not None and get_origin(field.annotation) is Literal):
            flat[prefix + name] = value
    return flat


def log_images(accelerator: Accelerator, settings: TrackingSettings, images: Sequence[Image.Image], step: int) -> None:
    """Sends sample pictures to TensorBoard and wandb, if the settings share them."""
    if not settings.share_images:
        return
    pixels = np.stack([np.asarray(image) for image in images])
    for tracker in list(accelerator.trackers):
        with _dispensable(accelerator, tracker):
            if tracker.name == "tensorboard":
                tracker.log_images({"samples": pixels}, step=step, dataformats="NHWC")
            elif tracker.name == "wandb":
                tracker.log_images({"samples": list(pixels)}, step=step)


@contextmanager
def _dispensable(accelerator: Accelerator, tracker: GeneralTracker) -> Iterator[None]:
    """Does without a tracker, from here on, that raises inside: wandb's service gets the signals of a whole job, too, and dies of
    them before the run has saved itself."""
    try:
        yield
    except LikenessError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever somebody else's program raises
        accelerator.trackers.remove(tracker)
        accelerator.print(f"note: {tracker.name} gave up ({first_line(error)}); all numbers are in metrics.jsonl")


@contextmanager
def _wandb_explained() -> Iterator[None]:
    """Turns what wandb raises inside, without a key or without its server, into one line."""
    # Or it reports its own errors to its makers, unless the user says otherwise.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    try:
        yield
    except wandb.errors.Error as error:
        what = f"wandb does not start: {first_line(error)}"
        remedy = "Log in (wandb login), set tracking.wandb_mode=offline, or leave wandb out of tracking.trackers"
        raise LikenessError(what, remedy) from error


def _wandb_options(settings: TrackingSettings, run_folder: Path, label: str, tracker_id: str) -> dict[str, Any]:
    import wandb

    with files.explained(run_folder):
        run_folder.mkdir(parents=True, exist_ok=True)
    quiet = wandb.Settings(
        silent=True,
        console="off",
        disable_code=True,
        disable_git=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_disable_viewer=True,
        x_save_requirements=False,
        host="-",
        program="-",
        username="-",
        email="-",
        init_timeout=60,
    )
    mode = settings.wandb_mode
    if mode == "auto":
        mode = "online" if wandb.login(prompt=False) else "offline"
    name = label if settings.share_names else tracker_id
    return {"dir": str(run_folder), "id": tracker_id, "name": name, "mode": mode, "resume": "allow", "settings": quiet}
