"""The loop that both halves of the pocket base are trained with: AdamW, a cosine rate, EMA, a budget of steps and minutes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from .settings import BudgetSettings

SAVED_EVERY = 60.0
"""Seconds."""


def generator(rng: np.random.Generator, device: torch.device) -> torch.Generator:
    """A generator on `device` seeded from `rng`: drawn where it is needed, randomness costs a GPU nothing."""
    return torch.Generator(device).manual_seed(int(rng.integers(2**62)))


def fit(
    model: nn.Module,
    loss_of: Callable[[nn.Module, np.random.Generator], Tensor],
    settings: BudgetSettings,
    seed: int,
    state: Path,
    accelerator: Accelerator,
    ema_decay: float,
) -> None:
    """Train `model` in place until `settings.steps` or `settings.minutes` are over; it ends as its average (EMA).

    `loss_of(model, rng)` draws a batch from `rng`, a function of (seed, process, step), and returns its mean loss. The file
    `state` keeps everything needed to go on; a run that was cut by a signal goes on from what it was a minute before.
    """
    ema = EMAModel(model.parameters(), decay=ema_decay, use_ema_warmup=True, power=0.75, foreach=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    step, spent = _restore(state, model, optimizer, ema)
    model, optimizer = accelerator.prepare(model, optimizer)
    ema.to(accelerator.device)
    parameters, first, started = list(model.parameters()), step, time.time() - spent
    total, saved = torch.zeros((), device=accelerator.device), time.time()
    # The share done is judged by time too, so that a run cut by its minutes still ends with a cooled learning rate.
    while (done := _share_done(step, time.time() - started, settings, accelerator)) < 1:
        rng = np.random.default_rng([seed, accelerator.process_index, step])
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * min(1, (step + 1) / 200) * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))
        with accelerator.autocast():
            loss = loss_of(model, rng)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.step(parameters)
        total += loss.detach()  # read only when it is printed: a GPU is not waited for at every step
        step += 1
        if step % 50 == 0:
            mean = total.item() / min(50, step - first)
            rate = settings.batch * (step - first) / (time.time() - started - spent)
            accelerator.print(f"step {step}: loss {mean:.4f}, {rate:.1f} a second", flush=True)
            total.zero_()
        if time.time() - saved > SAVED_EVERY:
            _save(state, accelerator, model, optimizer, ema, step, time.time() - started)
            saved = time.time()
    _save(state, accelerator, model, optimizer, ema, step, time.time() - started)
    ema.copy_to(parameters)


def _share_done(step: int, seconds: float, settings: BudgetSettings, accelerator: Accelerator) -> float:
    """By the main process's clock: by their own some would end a step before the others, who would wait for them for ever."""
    done = max(step / settings.steps, seconds / (60 * settings.minutes)) if settings.steps and settings.minutes else 1.0
    if accelerator.num_processes == 1:
        return done
    return float(broadcast(torch.tensor(done, dtype=torch.float64, device=accelerator.device)))


def _restore(state: Path, model: nn.Module, optimizer: torch.optim.Optimizer, ema: EMAModel) -> tuple[int, float]:
    """The step and the seconds that an earlier call came to; (0, 0.0) without one."""
    if not state.exists():
        return 0, 0.0
    saved = torch.load(state, weights_only=False)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    ema.load_state_dict(saved["ema"])
    return saved["step"], saved["seconds"]


def _save(
    state: Path,
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    ema: EMAModel,
    step: int,
    seconds: float,
) -> None:
    if not accelerator.is_main_process:
        return
    part = state.with_suffix(".tmp")
    moment = {"model": accelerator.unwrap_model(model).state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**moment, "ema": ema.state_dict(), "step": step, "seconds": seconds}, part)
    part.replace(state)
