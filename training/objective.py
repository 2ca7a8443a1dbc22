"""What a step minimises: where in time it looks, and how its errors are weighted and averaged.

    loss = mean over the person's samples of  snr_weight * mean(face_weight * (prediction - target)^2)
         + prior.weight * mean over the prior's samples of  mean((prediction - target)^2)

which without face weights is what diffusers' DreamBooth trainers compute (the prior term carries no weights of its own).
The prior keeps the base as it was for everyone else. Its target in mode "frozen" is what the frozen base itself says of
the same person's noisy latents under the caption without the trigger: exactly where training pulls hardest towards the
person is where "a person" is held in place, and no class images are needed. In mode "images" its samples are pictures
that the frozen base rendered once, with the ordinary target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from likeness.families import Schedule
from likeness.settings import Settings


class PriorSettings(Settings):
    """What stops the base from forgetting that other people look different."""

    mode: Literal["frozen", "images", "none"] = "frozen"
    """What the class words are held to: what the frozen base predicts, pictures that it drew before, or nothing."""
    weight: float = Field(1.0, ge=0)
    """Of the prior's samples together, where the person's weigh 1."""
    batch_size: int | None = Field(None, ge=1)
    """Prior samples in a step; none means as many as the person's. Fewer is cheaper, and the weight means the same."""
    prompts: list[str] = []
    """Class prompts; empty means the portraits' own captions with the class word in place of the person."""
    images: int = Field(48, ge=1)
    """Pictures to render in mode "images", shared among the sizes that are trained."""


class TimestepSettings(Settings):
    """The density of the noise levels that are trained; 0 is clean and 1 is pure noise."""

    density: Literal["uniform", "logit-normal"] = "uniform"
    """How often each level comes: all alike, or those in the middle more often."""
    mean: float = 0.0
    """Of the logit, for logit-normal (Esser et al. 2024, arXiv 2403.03206): below 0 looks more at little noise."""
    std: float = Field(1.0, gt=0)
    """Of the logit, for logit-normal: above 1 the ends come more often."""
    shift: float = Field(1.0, gt=0)
    """t -> shift t / (1 + (shift - 1) t): below 1 trains the noisy end less, where few photos overfit first."""
    stratified: bool = True
    """Spread a step's samples evenly over the density (Kingma et al. 2021, arXiv 2107.00630): a steadier gradient."""


class IdentitySettings(Settings):
    """A recogniser's say on the picture behind the noise (training/identity.py)."""

    weight: float = Field(0.0, ge=0)
    """Of the term; 0 switches it off. Three drawn people were no more like with it, in nearly six times as long (docs/ablations.md): it decodes
    pictures in every step."""
    least_signal: float = Field(0.5, gt=0, le=1)
    """Share of the picture in the power of what the denoiser sees, below which a sample is left out. 0.5: where the noise is the more."""


class ObjectiveSettings(Settings):
    """The loss. Whether the network predicts epsilon, v or a flow's velocity is the base's to say."""

    timesteps: TimestepSettings = TimestepSettings()
    min_snr_gamma: float | None = Field(None, gt=0)
    """Count noise levels by at most this signal-to-noise ratio (Hang et al. 2023, arXiv 2303.09556); 5 is usual. None leaves every
    timestep its weight. Not for flow matching."""
    noise_offset: float = Field(0.0, ge=0)
    """Standard deviation of a constant added to each channel of the noise. Needless for a zero-terminal-SNR base."""
    background_floor: float = Field(0.2, gt=0, le=1)
    """Weight of what is not face, relative to the face; 1 weighs everything alike."""
    prior: PriorSettings = PriorSettings()
    identity: IdentitySettings = IdentitySettings()
    least_rank: float = Field(1.0, gt=0, le=1)
    """Share of a LoRA's rank that learns from pure noise, rising to all of it without noise (training/rank_mask.py); 1: always all.
    Off by default: drawn as a plain LoRA it copied less on one base, and was less like on the next (docs/ablations.md)."""


def timestep_positions(quantiles: Tensor, settings: TimestepSettings) -> Tensor:
    """Maps quantiles in [0, 1) to noise levels in [0, 1) of the density: (B,) float."""
    positions = quantiles
    if settings.density == "logit-normal":
        normal = torch.special.ndtri(quantiles.double().clamp(1e-7, 1 - 1e-7))
        positions = torch.sigmoid(settings.mean + settings.std * normal).to(quantiles.dtype)
    return settings.shift * positions / (1 + (settings.shift - 1) * positions)


def timestep_quantile(position: float, settings: TimestepSettings) -> float:
    """The quantile that `timestep_positions` maps to a noise level in [0, 1]."""
    unshifted = position / (settings.shift - (settings.shift - 1) * position)
    if settings.density == "uniform" or unshifted in (0, 1):
        return unshifted
    logit = math.log(unshifted / (1 - unshifted))
    return NormalDist(settings.mean, settings.std).cdf(logit)


def face_weights(mask: Tensor, floor: float) -> Tensor:
    """Loss weights (B, 1, h, w) of a face mask in [0, 1]: 1 on the face to ``floor`` off it, scaled to mean 1 an image.

    The scaling keeps the learning rate's meaning whatever share of the picture the face takes.
    """
    weights = floor + (1 - floor) * mask
    return weights / weights.mean(dim=(-3, -2, -1), keepdim=True)


def sample_losses(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Weighted mean squared error of every sample, (B,), in the precision of ``target``."""
    errors = (prediction.to(target.dtype) - target).square()
    if weights is not None:
        errors = errors * weights.to(errors.dtype)
    return errors.flatten(1).mean(dim=1)


@dataclass(frozen=True)
class Losses:
    """What one forward pass cost: ``total`` () to differentiate, and every sample's own loss, without SNR weights."""

    total: Tensor
    person: Tensor
    prior: Tensor


def losses(
    settings: ObjectiveSettings,
    schedule: Schedule,
    prediction: Tensor,
    target: Tensor,
    timesteps: Tensor,
    mask: Tensor | None,
) -> Losses:
    """The loss of a batch whose first samples are the person's and whose others, if any, are the prior's.

    ``timesteps`` (P,) and ``mask`` (P, 1, h, w) are those of the person's P samples alone; the remaining B - P rows of
    ``prediction`` and ``target`` (B, ...) are the prior's.
    """
    count = len(timesteps)
    weights = None if mask is None else face_weights(mask, settings.background_floor)
    person = sample_losses(prediction[:count], target[:count], weights)
    prior = sample_losses(prediction[count:], target[count:])
    weighted = person
    if settings.min_snr_gamma is not None:
        weighted = person * schedule.min_snr_weight(timesteps, settings.min_snr_gamma).to(person.dtype)
    total = weighted.mean()
    if len(prior):
        total = total + settings.prior.weight * prior.mean()
    return Losses(total, person.detach(), prior.detach())
