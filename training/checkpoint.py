"""Checkpoints of a run: everything that the next step depends on, whole or not there at all.

    checkpoints/step-000100/  trained.safetensors  the weights that are trained
                              ema.safetensors      their running average, if the run keeps one
                              optimizer.pt         moments (and the scale of fp16's gradients)
                              state.json           step number and small things

Learning rate, data order and noise are functions of the step number, so they need no file.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor

from likeness import files
from likeness.errors import LikenessError
from likeness.settings import Settings

_NAME = re.compile(r"step-(\d{6,})")


class CheckpointSettings(Settings):
    """When the run is saved, and what happens when it is started again."""

    every: int = Field(100, ge=1)
    """Steps from one checkpoint to the next; the last step and an interruption always save."""
    keep: int = Field(2, ge=1)
    """How many of the newest stay."""
    resume: Literal["auto", "never"] = "auto"
    """auto: go on from the newest checkpoint. never: throw an earlier run of the same name away and begin anew."""


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a run, after ``step`` optimiser steps."""

    step: int
    trained: dict[str, Tensor]
    ema: dict[str, Tensor] | None
    optimizer: dict[str, Any]
    """State dictionaries of the optimiser and of the gradient scaler (None outside fp16)."""
    state: dict[str, Any]
    """JSON values: what the run is a function of, and its running averages."""


def save(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Writes the checkpoint into ``folder`` atomically, then drops all but the newest ``keep``. Raises LikenessError."""
    path = folder / f"step-{checkpoint.step:06d}"
    with files.new_folder(path) as inside:
        safetensors.torch.save_file(plain(checkpoint.trained), inside / "trained.safetensors")
        if checkpoint.ema is not None:
            safetensors.torch.save_file(plain(checkpoint.ema), inside / "ema.safetensors")
        with open(inside / "optimizer.pt", "wb") as stream:
            torch.save(checkpoint.optimizer, stream)
        files.write_json(inside / "state.json", {"step": checkpoint.step, **checkpoint.state})
    for old in saved(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def saved(folder: Path) -> list[Path]:
    """The checkpoints in ``folder``, oldest first; what a killed process left half-written is not among them."""
    if not folder.is_dir():
        return []
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def steps_saved(folder: Path) -> list[int]:
    """The steps of the checkpoints in ``folder``, in order."""
    return [int(path.name.removeprefix("step-")) for path in saved(folder)]


def newest(folder: Path) -> Path | None:
    """The latest checkpoint, None when there is none."""
    return next(reversed(saved(folder)), None)


def read_state(path: Path) -> dict[str, Any]:
    """The small things of a checkpoint, its ``step`` among them. Raises LikenessError when it is damaged."""
    try:
        state = files.read_json(path / "state.json")
        return dict(state) | {"step": int(state["step"])}
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error


def load(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Reads a checkpoint, its tensors onto ``device``. Raises LikenessError when it is damaged."""
    state = read_state(path)
    try:
        trained = safetensors.torch.load_file(path / "trained.safetensors", device=str(device))
        averaged = path / "ema.safetensors"
        ema = safetensors.torch.load_file(averaged, device=str(device)) if averaged.is_file() else None
        # weights_only: a pickle from elsewhere could run code.
        optimizer = torch.load(path / "optimizer.pt", map_location=device, weights_only=True)
        return Checkpoint(int(state.pop("step")), trained, ema, optimizer, state)
    except Exception as error:  # a damaged file raises whatever its reader raises
        raise _damaged(path) from error


def plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that safetensors takes, which refuses views and shared memory."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def _damaged(path: Path) -> LikenessError:
    return LikenessError("this checkpoint is damaged", "Delete it: the run goes on from the one before, or anew", path)
