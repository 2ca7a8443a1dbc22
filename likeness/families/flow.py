"""What transformers trained by flow matching have in common: the shift of their noise levels, and how they are drawn.

The larger the picture, the more noise it takes to hide it, so that such bases look at noisier levels the more tokens a
picture has (Esser et al. 2024, arXiv 2403.03206, section 5.3.2): in sampling, and, with the same shift, in training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from likeness.errors import LikenessError
from likeness.families import source
from likeness.families.base import Family
from likeness.families.recipe import Recipe
from likeness.families.schedule import FlowSchedule, Schedule, Size

_FINE_STEPS = 200
"""Sampling steps at which a shift that depends on their number stops to: what is left is the picture's size alone."""


class FlowFamily(Family):
    """A transformer over latents, with one text encoder, that says the velocity from picture to noise."""

    denoiser_folder = "transformer"
    half = torch.bfloat16
    idle = frozenset({"text"})  # language models are read before their last layer
    patch: ClassVar[int]
    """Latents to a token, along one side."""

    @property
    def resolution(self) -> int:
        """1024: no part of these bases says so, for they draw many sizes."""
        return 1024

    def text_lora_targets(self) -> dict[str, list[str]]:
        """None, for most of the stock pipelines load LoRA into the transformer alone."""
        return {}

    def mu(self, tokens: int, steps: int) -> float:
        """The logarithm of the shift for a picture of so many tokens drawn in so many steps: linear in the tokens."""
        settings = self._settings
        least, most = settings.get("base_image_seq_len", 256), settings.get("max_image_seq_len", 4096)
        low, high = settings.get("base_shift", 0.5), settings.get("max_shift", 1.15)
        slope = (high - low) / (most - least)
        return float(low + slope * (tokens - least))

    def set_timesteps(self, scheduler: Any, steps: int, latents: Tensor) -> None:
        """Evenly from pure noise to 1 / steps, then shifted."""
        self._check_steps(steps)
        sigmas = torch.linspace(1.0, 1 / steps, steps).tolist()
        mu = self.mu(self._tokens((latents.shape[-2], latents.shape[-1])), steps)
        scheduler.set_timesteps(sigmas=sigmas, mu=mu, device=latents.device)

    def pipeline_arguments(
        self, recipe: Recipe, prompts: list[str], negatives: list[str], latents: Tensor
    ) -> dict[str, Any]:
        self._check_steps(recipe.steps)
        return super().pipeline_arguments(recipe, prompts, negatives, latents)

    @property
    def _distilled(self) -> bool:
        return bool(source.pipeline_options(self.folder).get("is_distilled"))

    def _check_steps(self, steps: int) -> None:
        """Raises LikenessError for one step of a scheduler that stretches its levels to a last one: one alone becomes no number."""
        if steps == 1 and self._settings.get("shift_terminal"):
            raise LikenessError("this base cannot be drawn in a single step", "Take two or more", self.base)

    def _make_schedule(self) -> Schedule:
        if "FlowMatch" not in type(self.parts["scheduler"]).__name__:
            what = (
                f"the base's scheduler is a {type(self.parts['scheduler']).__name__}, which is none for flow matching"
            )
            raise LikenessError(what, "Copy scheduler_config.json anew", self.folder)
        return FlowSchedule(self._shift, int(self._settings["num_train_timesteps"]))

    def _shift(self, size: Size) -> float:
        """As the scheduler's `use_dynamic_shifting` and `time_shift_type` say."""
        if not self._settings["use_dynamic_shifting"]:
            return float(self._settings["shift"])
        mu = self.mu(self._tokens(size), _FINE_STEPS)
        return math.exp(mu) if self._settings["time_shift_type"] == "exponential" else mu

    def _tokens(self, size: Size) -> int:
        return (size[0] // self.patch) * (size[1] // self.patch)

    @property
    def _settings(self) -> Mapping[str, Any]:
        """The scheduler's."""
        config: Mapping[str, Any] = self.parts["scheduler"].config
        return config
