"""Sizes and budget of the recogniser: one YAML beside this file for each machine it has been trained on."""

from __future__ import annotations

from pydantic import Field

from likeness.faces.world import WorldSettings
from likeness.settings import Settings
from scripts.pocket_base.settings import BudgetSettings


class TrainingSettings(BudgetSettings):
    """The loss and its budget."""

    scale: float = Field(gt=0)
    margin: float = Field(ge=0, lt=1)
    """Of CosFace: what is taken off the cosine with a face's own person before the softmax."""
    held_out: int = Field(gt=1)
    """People whom it is not trained on, but by whom its threshold is set: every so many-th of the folder."""
    false_matches: float = Field(gt=0, lt=1)
    """Share of pairs of different held-out people that pass the threshold."""
    ema_decay: float


class RecogniserTraining(Settings):
    """Everything that `scripts/train_recogniser.py` needs but the folders."""

    seed: int
    mixed_precision: str
    network: WorldSettings
    training: TrainingSettings
