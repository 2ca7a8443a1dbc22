"""The optimiser and its learning rate, which is a pure function of the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from likeness.errors import LikenessError
from likeness.settings import Settings

GroupName = Literal["denoiser", "text", "tokens"]

_TOKEN_LR = 5e-4

Schedule = Literal["constant", "linear", "cosine", "cosine_with_restarts"]


class OptimSettings(Settings):
    """How the trained weights move."""

    name: Literal["adamw", "adamw8bit", "prodigy"] = "adamw"
    """adamw8bit keeps its moments in 8 bits and needs bitsandbytes and a GPU; prodigy finds the step size itself (lr 1.0)."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate, at its highest."""
    text_lr: float | None = Field(None, gt=0)
    """Learning rate of the text encoder when it is trained; none means ``lr``."""
    token_lr: float | None = Field(None, gt=0)
    """Learning rate of new words (pivotal.tokens), which decay towards nothing. None means 5e-4, as textual inversion
    likes it, a multiple of what weights stand; with prodigy ``lr``."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Share of what the two moments were that stays in every step."""
    weight_decay: float = Field(0.01, ge=0)
    """Share of a weight, times the learning rate, that is taken off in every step."""
    eps: float = Field(1e-8, gt=0)
    """Added to the root of the second moment."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Longer gradients are shortened to this."""
    schedule: Schedule = "constant"
    """How the learning rate goes from there to the last step."""
    warmup: int = Field(0, ge=0)
    """Steps in which the learning rate rises from 0."""
    cycles: int = Field(1, ge=1)
    """Of cosine_with_restarts."""

    @model_validator(mode="after")
    def _prodigy_finds_its_own(self) -> OptimSettings:
        others = {self.text_lr, self.token_lr} - {None, self.lr}
        if self.name == "prodigy" and (self.lr < 0.1 or others):
            raise ValueError("lr 1.0 and no text_lr or token_lr with prodigy, which finds the step size itself")
        return self

    def rate(self, group: str) -> float:
        """The learning rate of a group of parameters: "denoiser", "text" or "tokens"."""
        token_lr = self.token_lr or (self.lr if self.name == "prodigy" else _TOKEN_LR)
        return {"denoiser": self.lr, "text": self.text_lr or self.lr, "tokens": token_lr}[group]


def make_optimizer(
    settings: OptimSettings, parameters: Mapping[GroupName, Sequence[nn.Parameter]]
) -> torch.optim.Optimizer:
    """The optimiser over the trained parameters, one group of it for each group of them that is not empty.

    Raises LikenessError when 8-bit AdamW or Prodigy is asked for and not to be had.
    """
    groups: list[dict[str, Any]] = [
        {"params": list(own), "lr": settings.rate(name), "name": name} for name, own in parameters.items() if own
    ]
    for group in groups:
        if group["name"] == "tokens":  # a word's meaning is no deviation from nought
            group["weight_decay"] = 0.0
    common: dict[str, Any] = {
        "lr": settings.lr,
        "betas": settings.betas,
        "weight_decay": settings.weight_decay,
        "eps": settings.eps,
    }
    if settings.name == "adamw":
        return torch.optim.AdamW(groups, fused=True, **common)
    if settings.name == "adamw8bit":
        return _adamw8bit(groups, common)
    return _prodigy(groups, common)


def _adamw8bit(groups: list[dict[str, Any]], common: dict[str, Any]) -> torch.optim.Optimizer:
    device = groups[0]["params"][0].device
    if device.type != "cuda":
        raise LikenessError(f"optim.name=adamw8bit needs a GPU, and this runs on {device.type}", "Use optim.name=adamw")
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise LikenessError(
            "optim.name=adamw8bit needs bitsandbytes, which is not installed",
            "Install it (pip install bitsandbytes), or use optim.name=adamw",
        ) from error
    optimizer: torch.optim.Optimizer = AdamW8bit(groups, **common)
    return optimizer


def _prodigy(groups: list[dict[str, Any]], common: dict[str, Any]) -> torch.optim.Optimizer:
    try:
        from prodigyopt import Prodigy
    except ImportError as error:
        raise LikenessError(
            "optim.name=prodigy needs prodigyopt, which is not installed",
            "Install it (pip install prodigyopt), or use optim.name=adamw",
        ) from error
    # Prodigy prints a line when it is given a decay, so the decay is put into the groups afterwards. The two corrections
    # are the ones its authors advise for diffusion models.
    decay = common.pop("weight_decay")
    optimizer: torch.optim.Optimizer = Prodigy(groups, use_bias_correction=True, safeguard_warmup=True, **common)
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.0 if group["name"] == "tokens" else decay
    return optimizer


def make_schedule(settings: OptimSettings, optimizer: torch.optim.Optimizer, steps: int, done: int = 0) -> LambdaLR:
    """The learning-rate schedule of a run of ``steps`` optimiser steps, ``done`` of which are over.

    It is built from the step number, never restored, and never handed to accelerate, which would step it once a
    process: so a resumed run, a run made longer and a run of N processes all read the same curve.
    """
    from diffusers.optimization import get_scheduler

    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = settings.rate(group["name"])
    return get_scheduler(
        # diffusers' own "constant" would ignore the warm-up.
        "constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        optimizer,
        num_warmup_steps=settings.warmup,
        num_training_steps=steps,
        num_cycles=settings.cycles,
        last_epoch=done - 1,
    )
