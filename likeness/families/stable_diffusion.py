"""The Stable Diffusion 1.x layout: a UNet that attends to one CLIP text encoder, latents of an AutoencoderKL.

What `StableDiffusionPipeline` does around its parts (Rombach et al. 2022, arXiv 2112.10752), as single steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from likeness.errors import LikenessError
from likeness.families.autoencoder import KLFamily
from likeness.families.base import TargetPreset
from likeness.families.recipe import Recipe
from likeness.families.schedule import Schedule
from likeness.families.text import beyond

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
MLP = ["ff.net.0.proj", "ff.net.2"]
CONVOLUTIONS = ["proj_in", "proj_out", "conv1", "conv2", "conv_shortcut", "time_emb_proj", "conv"]
CLIP = ["q_proj", "k_proj", "v_proj", "out_proj"]
TARGETS: dict[TargetPreset, list[str]] = {
    "attention": ATTENTION,
    "attention-mlp": ATTENTION + MLP,
    "all": ATTENTION + MLP + CONVOLUTIONS,
}


class StableDiffusion(KLFamily):
    """Stable Diffusion 1.x and everything saved in its layout, whatever its size."""

    name = "sd15"
    pipeline_class = "StableDiffusionPipeline"
    redraw_class = "StableDiffusionImg2ImgPipeline"
    denoiser_folder = "unet"
    default_licence = "creativeml-openrail-m"
    architecture = "stable-diffusion-v1"
    embedding_keys = {"text_encoder": "clip_l"}
    default_recipe = Recipe(steps=30, guidance_scale=6.0)
    unwanted_first = True

    @property
    def resolution(self) -> int:
        return int(self._unet_config["sample_size"]) * self.vae_factor

    @property
    def text_length(self) -> int:
        """Tokens that the text encoder reads, the two that mark begin and end included."""
        # A tokenizer that was saved without a limit reports an astronomical one.
        config: Any = self._encoder("text_encoder").config
        positions: int = config.max_position_embeddings
        return min(positions, int(self.parts["tokenizer"].model_max_length))

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        # The UNet halves its input once a block and joins the halves again: odd sizes would not fit together.
        step = self.vae_factor * 2 ** (len(self._unet_config["block_out_channels"]) - 1)
        self._check_size(height, width, step)
        return int(self._unet_config["in_channels"]), height // self.vae_factor, width // self.vae_factor

    def encode_text(self, prompts: list[str]) -> dict[str, Tensor]:
        """{"encoder_hidden_states": (B, text_length, width)}: the encoder's last layer, after its final norm."""
        encoder = self._encoder("text_encoder")
        device = next(encoder.parameters()).device
        tokens = self.parts["tokenizer"](
            prompts, padding="max_length", max_length=self.text_length, truncation=True, return_tensors="pt"
        )
        # As the stock pipeline: Stable Diffusion 1.x was trained with the padding attended to.
        config: Any = encoder.config
        masked = getattr(config, "use_attention_mask", False)
        mask = tokens.attention_mask.to(device) if masked else None
        return {"encoder_hidden_states": encoder(tokens.input_ids.to(device), attention_mask=mask)[0]}

    def unread(self, prompt: str) -> str:
        return beyond(self.parts["tokenizer"], prompt, self.text_length - 2)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        prediction: Tensor = self.denoiser(noisy, timesteps, **conditioning).sample
        return prediction

    def pipeline_arguments(
        self, recipe: Recipe, prompts: list[str], negatives: list[str], latents: Tensor
    ) -> dict[str, Any]:
        plain = recipe.model_copy(update={"guidance_rescale": 0.0, "eta": 0.0})
        rescale = {"guidance_rescale": recipe.guidance_rescale}
        return super().pipeline_arguments(plain, prompts, negatives, latents) | rescale

    def lora_targets(self, preset: TargetPreset) -> list[str]:
        return TARGETS[preset]

    def text_lora_targets(self) -> dict[str, list[str]]:
        return dict.fromkeys(self.text_encoders, CLIP)

    def _make_schedule(self) -> Schedule:
        scheduler = self.parts["scheduler"]
        if "beta_schedule" not in scheduler.config:
            # EDM's (Playground 2.5) and a flow's noise is no table of betas: read as one, it would train another objective.
            what = f"the base's scheduler is a {type(scheduler).__name__}, and {self.name} knows bases trained with betas (DDPM) alone"
            raise LikenessError(what, "Use another base, or the scheduler that it was trained with", self.folder)
        return super()._make_schedule()

    @property
    def _unet_config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self.denoiser.config  # type: ignore[assignment]
        return config
