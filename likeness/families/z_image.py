"""Z-Image (6B): one stream of a picture's and a prompt's tokens, in which each prompt keeps its own length.

What `ZImagePipeline` does around its parts, as single steps. Its transformer counts time the other way about, from noise
(0) to picture (1), and so says the velocity with the other sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from likeness.families import qwen3
from likeness.families.autoencoder import KLFamily
from likeness.families.base import TargetPreset
from likeness.families.flow import FlowFamily
from likeness.families.recipe import Recipe
from likeness.families.variant import Variant

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
MLP = ["feed_forward.w1", "feed_forward.w2", "feed_forward.w3"]
REST = ["cap_embedder.1", "all_x_embedder.2-1", "all_final_layer.2-1.linear"]


class ZImage(KLFamily, FlowFamily):
    """Z-Image; train the undistilled base."""

    name = "z-image"
    pipeline_class = "ZImagePipeline"
    redraw_class = "ZImageImg2ImgPipeline"
    default_licence = "apache-2.0"
    architecture = "z-image"
    default_recipe = Recipe(steps=50, guidance_scale=5.0)
    variants = {"turbo": Variant(base="Tongyi-MAI/Z-Image-Turbo", steps=8, guidance_scale=1.0)}
    patch = 2

    def encode_text(self, prompts: list[str]) -> dict[str, Tensor]:
        """{"states": (B, 512, width), "mask": (B, 512), 1 for text and 0 for what fills up}."""
        encoder = self._encoder("text_encoder")
        (states,), mask = qwen3.hidden_states(encoder, self.parts["tokenizer"], prompts, (-2,), thinking=True)
        return {"states": states, "mask": mask.to(states.dtype)}

    def unread(self, prompt: str) -> str:
        return qwen3.unread(self.parts["tokenizer"], prompt, thinking=True)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        rows = zip(conditioning["states"], conditioning["mask"], strict=True)
        length = self.schedule.num_train_timesteps
        pictures: list[Tensor] = self.denoiser(
            list(noisy.unsqueeze(2)), (length - timesteps) / length, [states[mask > 0.5] for states, mask in rows]
        ).sample
        return -torch.stack(pictures).squeeze(2)

    def pipeline_arguments(
        self, recipe: Recipe, prompts: list[str], negatives: list[str], latents: Tensor
    ) -> dict[str, Any]:
        """As the base class; guidance counts from 0 where ours counts from 1, and latents are always float32."""
        own = {"guidance_scale": recipe.guidance_scale - 1, "latents": latents}
        return super().pipeline_arguments(recipe, prompts, negatives, latents) | own

    def lora_targets(self, preset: TargetPreset) -> list[str]:
        """Modulation is named in full: the last layer has an activation under the blocks' name for it."""
        denoiser: Any = self.denoiser
        blocks = {"layers": denoiser.config.n_layers, "noise_refiner": denoiser.config.n_refiner_layers}
        modulation = [f"{part}.{n}.adaLN_modulation.0" for part, count in blocks.items() for n in range(count)]
        return ATTENTION + {"attention": [], "attention-mlp": MLP, "all": MLP + REST + modulation}[preset]
