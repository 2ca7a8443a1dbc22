"""Make the pocket base's autoencoder: a closed-form start (`linear.py`), then the decoder, level by level, then as a whole,
and where there is a GPU the encoder with it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from torch import Tensor
from tqdm import tqdm

from . import linear
from .fit import fit, generator
from .pictures import Shot, View, about_faces, show
from .settings import BaseSettings, BudgetSettings, VaeSettings
from .texture import texture_error

Loss = Callable[[torch.nn.Module, np.random.Generator], Tensor]
Change = Callable[[Tensor, Tensor], Tensor]
"""(latents, noise) -> the latents that are decoded."""
Part = Literal["encoder", "decoder"]

SAMPLE = 700
"""Pictures for the closed-form start."""
POSTERIOR = 0.03
"""Deviation of the posterior, in parts of that of latents."""
ANCHOR = 0.005
"""Of the squared distance, in parts of their variance, to which a finished base's latents are moved. They moved by an eighth of their deviation with it."""


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
    """One level of the decoder as a module from pictures to loss, over the linear encoder."""

    def __init__(self, vae: AutoencoderKL, level: int) -> None:
        """`level` counts up-samplings from the coarsest, 1."""
        super().__init__()
        self.vae, self.level = vae, level
        vae.requires_grad_(False)
        self._own().requires_grad_(True)

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

    def forward(self, real: Tensor, weights: Tensor, noise: Tensor) -> Tensor:
        """Squared error of the level's features as error a pixel value; for the last level `picture_error`."""
        with torch.autocast(real.device.type, enabled=False):
            found, latents = linear.features(self.vae, real)
        with torch.set_grad_enabled(self.level == 1):
            hidden = linear.through(self.vae, latents, self.level - 1)
        hidden = linear.step(self.vae, hidden, self.level)
        made = linear.colours(self.vae, hidden) if self._last else hidden
        wanted = found[-self.level]
        error = made[:, : wanted.shape[1]].float() - wanted
        if self._last:
            return picture_error(error, weights)
        # The components of a cell hold the energy of all its pixel values.
        return error.square().sum((1, 2, 3)).mean() / real[0].numel()


