"""Latents as a denoiser gives them, for a decoder to learn to draw: they have less of a picture's finest detail than an encoder's,
so that a decoder that has only seen the latter draws skin too smooth."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

NOISED = (50, 400)
"""Timesteps, from and up to. Portraits that come back from 200 have as little fine texture as headshots drawn in 25 steps had."""


class Softening:
    """Noise on every second picture's latents, taken off again by one step of a base's denoiser, which is told nothing."""

    def __init__(self, base: Path, device: torch.device) -> None:
        pipe = StableDiffusionPipeline.from_pretrained(base, torch_dtype=torch.float32)
        self.unet = pipe.unet.to(device).requires_grad_(False)
        self.alphas = pipe.scheduler.alphas_cumprod.to(device)
        self.scale = float(pipe.vae.config.scaling_factor)
        self.nothing = pipe.encode_prompt("", "cpu", 1, False)[0].detach().to(device)

    @torch.no_grad()
    def __call__(self, latents: Tensor, noise: Tensor) -> Tensor:
        """`latents` (N, C, h, w) as the encoder gives them, without the scaling factor; `noise` of the same shape, variance 1."""
        timesteps = torch.randint(*NOISED, (len(latents),), device=latents.device)
        kept = self.alphas[timesteps][:, None, None, None]
        noisy = kept.sqrt() * latents * self.scale + (1 - kept).sqrt() * noise
        velocity = self.unet(noisy, timesteps, self.nothing.expand(len(latents), -1, -1)).sample
        soft = (kept.sqrt() * noisy - (1 - kept).sqrt() * velocity) / self.scale
        second = (torch.arange(len(latents), device=latents.device) % 2 == 1)[:, None, None, None]
        return torch.where(second, soft, latents)
