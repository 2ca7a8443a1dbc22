"""Pictures in the middle of training: the base's own scheduler around the modules at hand, for any family.

The renderer of `inference/` loads a base and an adapter from disk; here the denoiser is the one that is being trained,
and its text encoder has long been freed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from likeness.families import Family, Recipe
from likeness.families.guidance import guided, has_adapter, without_adapter

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
    seeds: Sequence[int],
) -> Tensor:
    """Latents (B, C, h, w) drawn from standard normal ``noise`` with the recipe's guidance, all on one device.

    ``seeds``: one a row, of the noise that ``recipe.eta`` puts back. Raises LikenessError where the scheduler puts none back.
    """
    scheduler: Any = copy.deepcopy(family.parts["scheduler"])
    family.set_timesteps(scheduler, recipe.steps, noise)
    # Schedulers of a flow have neither: they begin at the noise itself and show it as it is.
    latents = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    scaled = getattr(scheduler, "scale_model_input", lambda latents, timestep: latents)
    stirred = family.stirring(scheduler, recipe, seeds)
    from_base = recipe.guidance_from == "base" and not recipe.guidance_scale == recipe.words_scale == 1
    from_base = from_base and has_adapter(family.denoiser)
    for timestep in scheduler.timesteps:
        noisy = scaled(latents, timestep)
        times = timestep.expand(len(noise))
        wanted = predict(noisy, times, positive)
        if from_base:
            with without_adapter(family.denoiser):
                alone = predict(noisy, times, positive)
                wanted = guided(wanted, alone, recipe)
                if recipe.words_scale != 1:
                    wanted = wanted + (recipe.words_scale - 1) * (alone - predict(noisy, times, negative))
        elif recipe.guidance_scale != 1:
            wanted = family.guide(wanted, predict(noisy, times, negative), recipe)
        latents = scheduler.step(wanted.float(), timestep, latents, **stirred).prev_sample
    return latents
