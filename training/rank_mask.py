"""A LoRA of lower rank where there is more noise: T-LoRA (Soboleva et al. 2025, arXiv 2507.05964; AAAI 2026).

At noisy timesteps the layout of a picture is drawn, and few photographs are soon learnt by heart there: background, pose. So only
the first of the adapter's directions learn from noisy samples, and all of them from nearly clean ones:

    rank(t) = least + floor((rank - least) (1 - t / T))          A x -> mask(t) * A x,  mask = 1 on the first rank(t) rows

The mask is there in training alone. What is written is a plain LoRA that any program reads, and it draws with its full rank at
every timestep: the directions that learnt from clean samples alone act on noisy latents too. The authors keep the mask when they
draw, and begin from orthogonal directions; neither can be said in a LoRA file, so that this is less than their method. Pictures
that are drawn while training goes on are drawn as the adapter will be, without the mask.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from likeness.adapter import PEFT_NAME, lora_layers
from likeness.errors import LikenessError
from training.model import Trained


def ranks(timesteps: Tensor, most: int, least: int, total: int) -> Tensor:
    """The rank (B,) int64 at each timestep (B,) in [0, total], from ``most`` when clean to ``least`` at pure noise."""
    level = (timesteps.double() / total).clamp(0, 1)
    return least + ((most - least) * (1 - level)).floor().long()


class RankMask:
    """Masks the rank dimension of a denoiser's LoRA layers, by the timesteps of the forward pass at hand."""

    def __init__(self, model: Trained, least: float, total: int) -> None:
        """``least``: share of the rank at pure noise.  ``total``: timesteps of the schedule. Raises LikenessError for DoRA."""
        layers = [layer for _, layer in lora_layers(model.denoiser)]
        self._total, self._most = total, max(layer.r[PEFT_NAME] for layer in layers)
        self._least = max(1, round(least * self._most))
        if any(layer.use_dora[PEFT_NAME] for layer in layers):
            # The length of a row, which DoRA divides by, would be another one at every timestep.
            raise LikenessError("objective.least_rank does not go with lora.dora", "Set one of them to its default")
        self._mask: Tensor | None = None
        model.register_forward_pre_hook(self._look)
        for layer in layers:
            layer.lora_A[PEFT_NAME].register_forward_hook(self._apply)

    def _look(self, model: nn.Module, arguments: tuple[Any, ...]) -> None:
        timesteps: Tensor = arguments[1]
        wanted = ranks(timesteps, self._most, self._least, self._total)
        places = torch.arange(self._most, device=timesteps.device)
        self._mask = (places[None] < wanted[:, None]) if model.training else None

    def _apply(self, module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """(B, ..., r) of a linear layer or (B, r, h, w) of a convolution, masked sample by sample.

        Or (B n, ..., r), as where every token's layers are looked at by themselves: n rows of the first sample, n of the second. Raises
        LikenessError where rows cannot be told apart: tokens of samples of different lengths, laid end to end.
        """
        if self._mask is None:
            return None
        rows, samples = len(output), len(self._mask)
        if rows % samples or (output.ndim == 2 and rows != samples > 1):
            what = "objective.least_rank has to know each sample's rows, which a layer of this base lays end to end"
            raise LikenessError(what, "Take fewer lora.targets, such as attention, or leave out objective.least_rank")
        mask = self._mask.to(output.dtype).repeat_interleave(rows // samples, dim=0)
        between = [1] * (output.ndim - 2)
        shape = (len(mask), -1, *between) if isinstance(module, nn.Conv2d) else (len(mask), *between, mask.shape[1])
        return output * mask.reshape(shape)
