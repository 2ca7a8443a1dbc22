"""Qwen-Image (20B): two streams, of a picture's tokens and of a prompt's, which a Qwen2.5-VL reads.

What `QwenImagePipeline` does around its parts, as single steps. Guidance keeps every token as long as the prompt alone
would make it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.errors import LikenessError
from likeness.families.autoencoder import FilmFamily
from likeness.families.base import TargetPreset
from likeness.families.recipe import Recipe
from likeness.families.text import beyond

TEXT_LENGTH = 1024
"""Tokens that the stock pipeline reads, the template's beginning not counted."""

STREAMS = ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"]
TARGETS: dict[TargetPreset, list[str]] = {"attention": STREAMS}
TARGETS["attention-mlp"] = STREAMS + [
    f"{stream}_mlp.net.{part}" for stream in ("img", "txt") for part in ("0.proj", "2")
]
TARGETS["all"] = [*TARGETS["attention-mlp"], "img_mod.1", "txt_mod.1", "img_in", "txt_in", "proj_out"]


class QwenImage(FilmFamily):
    """Qwen-Image."""

    name = "qwen-image"
    idle = frozenset({"denoiser", "text"})  # the prompt's half of the last block
    pipeline_class = "QwenImagePipeline"
    redraw_class = "QwenImageImg2ImgPipeline"
    default_licence = "apache-2.0"
    architecture = "qwen-image"
    default_recipe = Recipe(steps=50, guidance_scale=4.0)

    def __init__(self, base: str, folder: Path, parts: Mapping[str, Any]) -> None:
        super().__init__(base, folder, parts)
        transformer: Any = self.denoiser
        if transformer.config.guidance_embeds:  # the pipeline then asks for a second guidance, which we do not give
            what = "this base is distilled to be told its guidance (guidance_embeds), which is not offered"
            raise LikenessError(what, "Use the undistilled Qwen-Image", folder)

    def encode_text(self, prompts: list[str]) -> dict[str, Tensor]:
        """{"states": (B, 1024, width), "mask": (B, 1024), 1 for text and 0 for what fills up}."""
        self._encoder("text_encoder")
        states, mask = self.pipeline().encode_prompt([*prompts])
        mask = torch.ones(states.shape[:2]) if mask is None else mask
        missing = TEXT_LENGTH - states.shape[1]
        return {"states": F.pad(states, (0, 0, 0, missing)), "mask": F.pad(mask.to(states), (0, missing))}

    def unread(self, prompt: str) -> str:
        pipe, tokenizer = self.pipeline(), self.parts["tokenizer"]
        template = len(tokenizer(pipe.prompt_template_encode.format("")).input_ids)
        return beyond(tokenizer, prompt, TEXT_LENGTH + pipe.prompt_template_encode_start_idx - template)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        mask = conditioning["mask"] > 0.5
        longest = int(mask.sum(dim=1).max())
        height, width = (side // self.patch for side in noisy.shape[-2:])
        said: Tensor = self.denoiser(
            hidden_states=self._packed(noisy),
            timestep=timesteps.to(noisy.dtype) / self.schedule.num_train_timesteps,
            encoder_hidden_states=conditioning["states"][:, :longest],
            encoder_hidden_states_mask=None if mask[:, :longest].all() else mask[:, :longest],
            img_shapes=[[(1, height, width)]] * len(noisy),
        ).sample
        return self._unpacked(said, height, width)

    def guide(self, wanted: Tensor, unwanted: Tensor, recipe: Recipe) -> Tensor:
        """As the base class, then every token brought to the length that it has in `wanted`."""
        guided = super().guide(wanted, unwanted, recipe)
        lengths = [F.pixel_unshuffle(said, self.patch).norm(dim=1, keepdim=True) for said in (wanted, guided)]
        return guided * F.interpolate(lengths[0] / lengths[1], scale_factor=float(self.patch), mode="nearest")

    def pipeline_arguments(
        self, recipe: Recipe, prompts: list[str], negatives: list[str], latents: Tensor
    ) -> dict[str, Any]:
        """As the base class; latents are packed, and guidance has another name."""
        arguments = super().pipeline_arguments(recipe, prompts, negatives, latents)
        arguments["true_cfg_scale"] = arguments.pop("guidance_scale")
        # Without a negative prompt the pipeline would not guide at all.
        return {"negative_prompt": [""] * len(prompts)} | arguments | {"latents": self._packed(arguments["latents"])}

    def lora_targets(self, preset: TargetPreset) -> list[str]:
        return TARGETS[preset]
