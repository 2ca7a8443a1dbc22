"""The candidates of one run: how like the person their pictures are, and the weights of those that may be kept.

    runs/<run>/selection.json                    the curve, and the choice so far
               selection/step-000200-00.png      what a candidate drew
               selection/step-000200.safetensors weights of the best candidate up to each checkpoint that is still there

A reading is a function of the weights, so that a run which was killed reads the same again and chooses the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from PIL import Image
from torch import Tensor

from likeness import files
from likeness.adapter import load_adapter_state
from likeness.errors import LikenessError
from likeness.faces import FaceFinder, embedder
from likeness.faces.arrays import Pixels
from likeness.faces.scorer import Scorer
from likeness.families import Family
from likeness.images import load_photo
from likeness.person import Person
from likeness.selection import CurvePoint, Selection
from training import samples
from training.checkpoint import plain
from training.samples import Samples, SampleSettings
from training.selection import SelectionSettings, best, enough, split_held_out

Rows = Sequence[Mapping[str, Any]]


class Selector:
    """Reads candidates, and keeps the best of them on the disk."""

    def __init__(self, settings: SelectionSettings, pictures: Samples, scorer: Scorer, photos: Sequence[str]) -> None:
        """``photos``: SHA-256 of the held-out photographs that the scorer judges by."""
        self.settings, self.pictures, self.photos = settings, pictures, list(photos)
        self._scorer = scorer
        self._folder = Path()
        self.curve: list[CurvePoint] = []

    def open(self, run_folder: Path, step: int) -> None:
        """Goes to where the run is at ``step``; what was read later is read again. Raises LikenessError."""
        self._folder = run_folder
        record = run_folder / "selection.json"
        known: list[Any] = []
        if record.is_file():
            try:
                known = files.read_json(record)["curve"]
            except (ValueError, KeyError, TypeError) as error:
                raise LikenessError("is damaged", "Begin anew with checkpoint.resume=never", record) from error
        self.curve = [point for point in map(CurvePoint.parse, known) if point.step <= step]

    def consider(
        self, step: int, draw: Callable[[], list[Image.Image]], trained: Mapping[str, Tensor]
    ) -> dict[str, float]:
        """Draws and reads the candidate at ``step``, whose weights are ``trained``; gives the numbers for the trackers."""
        started = time.monotonic()
        images = draw()
        reading = self._scorer.read(images)
        samples.write(self._weights(step).parent, images, step)
        # Before the curve: what it names must be there.
        files.write_bytes(self._weights(step), safetensors.torch.save(plain(trained)))
        seconds = time.monotonic() - started
        values = {"likeness": reading.likeness, "copying": reading.copying, "faces": reading.faces, "seconds": seconds}
        self.curve.append(CurvePoint(step=step, **values))
        self._write()
        return {f"selection/{name}": value for name, value in values.items()}

    def prune(self, checkpoints: Iterable[int]) -> None:
        """Drops the weights that no run going on from one of these steps can come to keep."""
        wanted = set()
        for step in checkpoints:
            points = [point for point in self.curve if point.step <= step]
            if points:
                wanted.add(self._weights(points[best(points, self.settings.max_copying, self.settings.margin)].step))
        for path in self._weights(0).parent.glob("step-*.safetensors"):
            if path not in wanted:
                path.unlink(missing_ok=True)

    @property
    def enough(self) -> str | None:
        """Why the run should end here, in words; None while it should go on."""
        return enough(self.curve, self.settings)

    def selection(self) -> Selection:
        """The choice among the candidates so far, of which there must be one."""
        point = self.curve[best(self.curve, self.settings.max_copying, self.settings.margin)]
        fair = point.copying <= self.settings.max_copying
        why = (
            "the likest of those that copy little, or as like and later"
            if fair
            else "the one that copies least: all copy too much"
        )
        note = f"step {point.step} of {self.curve[-1].step}: {why}"
        stopped = self.enough
        return Selection(
            step=point.step,
            note=f"{note}; ended early, because {stopped}" if stopped else note,
            recogniser=self._scorer.embedder.id,
            photos=self.photos,
            curve=self.curve,
            stopped_early=stopped is not None,
        )

    def weights(self) -> dict[str, Tensor]:
        """The weights of the choice. Raises LikenessError when somebody removed them."""
        path = self._weights(self.selection().step)
        with files.explained(path, "cannot be read"):
            return safetensors.torch.load(path.read_bytes())

    def _weights(self, step: int) -> Path:
        return self._folder / "selection" / f"step-{step:06d}.safetensors"

    def _write(self) -> None:
        choice = self.selection()
        files.write_json(self._folder / "selection.json", choice.model_dump(mode="json") | {"seconds": choice.seconds})


def make_selector(
    settings: SelectionSettings, person: Person, rows: Mapping[str, Rows], pictures: Callable[[SampleSettings], Samples]
) -> tuple[Selector | None, str]:
    """The selector of a person whose prepared portraits these are, by split; or None, and why the last checkpoint is kept.

    ``pictures`` makes the samples that settings ask for. Raises LikenessError for a recogniser that is not there.
    """
    if not settings.enabled:
        return None, ""
    held_out = sorted({row["digest"] for row in rows["held-out"]})
    choosing, _ = split_held_out(held_out, settings.share)
    if not choosing:
        count = f"{len(held_out)} selfie{'s' if len(held_out) != 1 else ''}"
        return (
            None,
            f"the last checkpoint is kept: choosing one and reporting on it take two held-out selfies, not {count}",
        )
    finder, recogniser = FaceFinder(), embedder(settings.recogniser)
    trained = {row["photo"] for row in rows["train"]}
    judging = {row["photo"] for row in rows["held-out"] if row["digest"] in choosing}
    try:
        scorer = Scorer(_photos(person, trained), _photos(person, judging), finder, recogniser)
    except LikenessError as error:
        return None, f"the last checkpoint is kept: {error}"
    wanted = SampleSettings(
        every=1, prompts=settings.prompts, count=settings.count, steps=settings.steps,
        guidance_scale=settings.guidance_scale,
    )  # fmt: skip
    return Selector(settings, pictures(wanted), scorer, choosing), ""


def _photos(person: Person, names: Iterable[str]) -> list[Pixels]:
    return [np.asarray(load_photo(person.selfies / name)) for name in sorted(names)]


def keep_best(selector: Selector | None, note: str, family: Family, step: int) -> Selection | None:
    """Puts the weights of the choice into the model, where there is one; gives what the adapter is to say of it."""
    if selector is None or not selector.curve:
        return Selection(step=step, note=note) if note else None
    load_adapter_state(family, selector.weights())
    return selector.selection()
