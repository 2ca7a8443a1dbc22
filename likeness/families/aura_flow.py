"""AuraFlow (6.8B): a few blocks of two streams, then many of one; prompts are read by Pile-T5 alone.

What `AuraFlowPipeline` does around its parts, as single steps. The transformer gets no mask: what only fills up a prompt is
zeroed. Its places are learnt, a square of them, so that there is a largest picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from likeness.errors import LikenessError
from likeness.families.autoencoder import KLFamily
from likeness.families.base import TargetPreset
from likeness.families.flow import FlowFamily
from likeness.families.recipe import Recipe
from likeness.families.text import beyond

TEXT_LENGTH = 256
"""Tokens that Pile-T5 reads, those that the tokenizer adds included."""

JOINT = ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"]
GATED = [f"{stream}.{layer}" for stream in ("ff", "ff_context") for layer in ("linear_1", "linear_2", "out_projection")]
OTHERS = ["context_embedder", "pos_embed.proj", "norm1.linear", "norm1_context.linear", "norm_out.linear", "proj_out"]


class AuraFlow(KLFamily, FlowFamily):
    """AuraFlow 0.1 to 0.3, and what was trained from it."""

    name = "aura-flow"
    idle = frozenset()
    pipeline_class = "AuraFlowPipeline"
    default_licence = "apache-2.0"
    architecture = "auraflow"
    default_recipe = Recipe(steps=50, guidance_scale=3.5)
    patch = 2

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """As the base class. Raises LikenessError also for a picture larger than the square of learnt places."""
        shape = super().latent_shape(height, width)
        denoiser: Any = self.denoiser
        longest = math.isqrt(denoiser.config.pos_embed_max_size) * self.vae_factor * self.patch
        if max(height, width) > longest:
            # The transformer itself takes the places of neighbouring rows, or ends with an index error.
            raise LikenessError(
                f"{width} x {height} px is too large for this base", f"Draw at most {longest} px a side"
            )
        return shape

    def encode_text(self, prompts: list[str]) -> dict[str, Tensor]:
        """{"states": (B, 256, width), 0 where there is no text}."""
        device = next(self._encoder("text_encoder").parameters()).device
        states, *_ = self.pipeline().encode_prompt(
            prompts, do_classifier_free_guidance=False, device=device, max_sequence_length=TEXT_LENGTH
        )
        return {"states": states}

    def unread(self, prompt: str) -> str:
        tokenizer = self.parts["tokenizer"]
        return beyond(tokenizer, prompt, TEXT_LENGTH - tokenizer.num_special_tokens_to_add())

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        level = timesteps / self.schedule.num_train_timesteps
        velocity: Tensor = self.denoiser(noisy, encoder_hidden_states=conditioning["states"], timestep=level).sample
        return velocity

    def set_timesteps(self, scheduler: Any, steps: int, latents: Tensor) -> None:
        """From pure noise to the scheduler's least noise, shifted twice: the table is, and what is drawn from it."""
        scheduler.set_timesteps(steps, device=latents.device)

    def lora_targets(self, preset: TargetPreset) -> list[str]:
        more: dict[str, list[str]] = {"attention": [], "attention-mlp": GATED, "all": GATED + OTHERS}
        return JOINT + more[preset]
