"""Pictures in the middle of training: the base's own scheduler around the modules at hand, for any family.

The renderer of `inference/` loads a base and an adapter from disk; here the denoiser is the one that is being trained,
and its text encoder has long been freed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from likeness.families import Family, Recipe

Predict = Callable[[Tensor, Tensor, Mapping[str, Tensor]], Tensor]
"""(noisy latents, timesteps, conditioning) -> prediction."""


@torch.no_grad()
def render_latents(
    family: Family,
    predict: Predict,
    positive: Mapping[str, Tensor],
    negative: Mapping[str, Tensor],
    noise: Tensor,
    recipe: Recipe,
) -> Tensor:
    """Latents (B, C, h, w) drawn from standard normal ``noise`` with classifier-free guidance, all on one device."""
    scheduler: Any = copy.deepcopy(family.parts["scheduler"])
    scheduler.set_timesteps(recipe.steps, device=noise.device)
    latents = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        noisy = scheduler.scale_model_input(latents, timestep)
        times = timestep.expand(len(noise))
        wanted = predict(noisy, times, positive)
        guided = _guided(wanted, predict(noisy, times, negative), recipe) if recipe.guidance_scale != 1 else wanted
        latents = scheduler.step(guided.float(), timestep, latents).prev_sample
    return latents


def _guided(wanted: Tensor, unwanted: Tensor, recipe: Recipe) -> Tensor:
    """Guidance, and the rescaling that keeps it from over-exposing (Lin et al. 2023, arXiv 2305.08891, section 3.4)."""
    guided = unwanted + recipe.guidance_scale * (wanted - unwanted)
    if recipe.guidance_rescale == 0:
        return guided
    axes = tuple(range(1, wanted.ndim))
    rescaled = guided * (wanted.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True))
    return recipe.guidance_rescale * rescaled + (1 - recipe.guidance_rescale) * guided
