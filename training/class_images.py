"""Pictures of the class ("a person") that the frozen base renders once, for the prior in mode "images"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from likeness import randomness
from likeness.families import Family
from likeness.families.quantization import precision
from training.cache import Encodings
from training.data import Example, Portraits
from training.model import predict_in
from training.rendering import render_latents


def class_portraits(
    family: Family, encodings: Encodings, prompts: Sequence[str], count: int, size: tuple[int, int], seed: int
) -> Portraits:
    """``count`` latents of the prompts in turn, rendered or from the cache, of that (width, height) in px. They never become pixels: nobody looks.

    The family must be as it was loaded: its text encoder there, its denoiser untouched.
    """
    denoiser: Any = family.denoiser
    scheduler: Any = family.parts["scheduler"]
    device, dtype = next(denoiser.parameters()).device, denoiser.dtype
    shape = family.latent_shape(*reversed(size))
    texts = encodings.text([*prompts, ""])
    negative = texts.stack([""], device)
    made_by = f"{family.sha256()} {precision(denoiser)} {scheduler.to_json_string()}"

    def predict(noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        return predict_in(dtype, family, noisy, timesteps, conditioning).float()

    def example(number: int) -> Example:
        prompt = prompts[number % len(prompts)]

        def render() -> Tensor:
            noise = randomness.normal(shape, seed, "class-image", number)[None].to(device)
            positive = texts.stack([prompt], device)
            return render_latents(family, predict, positive, negative, noise, family.recipe, [number])[0]

        key = f"{made_by} {family.recipe.model_dump_json()} {size} {seed} {number} {prompt}"
        latents = encodings.latents(key, render)
        everywhere = torch.ones(1, *shape[1:])
        return Example(latents, torch.zeros(shape), everywhere, prompt, f"class-{number:05d}")

    return Portraits([example(number) for number in range(count)])
