"""From the losses of single samples to the numbers that are logged."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from likeness.errors import LikenessError

if TYPE_CHECKING:
    from training.config import TrainConfig

QUANTILES = 4
_AVERAGE_DECAY = 0.98


class Diverged(LikenessError):
    """The run came to numbers that are none. It would again: what it computes follows from its settings."""


class Meter:
    """Collects every step's losses and gives the means since it was last read, with speed and memory."""

    def __init__(self, timesteps: int) -> None:
        """``timesteps``: of the schedule."""
        self.average: float | None = None
        """The loss's running average; a run that is gone on with puts it back."""
        self._timesteps = timesteps
        self._clear()

    def add(self, total: Tensor, person: Tensor, prior: Tensor, timesteps: Tensor) -> None:
        """One step of the global batch: its loss (), the person's (B,) and the prior's (P,) losses, timesteps (B,)."""
        mean = float(total)
        self.average = mean if self.average is None else _AVERAGE_DECAY * self.average + (1 - _AVERAGE_DECAY) * mean
        self._totals.append(mean)
        self._person.append(person.cpu())
        self._prior.append(prior.cpu())
        bins = (timesteps.cpu() * QUANTILES) // self._timesteps
        self._bins.append(bins.clamp(max=QUANTILES - 1))  # rounding can take a flow's last level to pure noise

    def read(self) -> dict[str, float]:
        """The numbers since the last reading, which then begin anew."""
        person, prior, bins = torch.cat(self._person), torch.cat(self._prior), torch.cat(self._bins)
        values = {"loss": sum(self._totals) / len(self._totals), "loss_average": float(self.average or 0.0)}
        values["loss_person"] = float(person.mean())
        if len(prior):
            values["loss_prior"] = float(prior.mean())
        for number in range(QUANTILES):
            inside = person[bins == number]
            if len(inside):
                values[f"loss_by_timestep/{quantile_name(number, QUANTILES)}"] = float(inside.mean())
        values["images_per_second"] = len(person) / max(time.monotonic() - self._since, 1e-9)
        values["peak_memory_gib"] = peak_memory()
        self._clear()
        return values

    def _clear(self) -> None:
        self._totals: list[float] = []
        self._person: list[Tensor] = []
        self._prior: list[Tensor] = []
        self._bins: list[Tensor] = []
        self._since = time.monotonic()


def check_finite(watched: Mapping[str, Tensor], config: TrainConfig, step: int) -> None:
    """Raises Diverged, with what to do, where a loss or gradient () is no number; waits once for the device."""
    finite = torch.isfinite(torch.stack([value.float() for value in watched.values()])).tolist()
    if all(finite):
        return
    ways = ["lower optim.lr", *(["leave out compile"] if config.compile else [])]
    ways += ["use mixed_precision=fp32"] if config.mixed_precision != "fp32" else []
    raise Diverged(
        f"the {list(watched)[finite.index(False)]} is no longer a number at step {step}",
        f"Begin anew, with checkpoint.resume=never or another name=..., and {' or '.join(ways)}",
    )


def quantile_name(number: int, count: int) -> str:
    """ "25-50" for the second of four, in per cent: of timesteps from clean to pure noise, or of the base's density of them."""
    return f"{100 * number // count:02d}-{100 * (number + 1) // count:02d}"


def peak_memory() -> float:
    """Most memory so far, GiB: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def finite(values: dict[str, float]) -> dict[str, float | None]:
    """The values as JSON knows them: a loss that is not a number becomes None."""
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
