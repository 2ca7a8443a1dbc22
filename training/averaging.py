"""The average of a run's last weights in place of the very last ones (Izmailov et al. 2018, arXiv 1803.05407).

What a LoRA does to a weight is the product B A, so that this is what is averaged: the mean of B's times the mean of A's would hold
products of one moment's B and another's A. The mean product of K moments has rank K r at most; it is written as

    mean(B_k A_k) = [B_1 ... B_K] [A_1; ...; A_K] / K        and brought back to rank r by its largest singular values,

which is the nearest matrix of that rank (Eckart and Young 1936). What else is trained (whole weights, new words) is averaged itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor

from likeness import files
from likeness.adapter import adapter_state, load_adapter_state
from likeness.families import Family
from likeness.settings import Settings
from training.checkpoint import plain

_A, _B = ".lora_A.", ".lora_B."


class AveragingSettings(Settings):
    """The mean of the last few moments of a run is what its adapter holds."""

    last: int = Field(0, ge=0)
    """Moments that are averaged; 0: none, the weights are as they are. Worth nothing where it was measured
    (docs/ablations.md)."""
    every: int = Field(50, ge=1)
    """Steps from one moment to the next."""


class Moments:
    """The weights of a run at its last moments, kept in the run's folder: what a run that was killed needs of them is there."""

    def __init__(self, settings: AveragingSettings, family: Family, folder: Path) -> None:
        self._settings, self._family, self._folder = settings, family, folder / "averaging"

    def keep(self, step: int) -> None:
        """Writes the weights at ``step`` when it is time. The run's last step is none unless it is due: a longer run is the same."""
        if step and step % self._settings.every == 0:
            files.write_bytes(self._path(step), safetensors.torch.save(plain(adapter_state(self._family))))

    def prune(self, checkpoints: Iterable[int]) -> None:
        """Drops the moments that no run going on from one of these steps averages."""
        wanted = {path for step in checkpoints for path in self._last(step)}
        for path in self._folder.glob("step-*.safetensors"):
            if path not in wanted:
                path.unlink(missing_ok=True)

    @contextmanager
    def averaged(self, step: int) -> Iterator[None]:
        """Inside, the weights are the mean of the last moments up to ``step``; as they are where there is none yet."""
        found = [safetensors.torch.load(path.read_bytes()) for path in self._last(step)]
        if not found:
            yield
            return
        kept = plain(adapter_state(self._family))
        load_adapter_state(self._family, mean(found))
        try:
            yield
        finally:
            load_adapter_state(self._family, kept)

    def _last(self, step: int) -> list[Path]:
        every = self._settings.every
        newest = step - step % every
        steps = range(newest, 0, -every)[: self._settings.last]
        return [path for at in steps if (path := self._path(at)).is_file()]

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:06d}.safetensors"


def mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of weights by name, one state or more of the same names; LoRA pairs by their products, at their own rank."""
    averaged: dict[str, Tensor] = {}
    for name, tensor in states[0].items():
        if _A in name:
            other = name.replace(_A, _B)
            downs, ups = [state[name] for state in states], [state[other] for state in states]
            averaged[name], averaged[other] = mean_product(downs, ups)
        elif _B not in name:
            averaged[name] = torch.stack([state[name] for state in states]).mean(dim=0).to(tensor.dtype)
    return {name: averaged[name] for name in states[0]}


def mean_product(downs: Sequence[Tensor], ups: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """A (r, ...) and B (out, r, ...) whose product is nearest to the mean of the products, of linear layers or convolutions.

    Through QR of both factors, so that no matrix larger than they are is ever made.
    """
    rank, device, dtype = len(downs[0]), downs[0].device, downs[0].dtype
    a = torch.cat([down.flatten(1) for down in downs]).cpu().double()
    b = torch.cat([up.flatten(1) for up in ups], dim=1).cpu().double() / len(ups)
    q_b, r_b = torch.linalg.qr(b)
    q_a, r_a = torch.linalg.qr(a.T)
    left, values, right = torch.linalg.svd(r_b @ r_a.T)
    roots = values[:rank].sqrt()
    # A rank beyond a layer's own width has no more singular values: the rest are zeros.
    up, down = torch.zeros(len(b), rank, dtype=b.dtype), torch.zeros(rank, a.shape[1], dtype=a.dtype)
    up[:, : len(roots)] = q_b @ left[:, : len(roots)] * roots
    down[: len(roots)] = roots[:, None] * (right[: len(roots)] @ q_a.T)
    return down.reshape(downs[0].shape).to(device, dtype), up.reshape(ups[0].shape).to(device, dtype)
