"""Make the pocket base's autoencoder: a closed-form start (`linear.py`), then the decoder, level by level, then as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from torch import Tensor

from . import linear
from .fit import fit
from .pictures import Shot, View, show
from .settings import BaseSettings, BudgetSettings, VaeSettings

SAMPLE = 700
"""Pictures for the closed-form start."""


def build(config: VaeSettings, size: int) -> AutoencoderKL:
    """An AutoencoderKL for pictures of `size` px."""
    channels = config.channels
    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        latent_channels=config.latent_channels,
        layers_per_block=config.layers_per_block,
        # Four channels a group at the finest level: a signal, its negative, and two constants.
        norm_num_groups=config.channels[0] // 4,
        sample_size=size,
        scaling_factor=1.0,
    )


class Decoding(torch.nn.Module):
    """One level of the decoder, or all of it, as a module from pictures to loss."""

    def __init__(self, vae: AutoencoderKL, level: int, whole: bool = False) -> None:
        """`level` counts up-samplings from the coarsest, 1; with `whole`, everything up to it learns."""
        super().__init__()
        self.vae, self.level, self.whole = vae, level, whole
        vae.requires_grad_(False)
        modules: Any = vae.decoder if whole else self._own()
        modules.requires_grad_(True)

    def _own(self) -> torch.nn.ModuleList:
        decoder: Any = self.vae.decoder
        blocks = decoder.up_blocks
        own = [blocks[self.level - 1].upsamplers, blocks[self.level].resnets]
        if self.level == 1:
            own += [decoder.conv_in, decoder.mid_block, blocks[0].resnets]
        if self._last:
            own += [decoder.conv_norm_out, decoder.conv_out]
        return torch.nn.ModuleList(own)

    @property
    def _last(self) -> bool:
        return self.level == len(self.vae.config.block_out_channels) - 1

    def forward(self, real: Tensor) -> Tensor:
        """Squared error of the level's features as error a pixel value; for the last level some absolute error as well."""
        with torch.autocast(real.device.type, enabled=False):
            found, latents = linear.features(self.vae, real)
        with torch.set_grad_enabled(self.whole or self.level == 1):
            hidden = linear.through(self.vae, latents, self.level - 1)
        hidden = linear.step(self.vae, hidden, self.level)
        made = linear.colours(self.vae, hidden) if self._last else hidden
        wanted = found[-self.level]
        error = made[:, : wanted.shape[1]].float() - wanted
        # The components of a cell hold the energy of all its pixel values.
        squared = error.square().sum((1, 2, 3)).mean() / real[0].numel()
        return squared + 0.1 * error.abs().mean() if self._last else squared


def train(
    settings: BaseSettings, shots: list[Shot], pixels: Tensor, out: Path, accelerator: Accelerator
) -> AutoencoderKL:
    """Make it from `pixels`, uint8 (N, 3, S, S) of N shots; the files `out/vae_*.pt` let a later call go on."""
    config = settings.vae

    def draw(rng: np.random.Generator, count: int) -> Tensor:
        chosen = rng.integers(0, len(pixels), count)
        return torch.stack([show(pixels[index], View.draw(shots[index], rng), settings.size) for index in chosen])

    def loss_of(model: torch.nn.Module, rng: np.random.Generator) -> Tensor:
        return model(draw(rng, config.batch).to(accelerator.device))

    vae = build(config, settings.size)
    linear.construct(vae, draw(np.random.default_rng([settings.seed, 0]), SAMPLE))
    levels = len(config.channels) - 1
    for level in range(1, levels + 2):
        whole, state = level > levels, out / f"vae_{level}.pt"
        if not whole and not state.exists():
            rng = np.random.default_rng([settings.seed, 1, level])
            batches = [draw(rng, 8) for _ in range(max(4, 160 // 4 ** (level - 1)))]
            linear.least_squares(vae, level, batches)
        budget = BudgetSettings(
            **config.model_dump(include={"lr", "batch", "steps"}), minutes=config.minutes[level - 1]
        )
        fit(Decoding(vae, min(level, levels), whole), loss_of, budget, settings.seed + level, state, accelerator, 0.99)
    return vae.eval()
