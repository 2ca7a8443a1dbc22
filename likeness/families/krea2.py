"""Krea 2 (12.9B): one stream, in which each word brings what twelve layers of a Qwen3-VL made of it.

What `Krea2Pipeline` does around its parts, as single steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from likeness.families.autoencoder import FilmFamily
from likeness.families.base import TargetPreset
from likeness.families.recipe import Recipe
from likeness.families.variant import Variant

TEXT_LENGTH = 512
"""Tokens that the stock pipeline reads, the template's beginning not counted."""

ATTENTION = ["to_q", "to_k", "to_v", "to_gate", "to_out.0"]
MLP = ["ff.gate", "ff.up", "ff.down"]
REST = ["img_in", "txt_in.linear_1", "txt_in.linear_2", "time_mod_proj", "final_layer.linear"]


class Krea2(FilmFamily):
    """Krea 2; train the undistilled base, Raw."""

    name = "krea2"
    pipeline_class = "Krea2Pipeline"
    default_licence = "krea-2-community-license"
    architecture = "krea-2"
    default_recipe = Recipe(steps=52, guidance_scale=4.5)  # the publisher's for Raw, which counts 3.5
    variants = {"turbo": Variant(base="krea/Krea-2-Turbo", steps=8, guidance_scale=1.0)}

    @property
    def recipe(self) -> Recipe:
        """As the base class; eight steps without guidance for the distilled sibling."""
        few = {"steps": 8, "guidance_scale": 1.0} if self._distilled else {}
        return super().recipe.model_copy(update=few)

    def encode_text(self, prompts: list[str]) -> dict[str, Tensor]:
        """{"states": (B, 512, layers, width), "mask": (B, 512), 1 for text and 0 for what fills up}."""
        self._encoder("text_encoder")
        states, mask = self.pipeline().encode_prompt([*prompts])
        return {"states": states, "mask": mask.to(states.dtype)}

    def unread(self, prompt: str) -> str:
        pipe, tokenizer = self.pipeline(), self.parts["tokenizer"]
        prefix = len(tokenizer(pipe.prompt_template_encode_prefix).input_ids) - pipe.prompt_template_encode_start_idx
        room = TEXT_LENGTH - pipe.prompt_template_encode_num_suffix_tokens - prefix
        return str(tokenizer.decode(tokenizer(prompt, verbose=False).input_ids[room:])).strip()

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        states = conditioning["states"]
        height, width = (side // self.patch for side in noisy.shape[-2:])
        picture = torch.cartesian_prod(torch.zeros(1), torch.arange(float(height)), torch.arange(float(width)))
        said: Tensor = self.denoiser(
            hidden_states=self._packed(noisy),
            encoder_hidden_states=states,
            encoder_attention_mask=conditioning["mask"] > 0.5,
            timestep=(timesteps / self.schedule.num_train_timesteps).to(noisy.dtype),
            position_ids=torch.cat([torch.zeros(states.shape[1], 3), picture]).to(noisy.device),
        ).sample
        return self._unpacked(said, height, width)

    def mu(self, tokens: int, steps: int) -> float:
        """As the base class; always the same for the distilled sibling."""
        return 1.15 if self._distilled else super().mu(tokens, steps)

    def pipeline_arguments(
        self, recipe: Recipe, prompts: list[str], negatives: list[str], latents: Tensor
    ) -> dict[str, Any]:
        """As the base class; latents are packed, and guidance counts from 0 where ours counts from 1."""
        arguments = super().pipeline_arguments(recipe, prompts, negatives, latents)
        own = {"guidance_scale": recipe.guidance_scale - 1, "latents": self._packed(arguments["latents"])}
        return arguments | own

    def lora_targets(self, preset: TargetPreset) -> list[str]:
        return ATTENTION + {"attention": [], "attention-mlp": MLP, "all": MLP + REST}[preset]
