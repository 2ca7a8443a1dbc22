"""Offloading changes no picture. Here everything is on the CPU: what moves, and how fast, only a GPU would show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inference.renderer import Renderer, RenderJob, Sampling
from tests.families.common import NAMES, NEGATIVE, PROMPT, SEED, SIDE, STEPS


@pytest.mark.parametrize("name", NAMES)
def test_an_offloaded_base_draws_the_same(
    name: str, bases: Callable[[str], Path], adapters: Callable[[str], Path]
) -> None:
    jobs, sampling = [RenderJob(PROMPT, NEGATIVE, SEED)], Sampling(steps=STEPS, width=SIDE, height=SIDE)
    from_base = sampling.model_copy(update={"guidance_from": "base"})
    for adapter, how in ((None, sampling), (adapters(name), from_base)):
        (plain,) = Renderer(str(bases(name)), adapter, "cpu").render(jobs, how)
        offloaded = Renderer(str(bases(name)), adapter, "cpu", offload=True)
        assert any("GroupOffload" in type(hook).__name__ for hook in _hooks(offloaded.family.denoiser))
        (ours,) = offloaded.render(jobs, how)
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(plain))


def _hooks(module: object) -> list[object]:
    from diffusers.hooks import HookRegistry

    return list(HookRegistry.check_if_exists_or_initialize(module).hooks.values())