class Autoencoding(torch.nn.Module):
    """The whole as a module from pictures to loss: the decoder learns, and the encoder if it is to."""

    def __init__(self, vae: AutoencoderKL, config: VaeSettings, change: Change | None = None) -> None:
        """`change`: what becomes of latents, given the noise of `forward`; None: that noise is added to them."""
        super().__init__()
        self.vae, self.noise, self.texture = vae, config.latent_noise, config.texture_weight
        self.change = change or self._noised
        vae.requires_grad_(False)
        learning: list[Any] = [vae.decoder, vae.post_quant_conv]
        for part in learning + [vae.encoder, vae.quant_conv] * config.learn_encoder:
            part.requires_grad_(True)

    def forward(self, real: Tensor, weights: Tensor, noise: Tensor) -> Tensor:
        """`picture_error` of pictures (N, 3, S, S) and some `texture_error`; `noise` (N, C, h, w) of variance 1 is for their latents."""
        return self.error(self.vae.encode(real).latent_dist.mean, real, weights, noise)

    def error(self, latents: Tensor, real: Tensor, weights: Tensor, noise: Tensor) -> Tensor:
        """What `forward` returns, of latents (N, C, h, w) that are there already."""
        made = self.vae.decode(self.change(latents, noise)).sample.float()
        error = picture_error(made - real, weights)
        return error + self.texture * texture_error(made, real, weights) if self.texture else error

    def _noised(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Noise in parts of the latents' deviation, so that no scale of them is better than another."""
        return latents + noise * (self.noise * latents.detach().std())


class Encoding(Autoencoding):
    """The encoder as a module from pictures to loss, under a decoder that stays, as does the denoiser: so latents are held near."""

    def __init__(self, vae: AutoencoderKL, config: VaeSettings) -> None:
        super().__init__(vae, config.model_copy(update={"learn_encoder": True}))
        self.before = copy.deepcopy(vae).requires_grad_(False)
        for part in (vae.decoder, vae.post_quant_conv):
            part.requires_grad_(False)

    def forward(self, real: Tensor, weights: Tensor, noise: Tensor) -> Tensor:
        """`Autoencoding`'s loss, and `ANCHOR` of how far latents are from where they were, in parts of their variance."""
        latents = self.vae.encode(real).latent_dist.mean.float()
        with torch.no_grad():
            before = self.before.encode(real).latent_dist.mean.float()
        moved = (latents - before).square().mean() / before.var()
        return self.error(latents, real, weights, noise) + ANCHOR * moved


@torch.no_grad()
def settle_posterior(vae: AutoencoderKL) -> None:
    """Make the encoder's posterior as narrow everywhere as `POSTERIOR` says, by the scaling factor: no loss has trained it."""
    half = vae.config.latent_channels
    assert vae.quant_conv is not None and vae.quant_conv.bias is not None
    vae.quant_conv.weight[half:] = 0
    vae.quant_conv.bias[half:] = 2 * math.log(POSTERIOR / vae.config.scaling_factor)


def picture_error(error: Tensor, weights: Tensor) -> Tensor:
    """Squared error of pixel values (N, 3, h, w), some absolute error, and some of differences between neighbours, which are
    what a face is recognised by and squares hardly see; weighted by (N, 1, h, w) of mean 1 a picture."""
    across, down = error.diff(dim=3).abs(), error.diff(dim=2).abs()
    edges = (weights[..., 1:] * across).mean() + (weights[..., 1:, :] * down).mean()
    return (weights * (error.square() + 0.1 * error.abs())).mean() + 0.1 * edges


def batches(settings: BaseSettings, shots: list[Shot], pixels: Tensor, device: torch.device) -> Loss:
    """The loss of a model on a batch of pictures; a pixel of a face weighs `vae.face_weight` times as much as others."""
    config, side = settings.vae, settings.size // 2 ** (len(settings.vae.channels) - 1)
    rng = np.random.default_rng([settings.seed, 3])
    shown = torch.empty(config.pool, 3, settings.size, settings.size, dtype=torch.uint8, device=device)
    faces = []
    for place, index in enumerate(tqdm(rng.integers(0, len(pixels), config.pool), "views", disable=None)):
        view = View.draw(shots[index], rng)
        shown[place] = ((show(pixels[index].to(device), view, settings.size) + 1) * 127.5).round()
        faces.append(view.face(shots[index]))
    outlines = torch.tensor(faces, device=device)

    def loss_of(model: torch.nn.Module, rng: np.random.Generator) -> Tensor:
        source = generator(rng, device)
        chosen = torch.randint(config.pool, (config.batch,), generator=source, device=device)
        noise = torch.randn(config.batch, config.latent_channels, side, side, generator=source, device=device)
        weights = 1 + (config.face_weight - 1) * about_faces(outlines[chosen], settings.size)
        return model(shown[chosen].float() / 127.5 - 1, weights / weights.mean((1, 2, 3), keepdim=True), noise)

    return loss_of


def refine(
    vae: AutoencoderKL,
    settings: BaseSettings,
    shots: list[Shot],
    pixels: Tensor,
    state: Path,
    accelerator: Accelerator,
    part: Part,
    change: Change | None = None,
) -> None:
    """Train one part of a finished autoencoder in place; `state` lets a later call go on.

    Latents keep their meaning either way, so that denoiser and adapters stay good. `change` is for the decoder alone: what becomes
    of latents before it draws them.
    """
    alone = settings.vae.model_copy(update={"learn_encoder": False})
    model = Encoding(vae, settings.vae) if part == "encoder" else Autoencoding(vae, alone, change)
    _fit_whole(model, settings, batches(settings, shots, pixels, accelerator.device), state, accelerator)
    if part == "encoder":
        settle_posterior(vae)  # which no loss has held, and weight decay has moved


def _fit_whole(
    model: Autoencoding, settings: BaseSettings, loss_of: Loss, state: Path, accelerator: Accelerator
) -> None:
    config = settings.vae
    budget = BudgetSettings(lr=config.refine_lr, batch=config.batch, steps=config.steps, minutes=config.minutes[-1])
    fit(model, loss_of, budget, settings.seed + len(config.channels), state, accelerator, 0.995)


def train(
    settings: BaseSettings, shots: list[Shot], pixels: Tensor, out: Path, accelerator: Accelerator
) -> AutoencoderKL:
    """Make it from `pixels`, uint8 (N, 3, S, S) of N shots; the files `out/vae_*.pt` let a later call go on."""
    config, device = settings.vae, accelerator.device

    def draw(rng: np.random.Generator, count: int) -> Tensor:
        chosen = rng.integers(0, len(pixels), count)
        shown = [show(pixels[index].to(device), View.draw(shots[index], rng), settings.size) for index in chosen]
        return torch.stack(shown)

    vae = build(config, settings.size).to(device)
    linear.construct(vae, draw(np.random.default_rng([settings.seed, 0]), SAMPLE))
    loss_of = batches(settings, shots, pixels, device)
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
    _fit_whole(Autoencoding(vae, config), settings, loss_of, out / "vae_whole.pt", accelerator)
    return vae.eval()
