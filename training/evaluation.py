"""A loss that can be compared from step to step: the held-out portraits at fixed noise levels under fixed noise.

The training loss mostly shows which timesteps were drawn. Here nothing is drawn anew: it falls while the person is
learnt, and rises when the photos are learnt by heart.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from likeness import randomness
from likeness.families import Schedule
from likeness.settings import Settings
from training.captions import worded
from training.data import Portraits
from training.metrics import quantile_name
from training.objective import face_weights, sample_losses

Predict = Callable[[Tensor, Tensor, list[str]], Tensor]
"""(noisy latents, timesteps, prompts) -> prediction."""


class EvaluationSettings(Settings):
    """How often, and how finely."""

    every: int = Field(50, ge=0)
    """Steps between two evaluations; 0 switches them off."""
    quantiles: int = Field(4, ge=1, le=20)
    """Noise levels, spread evenly as the base counts them: with a flow's shift they lie towards noise, as those that it is trained at do."""
    portraits: int = Field(8, ge=1)
    """At most so many of the held-out portraits."""


class Evaluation:
    """The held-out portraits and the noise that they are looked at through."""

    def __init__(
        self, held_out: Portraits, settings: EvaluationSettings, subject: str, seed: int, floor: float
    ) -> None:
        """``subject`` stands in the captions; ``floor`` is the loss's weight of the background."""
        examples = [example for photo in held_out.photos for example in photo]
        # Spread over the photos, when there are more crops than are asked for.
        count = min(settings.portraits, len(examples))
        self._examples = [examples[place * len(examples) // count] for place in range(count)]
        self._quantiles = settings.quantiles
        self.prompts = [worded(example.caption, subject) for example in self._examples]
        shapes = [tuple(example.mean.shape) for example in self._examples]
        self._noise = [randomness.normal(s, seed, "evaluation", held_out.identity, i) for i, s in enumerate(shapes)]
        self._floor = floor

    @torch.no_grad()
    def losses(self, predict: Predict, schedule: Schedule, device: torch.device | str) -> dict[str, float]:
        """Mean face-weighted squared error, over all noise levels ("evaluation/loss") and at each, before a flow's shift."""
        values: dict[str, float] = {}
        for number in range(self._quantiles):
            level = torch.tensor([(number + 0.5) / self._quantiles])
            found = [self._loss(index, level, predict, schedule, device) for index in range(len(self._examples))]
            values[f"evaluation/{quantile_name(number, self._quantiles)}"] = sum(found) / len(found)
        return {"evaluation/loss": sum(values.values()) / len(values), **values}

    def _loss(
        self, index: int, level: Tensor, predict: Predict, schedule: Schedule, device: torch.device | str
    ) -> float:
        example = self._examples[index]
        height, width = example.mean.shape[-2:]
        timesteps = schedule.timesteps(level, (height, width)).to(device)
        latents, noise = example.mean[None].to(device), self._noise[index][None].to(device)
        prediction = predict(schedule.add_noise(latents, noise, timesteps), timesteps, [self.prompts[index]])
        weights = face_weights(example.mask[None].to(device), self._floor)
        return float(sample_losses(prediction, schedule.target(latents, noise, timesteps), weights))
