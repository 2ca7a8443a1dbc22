"""Sizes and budgets of a pocket base: one YAML beside this file for each machine it has been trained on."""

from __future__ import annotations

from likeness.families import Recipe
from likeness.settings import Settings


class BudgetSettings(Settings):
    """How long something is trained: whichever of `steps` and `minutes` ends first."""

    lr: float
    batch: int
    steps: int
    minutes: float


class VaeSettings(Settings):
    """The autoencoder: one down-sampling by two between each two of `channels`."""

    channels: tuple[int, ...]
    latent_channels: int
    layers_per_block: int
    lr: float
    batch: int
    steps: int
    minutes: tuple[float, ...]
    """For each level of the decoder, coarse to fine, and last for all of it together."""
    refine_lr: float
    """Of the last part."""
    learn_encoder: bool
    """Whether the encoder learns too in the last part. It needs more pictures than a CPU shows it in an hour."""
    latent_noise: float
    """What is added to latents in the last part, in parts of their deviation: what is drawn is never exact."""
    texture_weight: float
    """Of fine texture that is there, wherever its grains lie, beside the squared error, which leaves it out."""
    pool: int
    """How many views are cut and kept in memory to train it on."""
    face_weight: float
    """How much more a pixel of a face counts than one of the rest."""


class DenoiserSettings(BudgetSettings):
    """The denoiser and the text encoder that is trained with it."""

    channels: tuple[int, ...]
    heads: tuple[int, ...]
    attention: tuple[bool, ...]
    """Which levels look at the text, and at themselves."""
    layers_per_block: int
    text_width: int
    text_layers: int
    text_heads: int
    text_length: int
    vocabulary: int
    views: int
    log_snr_mean: float
    log_snr_std: float
    """Of the training density of noise levels, normal in the logarithm of their signal to noise ratio."""
    caption_dropout: float


class BaseSettings(Settings):
    """Everything that `scripts/train_pocket_base.py` needs but the folders."""

    size: int
    seed: int
    mixed_precision: str
    vae: VaeSettings
    denoiser: DenoiserSettings
    recipe: Recipe
    """How the finished base is sampled."""
