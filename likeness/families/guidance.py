"""Guidance: further from a worse prediction, past a better one (Ho and Salimans 2022, arXiv 2207.12598).

The worse is what is predicted without the words, or what the base predicts of the same words without the person's adapter: then the step
that the adapter takes from the base towards the person is taken further than training took it (a model guided by a bad version
of itself: Karras et al. 2024, arXiv 2406.02507).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from likeness.families.recipe import Recipe


def guided(wanted: Tensor, unwanted: Tensor, recipe: Recipe) -> Tensor:
    """Predictions (B, ...), `recipe.guidance_scale` times as far from `unwanted` as `wanted` is.

    Then the rescaling that keeps it from over-exposing (Lin et al. 2023, arXiv 2305.08891, section 3.4).
    """
    beyond = unwanted + recipe.guidance_scale * (wanted - unwanted)
    if recipe.guidance_rescale == 0:
        return beyond
    axes = tuple(range(1, wanted.ndim))
    rescaled = beyond * (wanted.std(dim=axes, keepdim=True) / beyond.std(dim=axes, keepdim=True))
    return recipe.guidance_rescale * rescaled + (1 - recipe.guidance_rescale) * beyond


def has_adapter(denoiser: nn.Module) -> bool:
    """Whether there is an adapter in it that can be switched off. Whole trained weights cannot."""
    return bool(getattr(denoiser, "peft_config", None))


@contextmanager
def without_adapter(denoiser: Any) -> Iterator[None]:
    """The base as it was; the adapter is there again afterwards."""
    denoiser.disable_adapters()
    try:
        yield
    finally:
        denoiser.enable_adapters()


@contextmanager
def away_from_base(denoiser: nn.Module, recipe: Recipe) -> Iterator[None]:
    """Whatever pipeline calls the denoiser, what it is given is `guided` away from the same call without the adapter."""

    def guide(module: nn.Module, arguments: tuple[Any, ...], options: Mapping[str, Any], output: Any) -> Any:
        with without_adapter(module):
            alone = module.forward(*arguments, **options)
        if isinstance(output, tuple):
            return (_each(output[0], alone[0], recipe), *output[1:])
        output.sample = _each(output.sample, alone.sample, recipe)
        return output

    handle = denoiser.register_forward_hook(guide, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _each(own: Any, alone: Any, recipe: Recipe) -> Any:
    """`guided`, also of lists with the prediction of one picture each, which some denoisers give."""
    if isinstance(own, Tensor):
        return guided(own, alone, recipe)
    return [guided(mine[None], theirs[None], recipe)[0] for mine, theirs in zip(own, alone, strict=True)]
