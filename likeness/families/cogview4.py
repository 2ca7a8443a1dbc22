"""CogView4 (6B): a picture's and a prompt's tokens in one stream, read by GLM-4; told its size as SDXL is.

What `CogView4Pipeline` does around its parts, as single steps. Its transformer is told time before the shift, and so not how
much noise there is. Prompts are filled up on the left to sixteens of tokens, and what fills up is read, by GLM and by the
transformer: in a batch of the stock pipeline a short prompt is read otherwise than alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.families.autoencoder import KLFamily
from likeness.families.base import TargetPreset
from likeness.families.flow import FlowFamily
from likeness.families.recipe import Recipe
from likeness.families.text import beyond

TEXT_LENGTH = 1024
"""Tokens that the stock pipeline reads, the two that the tokenizer adds included."""

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
MLP = ["ff.net.0.proj", "ff.net.2"]
REST = ["patch_embed.proj", "patch_embed.text_proj", "norm1.linear", "norm_out.linear", "proj_out"]


class CogView4(KLFamily, FlowFamily):
    """CogView4."""

    name = "cogview4"
    pipeline_class = "CogView4Pipeline"
    default_licence = "apache-2.0"
    architecture = "cogview-4"
    comfyui_modules = None  # It does not know this model.
    draws_batches = False
    default_recipe = Recipe(steps=50, guidance_scale=3.5)
    patch = 2

    def encode_text(self, prompts: list[str]) -> dict[str, Tensor]:
        """{"states": (B, 1024, width), "mask": (B, 1024), 1 for what the stock pipeline reads of each prompt alone}."""
        device, pipe = next(self._encoder("text_encoder").parameters()).device, self.pipeline()
        read = [pipe.encode_prompt([prompt], do_classifier_free_guidance=False, device=device)[0] for prompt in prompts]
        states = torch.cat([F.pad(states, (0, 0, TEXT_LENGTH - states.shape[1], 0)) for states in read])
        lengths = torch.tensor([[states.shape[1]] for states in read], device=device)
        mask = torch.arange(TEXT_LENGTH, device=device) >= TEXT_LENGTH - lengths
        return {"states": states, "mask": mask.to(states.dtype)}

    def unread(self, prompt: str) -> str:
        tokenizer = self.parts["tokenizer"]
        return beyond(tokenizer, prompt, TEXT_LENGTH - tokenizer.num_special_tokens_to_add())

    def framing(self, originals: Tensor) -> dict[str, Tensor]:
        return {"original_size": originals}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        self._mask_attention()
        mask = conditioning["mask"] > 0.5
        longest = int(mask.sum(1).max())
        original, size = self._told_sizes(noisy, conditioning)
        said: Tensor = self.denoiser(
            noisy,
            conditioning["states"][:, -longest:],
            timestep=self._unshifted(timesteps, noisy),
            original_size=original.to(noisy.dtype),
            target_size=size.to(noisy.dtype),
            crop_coords=torch.zeros_like(size, dtype=noisy.dtype),
            attention_kwargs={"text_attn_mask": mask[:, -longest:].to(noisy.device, torch.int32)},
        ).sample
        return said

    def mu(self, tokens: int, steps: int) -> float:
        """The shift itself, which grows with the side of the picture."""
        settings = self._settings
        side = (tokens / settings["base_image_seq_len"]) ** 0.5
        return float(settings["base_shift"] + side * settings["max_shift"])

    def set_timesteps(self, scheduler: Any, steps: int, latents: Tensor) -> None:
        """In whole timesteps from the last to the first, then shifted."""
        length = self.schedule.num_train_timesteps
        levels = np.linspace(length, 1.0, steps).astype(np.int64) / length
        mu = self.mu(self._tokens((latents.shape[-2], latents.shape[-1])), steps)
        scheduler.set_timesteps(sigmas=levels.tolist(), mu=mu, device=latents.device)

    def lora_targets(self, preset: TargetPreset) -> list[str]:
        return ATTENTION + {"attention": [], "attention-mlp": MLP, "all": MLP + REST}[preset]

    def _unshifted(self, timesteps: Tensor, noisy: Tensor) -> Tensor:
        """The time that the shift made these noise levels of."""
        length = self.schedule.num_train_timesteps
        shift, level = self._shift((noisy.shape[-2], noisy.shape[-1])), timesteps / length
        return level / (shift - (shift - 1) * level) * length

    def _mask_attention(self) -> None:
        """Let the transformer not look at what fills up the shorter prompts of a batch.

        Its usual processor adds its mask, 0 and 1, to the scores, where it hides nothing. This one is diffusers' own for
        training; drawing, which the stock pipeline does without `predict`, keeps the usual one, which is faster.
        """
        from diffusers.models.transformers.transformer_cogview4 import CogView4TrainingAttnProcessor

        denoiser: Any = self.denoiser
        for block in denoiser.transformer_blocks:
            block.attn1.set_processor(CogView4TrainingAttnProcessor())
