"""Guidance: further from a worse prediction, past a better one (Ho and Salimans 2022, arXiv 2207.12598).

The worse is what is predicted without the words, or what the base predicts of the same words without the person's adapter: then the step
that the adapter takes from the base towards the person is taken further than training took it (a model guided by a bad version
of itself: Karras et al. 2024, arXiv 2406.02507). Both go together where the base is led by the words, and the person's step is added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
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
    """Whatever pipeline calls the denoiser, what it is given is `guided` away from the same call without the adapter.

    With a `recipe.words_scale` above 1 the pipeline, which is then to guide by that, must give the negative words' rows before the others',
    in one batch. What the base predicts of both is given it, moved by the person's step alike: by the words it leads the base, not the
    adapter, which heeds them less.
    """
    whole: list[tuple[Any, Any]] = []

    def halve(_: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any]:
        whole.append((arguments, options))
        rows = len(arguments[0])
        return _second_half(arguments, rows), _second_half(options, rows)

    def guide(module: nn.Module, arguments: tuple[Any, ...], options: Mapping[str, Any], output: Any) -> Any:
        join = _each
        if whole:
            (arguments, options), join = whole.pop(), _beside_words
        with without_adapter(module):
            alone = module.forward(*arguments, **options)
        if isinstance(output, tuple):
            return (join(output[0], alone[0], recipe), *output[1:])
        output.sample = join(output.sample, alone.sample, recipe)
        return output

    handles = [denoiser.register_forward_hook(guide, with_kwargs=True)]
    if recipe.words_scale != 1:
        handles.append(denoiser.register_forward_pre_hook(halve, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _each(own: Any, alone: Any, recipe: Recipe) -> Any:
    """`guided`, also of lists with the prediction of one picture each, which some denoisers give."""
    if isinstance(own, Tensor):
        return guided(own, alone, recipe)
    return [guided(mine[None], theirs[None], recipe)[0] for mine, theirs in zip(own, alone, strict=True)]


def _beside_words(own: Tensor, alone: Tensor, recipe: Recipe) -> Tensor:
    """own: the adapter's predictions (B, ...); alone: the base's (2 B, ...), those of the negative words first."""
    unwanted, wanted = alone.chunk(2)
    led = guided(own, wanted, recipe)
    return torch.cat([unwanted + (led - wanted), led])


def _second_half(value: Any, rows: int) -> Any:
    """What belongs to the second half of a batch of `rows`, within tuples and dicts too; what is the same for all stays."""
    if isinstance(value, Tensor):
        return value[rows // 2 :] if value.ndim and len(value) == rows else value
    if isinstance(value, dict):
        return {name: _second_half(one, rows) for name, one in value.items()}
    return tuple(_second_half(one, rows) for one in value) if isinstance(value, tuple) else value
