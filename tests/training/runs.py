"""What tests of whole runs have in common: a short configuration, what a run left behind, and a signal in the middle of it."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from likeness.person import Person
from training import checkpoint
from training.config import TrainConfig
from training.loop import Loop

WEIGHTS = "pytorch_lora_weights.safetensors"
FAST: dict[str, Any] = {
    "steps": 4,
    "batch_size": 2,
    "lora": {"rank": 2},
    "optim": {"lr": 1e-2},
    "checkpoint": {"every": 2},
    "evaluation": {"every": 0},
}


def config(base: Path, person: Person, **changes: Any) -> TrainConfig:
    return TrainConfig.parse({**FAST, "base": str(base), "person": str(person.folder), "name": "run", **changes})


def metrics(person: Person, name: str = "run") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (person.runs / name / "metrics.jsonl").read_text().splitlines()]


def steps_saved(person: Person, name: str = "run") -> list[int]:
    return [int(path.name[5:]) for path in checkpoint.saved(person.runs / name / "checkpoints")]


def difference(one: Path, other: Path, file: str = WEIGHTS) -> float:
    first, second = load_file(one / file), load_file(other / file)
    assert first.keys() == second.keys()
    return max(float((first[key].float() - second[key].float()).abs().max()) for key in first)


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int, number: int = signal.SIGTERM) -> None:
    log = Loop._log

    def log_and_signal(loop: Loop, norm: torch.Tensor) -> None:
        log(loop, norm)
        if loop.done == step:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Loop, "_log", log_and_signal)
