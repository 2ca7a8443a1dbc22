"""Stable Diffusion 3 and 3.5: two streams, a prompt read by two CLIPs side by side and then by a T5.

What `StableDiffusion3Pipeline` does around its parts (Esser et al. 2024, arXiv 2403.03206), as single steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from likeness.families.autoencoder import KLFamily
from likeness.families.base import TargetPreset
from likeness.families.flow import FlowFamily
from likeness.families.recipe import Recipe
from likeness.families.stable_diffusion import CLIP
from likeness.families.text import beyond

TEXT_LENGTH = 256
"""Tokens that T5 reads, the one that marks the end included."""

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"]
MLP = ["ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"]
REST = ["context_embedder", "norm1.linear", "norm1_context.linear", "norm_out.linear", "proj_out"]


class StableDiffusion3(KLFamily, FlowFamily):
    """Stable Diffusion 3.5 (medium and large) and 3; train the undistilled ones."""

    name = "sd35"
    idle = frozenset()
    pipeline_class = "StableDiffusion3Pipeline"
    redraw_class = "StableDiffusion3Img2ImgPipeline"
    default_licence = "stabilityai-ai-community"
    architecture = "stable-diffusion-3"
    default_recipe = Recipe(steps=40, guidance_scale=4.5)
    patch = 2

    @property
    def resolution(self) -> int:
        transformer: Any = self.denoiser
        return int(transformer.config.sample_size) * self.vae_factor

    def encode_text(self, prompts: list[str]) -> dict[str, Tensor]:
        """{"encoder_hidden_states": (B, 77 + 256, width of T5), "pooled_projections": (B, both CLIPs' summaries)}."""
        self._encoder("text_encoder")
        words, _, summary, _ = self.pipeline().encode_prompt(
            prompts, None, None, do_classifier_free_guidance=False, max_sequence_length=TEXT_LENGTH
        )
        return {"encoder_hidden_states": words, "pooled_projections": summary}

    def unread(self, prompt: str) -> str:
        """As the base class. T5 reads the most; a base without it reads what its CLIPs do."""
        third = self.parts.get("tokenizer_3")
        tokenizer, room = (self.parts["tokenizer"], 77 - 2) if third is None else (third, TEXT_LENGTH - 1)
        return beyond(tokenizer, prompt, room)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        prediction: Tensor = self.denoiser(hidden_states=noisy, timestep=timesteps, **conditioning).sample
        return prediction

    def set_timesteps(self, scheduler: Any, steps: int, latents: Tensor) -> None:
        """From pure noise to the scheduler's least noise, shifted twice: the table is, and what is drawn from it."""
        mu = self.mu(self._tokens((latents.shape[-2], latents.shape[-1])), steps)
        scheduler.set_timesteps(steps, mu=mu, device=latents.device)

    def lora_targets(self, preset: TargetPreset) -> list[str]:
        return ATTENTION + {"attention": [], "attention-mlp": MLP, "all": MLP + REST}[preset]

    def text_lora_targets(self) -> dict[str, list[str]]:
        """Of the two CLIPs: the stock pipeline loads none into T5."""
        return {folder: CLIP for folder in ("text_encoder", "text_encoder_2") if folder in self.text_encoders}
