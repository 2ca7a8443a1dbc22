"""Stable Diffusion XL: the first one's UNet, grown, reading two CLIP encoders and told how its picture was framed.

What `StableDiffusionXLPipeline` does around its parts (Podell et al. 2023, arXiv 2307.01952), as single steps. A picture
is told by six numbers: the size it had before scaling, where it was cut, and the size it has (micro-conditioning).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from likeness.families.recipe import Recipe
from likeness.families.stable_diffusion import StableDiffusion
from likeness.families.variant import Variant


class StableDiffusionXL(StableDiffusion):
    """SDXL 1.0 and everything saved in its layout."""

    name = "sdxl"
    idle = frozenset({"text"})  # the first encoder's last layer
    pipeline_class = "StableDiffusionXLPipeline"
    redraw_class = "StableDiffusionXLImg2ImgPipeline"
    default_licence = "openrail++"
    architecture = "stable-diffusion-xl-v1-base"
    embedding_keys = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
    default_recipe = Recipe(steps=30, guidance_scale=6.0)
    variants = {
        "lightning": Variant(
            lora="ByteDance/SDXL-Lightning/sdxl_lightning_4step_lora.safetensors",
            steps=4,
            guidance_scale=1.0,
            scheduler="euler-trailing",
        ),
        "dmd2": Variant(
            lora="tianweiy/DMD2/dmd2_sdxl_4step_lora_fp16.safetensors", steps=4, guidance_scale=1.0, scheduler="lcm"
        ),
    }

    def encode_text(self, prompts: list[str]) -> dict[str, Tensor]:
        """Both encoders' last layer but one, side by side, and the second one's summary.

        {"encoder_hidden_states": (B, text_length, both widths), "text_embeds": (B, width of the second)}.
        """
        states: list[Tensor] = []
        for number in ("", "_2"):
            encoder: Any = self._encoder(f"text_encoder{number}")
            tokens = self.parts[f"tokenizer{number}"](
                prompts, padding="max_length", max_length=self.text_length, truncation=True, return_tensors="pt"
            )
            said = encoder(tokens.input_ids.to(encoder.device), output_hidden_states=True)
            states.append(said.hidden_states[-2])
        return {"encoder_hidden_states": torch.cat(states, dim=-1), "text_embeds": said.text_embeds}

    @property
    def _latent_normalisation(self) -> tuple[float | Tensor, float | Tensor]:
        """As the base class; with a mean and a deviation of each channel where the autoencoder has them (Playground's has)."""
        shift, scale = super()._latent_normalisation
        vae: Any = self.vae
        mean, std = (vae.config.get(key) for key in ("latents_mean", "latents_std"))
        if mean is None or std is None:
            return shift, scale
        mean, std = (torch.tensor(one, device=vae.device, dtype=vae.dtype).view(-1, 1, 1) for one in (mean, std))
        return mean, scale / std

    def framing(self, originals: Tensor) -> dict[str, Tensor]:
        """{"original_size": originals}: else the blur of an enlarged portrait would be learnt for sharp."""
        return {"original_size": originals}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        original, size = self._told_sizes(noisy, conditioning)
        framing = torch.cat([original, torch.zeros_like(size), size], dim=1).to(noisy.dtype)
        prediction: Tensor = self.denoiser(
            noisy,
            timesteps,
            conditioning["encoder_hidden_states"],
            added_cond_kwargs={"text_embeds": conditioning["text_embeds"], "time_ids": framing},
        ).sample
        return prediction
