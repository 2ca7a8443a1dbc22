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

    def _told_sizes(self, noisy: Tensor, conditioning: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Height and width in px (B, 2) before scaling and as they are, for a base that is told (micro-conditioning).

        Without "original_size" the picture is said to have been as large as it is, as in rendering. It is never said to
        have been cut: our portraits are, on purpose around the face, and knowing where from, the base would learn to draw
        the person off centre.
        """
        size = torch.tensor([side * self.vae_factor for side in noisy.shape[-2:]], device=noisy.device)
        size = size.expand(len(noisy), -1)
        original = conditioning.get("original_size", torch.zeros_like(size))
        return torch.where(original > 0, original, size), size

    @property
    def _latent_normalisation(self) -> tuple[float | Tensor, float | Tensor]:
        """(shift, scale), numbers or (C, 1, 1)."""
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
