"""Lumina-Image 2.0 (2.6B): a picture's and a prompt's tokens in one stream, read by Gemma 2.

What `Lumina2Pipeline` does around its parts, as single steps. Its transformer counts time from noise (0) to picture (1), so
that it says the velocity with the other sign, and its guidance keeps the length of each row of the wanted prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from likeness.families.autoencoder import KLFamily
from likeness.families.base import TargetPreset
from likeness.families.flow import FlowFamily
from likeness.families.recipe import Recipe
from likeness.families.text import beyond

TEXT_LENGTH = 256
"""Tokens that the stock pipeline reads, its instructions included."""
INSTRUCTIONS = (
    "You are an assistant designed to generate superior images with the superior degree of image-text alignment based on "
    "textual prompts or user prompts. <Prompt Start> "
)
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
MLP = [f"feed_forward.linear_{n}" for n in (1, 2, 3)]
REST = ["x_embedder", "caption_embedder.1", "norm1.linear", "norm_out.linear_1", "norm_out.linear_2"]


class Lumina2(KLFamily, FlowFamily):
    """Lumina-Image 2.0."""

    name = "lumina2"
    pipeline_class = "Lumina2Pipeline"
    default_licence = "apache-2.0"
    architecture = "lumina-2"
    # It holds the three matrices of attention as one, and would put adapters of each alone, under Z-Image's names, at
    # slices of equal height, where keys and values are a third as high as queries (comfy/utils.py, z_image_to_diffusers).
    comfyui_modules = None
    # The stock pipeline writes its instructions before prompts, but not before negative ones, which are to be empty.
    default_recipe = Recipe(steps=30, guidance_scale=4.0, negative=False)
    patch = 2

    def encode_text(self, prompts: list[str]) -> dict[str, Tensor]:
        """{"states": (B, 256, width), "mask": (B, 256), 1 for text and 0 for what fills up}; "" is read bare."""
        encoder: Any = self._encoder("text_encoder")
        worded = [INSTRUCTIONS + prompt if prompt else "" for prompt in prompts]
        tokens = self.parts["tokenizer"](
            worded, padding="max_length", max_length=TEXT_LENGTH, truncation=True, return_tensors="pt"
        )
        ids, mask = tokens.input_ids.to(encoder.device), tokens.attention_mask.to(encoder.device)
        states = encoder(ids, attention_mask=mask, output_hidden_states=True).hidden_states[-2]
        return {"states": states, "mask": mask.to(states.dtype)}

    def unread(self, prompt: str) -> str:
        tokenizer = self.parts["tokenizer"]
        return beyond(tokenizer, prompt, TEXT_LENGTH - len(tokenizer(INSTRUCTIONS).input_ids))

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        said: Tensor = self.denoiser(
            hidden_states=noisy,
            timestep=1 - timesteps / self.schedule.num_train_timesteps,
            encoder_hidden_states=conditioning["states"],
            encoder_attention_mask=conditioning["mask"] > 0.5,
        ).sample
        return -said

    def guide(self, wanted: Tensor, unwanted: Tensor, recipe: Recipe) -> Tensor:
        guided = super().guide(wanted, unwanted, recipe)
        kept: Tensor = torch.norm(wanted, dim=-1, keepdim=True) / torch.norm(guided, dim=-1, keepdim=True)
        return guided * kept

    def lora_targets(self, preset: TargetPreset) -> list[str]:
        return ATTENTION + {"attention": [], "attention-mlp": MLP, "all": MLP + REST}[preset]
