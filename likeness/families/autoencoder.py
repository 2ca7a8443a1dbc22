"""Latents that several families share: of pictures' autoencoders, and of the one for films that Qwen-Image has.

Both are of the kind of Rombach et al. 2022, arXiv 2112.10752, and brought to about unit variance for the denoiser.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.families.base import Family
from likeness.families.flow import FlowFamily


class KLFamily(Family):
    """A base whose denoiser sees (latents - shift) * scale, as the autoencoder's configuration has them."""

    patch: ClassVar[int] = 1
    """Latents along one side of what the denoiser takes as one token."""

    def __init__(self, base: str, folder: Path, parts: Mapping[str, Any]) -> None:
        super().__init__(base, folder, parts)
        # Kept, because the size of latents is asked for when the VAE has long been freed.
        self.vae_factor: int = 2 ** (len(self.parts["vae"].config.block_out_channels) - 1)
        """Pixels to a latent, along one side."""

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        self._check_size(height, width, self.vae_factor * self.patch)
        denoiser: Any = self.denoiser
        return int(denoiser.config.in_channels), height // self.vae_factor, width // self.vae_factor

    def encode_image(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        vae: Any = self.vae
        posterior = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist
        shift, scale = self._latent_normalisation
        return (posterior.mean - shift) * scale, posterior.std * scale

    def decode_latents(self, latents: Tensor) -> Tensor:
        vae: Any = self.vae
        shift, scale = self._latent_normalisation
        pixels: Tensor = vae.decode(latents.to(vae.device, vae.dtype) / scale + shift).sample
        return pixels.clamp(-1, 1)

    @property
    def _latent_normalisation(self) -> tuple[float, float]:
        """(shift, scale)."""
        config: Any = self.vae.config
        return float(config.get("shift_factor") or 0.0), float(config.scaling_factor)


class FilmFamily(FlowFamily):
    """A base that draws films of one frame; four neighbouring latents are one token, row by row."""

    patch = 2

    def __init__(self, base: str, folder: Path, parts: Mapping[str, Any]) -> None:
        super().__init__(base, folder, parts)
        self.vae_factor: int = 2 ** len(self.parts["vae"].config.temperal_downsample)
        """Pixels to a latent, along one side."""

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        self._check_size(height, width, self.vae_factor * self.patch)
        transformer: Any = self.denoiser
        channels = int(transformer.config.in_channels) // self.patch**2
        return channels, height // self.vae_factor, width // self.vae_factor

    def encode_image(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        vae: Any = self.vae
        posterior = vae.encode(pixels.to(vae.device, vae.dtype).unsqueeze(2)).latent_dist
        shift, scale = self._statistics
        return (posterior.mean[:, :, 0] - shift) / scale, posterior.std[:, :, 0] / scale

    def decode_latents(self, latents: Tensor) -> Tensor:
        vae: Any = self.vae
        shift, scale = self._statistics
        pixels: Tensor = vae.decode((latents.to(vae.device, vae.dtype) * scale + shift).unsqueeze(2)).sample
        return pixels[:, :, 0].clamp(-1, 1)

    def _packed(self, latents: Tensor) -> Tensor:
        """(B, tokens, 4 C) of latents (B, C, h, w)."""
        return F.pixel_unshuffle(latents, self.patch).flatten(2).transpose(1, 2)

    def _unpacked(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """(B, C, h, w) of so many rows and columns of tokens."""
        return F.pixel_shuffle(tokens.transpose(1, 2).reshape(len(tokens), -1, height, width), self.patch)

    @property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (C, 1, 1) of latents."""
        vae: Any = self.vae
        mean, std = (torch.tensor(values) for values in (vae.config.latents_mean, vae.config.latents_std))
        return mean.to(vae.device, vae.dtype).view(-1, 1, 1), std.to(vae.device, vae.dtype).view(-1, 1, 1)
