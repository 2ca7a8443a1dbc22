"""What we minimise is what diffusers' example scripts minimise, for every family."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from likeness import randomness
from likeness.families import Family, load_family
from likeness.families.stable_diffusion_xl import StableDiffusionXL
from likeness.person import Person
from tests.families.common import NAMES, SIDE, TALL, config, latent_shape
from tests.families.public_losses import PUBLIC, cogview4_loss, sdxl_loss
from training.objective import ObjectiveSettings, losses
from training.run import train


def batch(family: Family) -> tuple[Tensor, list[str], Tensor, Tensor]:
    """Pixels, prompts, noise and timesteps of three samples."""
    pixels = randomness.normal((3, 3, TALL, SIDE), 1, "pixels").clamp(-1, 1)
    prompts = ["a photo of sks person", "", "a photo of sks person, head and shoulders, soft light"]
    noise = randomness.normal((3, *latent_shape(family.name, TALL)), 1, "noise")
    timesteps = family.schedule.timesteps(torch.tensor([0.02, 0.5, 0.97]), (noise.shape[-2], noise.shape[-1]))
    return pixels, prompts, noise, timesteps


@torch.no_grad()
def our_loss(family: Family, originals: list[tuple[int, int]] | None = None) -> Tensor:
    pixels, prompts, noise, timesteps = batch(family)
    latents, _ = family.encode_image(pixels)
    noisy, target = (f(latents, noise, timesteps) for f in (family.schedule.add_noise, family.schedule.target))
    framing = family.framing(torch.tensor(originals)) if originals else {}
    said = family.predict(noisy, timesteps, family.encode_text(prompts) | framing)
    return losses(ObjectiveSettings(), family.schedule, said, target, timesteps, mask=None).total


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_batch_costs_what_diffusers_own_script_says(name: str, bases: Callable[[str], Path]) -> None:
    family, stock = load_family(str(bases(name))), DiffusionPipeline.from_pretrained(bases(name))
    expected = PUBLIC[name](stock, *batch(family))
    torch.testing.assert_close(our_loss(family), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "loss"), [("sdxl", sdxl_loss), ("cogview4", cogview4_loss)])
@torch.no_grad()
def test_a_base_that_asks_is_told_how_large_a_portrait_was(
    name: str, loss: Callable[..., Tensor], bases: Callable[[str], Path]
) -> None:
    family, stock = load_family(str(bases(name))), DiffusionPipeline.from_pretrained(bases(name))
    originals = [(20, 16), (SIDE, SIDE), (70, 90)]
    expected = loss(stock, *batch(family), originals)
    torch.testing.assert_close(our_loss(family, originals), expected, rtol=1e-5, atol=1e-6)
    assert not torch.isclose(our_loss(family), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(our_loss(family, [(0, 0)] * 3), our_loss(family))


def test_training_tells_sdxl_how_large_each_portrait_was(
    bases: Callable[[str], Path], person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Tensor] = []
    predict = StableDiffusionXL.predict

    def heard(family: Family, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        told.append(conditioning["original_size"])
        return predict(family, noisy, timesteps, conditioning)  # type: ignore[arg-type]

    monkeypatch.setattr(StableDiffusionXL, "predict", heard)
    quiet: dict[str, Any] = {"evaluation": {"every": 0}, "samples": {"every": 0}}
    train(config(bases("sdxl"), person, "told", **quiet))
    sizes = {tuple(size) for sizes in told for size in sizes.tolist()}
    assert len(sizes) > 1 and sizes <= {(2 * SIDE // place, 2 * SIDE // place) for place in (1, 2, 3)}
    assert len(told) == 2 * 3, "the frozen prior is told too"
