"""Make the pocket base's autoencoder: a closed-form start (`linear.py`), then the decoder, level by level, then as a whole."""

from __future__ import annotations

from collections.abc import Callable
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

    def forward(self, real: Tensor, weights: Tensor) -> Tensor:
        """Squared error of the level's features as error a pixel value; for the last level `picture_error`."""
        with torch.autocast(real.device.type, enabled=False):
            found, latents = linear.features(self.vae, real)
        with torch.set_grad_enabled(self.whole or self.level == 1):
            hidden = linear.through(self.vae, latents, self.level - 1)
        hidden = linear.step(self.vae, hidden, self.level)
        made = linear.colours(self.vae, hidden) if self._last else hidden
        wanted = found[-self.level]
        error = made[:, : wanted.shape[1]].float() - wanted
        if self._last:
            return picture_error(error, weights)
        # The components of a cell hold the energy of all its pixel values.
        return error.square().sum((1, 2, 3)).mean() / real[0].numel()


def picture_error(error: Tensor, weights: Tensor) -> Tensor:
    """Squared error of pixel values (N, 3, h, w), some absolute error, and some of differences between neighbours, which are
    what a face is recognised by and squares hardly see; weighted by (N, 1, h, w) of mean 1 a picture."""
    across, down = error.diff(dim=3).abs(), error.diff(dim=2).abs()
    edges = (weights[..., 1:] * across).mean() + (weights[..., 1:, :] * down).mean()
    return (weights * (error.square() + 0.1 * error.abs())).mean() + 0.1 * edges


def batches(
    settings: BaseSettings, shots: list[Shot], pixels: Tensor, device: torch.device
) -> Callable[[torch.nn.Module, np.random.Generator], Tensor]:
    """The loss of a `Decoding` on a batch of pictures; a pixel of a face weighs `vae.face_weight` times as much as others."""

    def loss_of(model: torch.nn.Module, rng: np.random.Generator) -> Tensor:
        chosen = rng.integers(0, len(pixels), settings.vae.batch).tolist()
        views = [View.draw(shots[index], rng) for index in chosen]
        shown = [show(pixels[index], view, settings.size) for index, view in zip(chosen, views, strict=True)]
        faces = [view.face(shots[index], settings.size) for index, view in zip(chosen, views, strict=True)]
        weights = 1 + (settings.vae.face_weight - 1) * torch.stack(faces)
        return model(torch.stack(shown).to(device), (weights / weights.mean((1, 2, 3), keepdim=True)).to(device))

    return loss_of


def refine(
    vae: AutoencoderKL, settings: BaseSettings, shots: list[Shot], pixels: Tensor, state: Path, accelerator: Accelerator
) -> None:
    """Train all of the decoder in place; `state` lets a later call go on. Latents keep their meaning: the encoder stays."""
    config = settings.vae
    budget = BudgetSettings(lr=config.refine_lr, batch=config.batch, steps=config.steps, minutes=config.minutes[-1])
    loss_of = batches(settings, shots, pixels, accelerator.device)
    levels = len(config.channels) - 1
    fit(Decoding(vae, levels, whole=True), loss_of, budget, settings.seed + levels + 1, state, accelerator, 0.995)


def train(
    settings: BaseSettings, shots: list[Shot], pixels: Tensor, out: Path, accelerator: Accelerator
) -> AutoencoderKL:
    """Make it from `pixels`, uint8 (N, 3, S, S) of N shots; the files `out/vae_*.pt` let a later call go on."""
    config = settings.vae

    def draw(rng: np.random.Generator, count: int) -> Tensor:
        chosen = rng.integers(0, len(pixels), count)
        return torch.stack([show(pixels[index], View.draw(shots[index], rng), settings.size) for index in chosen])

    vae = build(config, settings.size)
    linear.construct(vae, draw(np.random.default_rng([settings.seed, 0]), SAMPLE))
    loss_of = batches(settings, shots, pixels, accelerator.device)
    for level in range(1, len(config.channels)):
        state = out / f"vae_{level}.pt"
        if not state.exists():
            rng = np.random.default_rng([settings.seed, 1, level])
            pictures = [draw(rng, 8) for _ in range(max(4, 160 // 4 ** (level - 1)))]
            linear.least_squares(vae, level, pictures)
        budget = BudgetSettings(
            **config.model_dump(include={"lr", "batch", "steps"}), minutes=config.minutes[level - 1]
        )
        fit(Decoding(vae, level), loss_of, budget, settings.seed + level, state, accelerator, 0.99)
    refine(vae, settings, shots, pixels, out / "vae_whole.pt", accelerator)
    return vae.eval()
