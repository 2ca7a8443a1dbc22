"""Headshots at fixed seeds while the run goes on: to look at, in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from likeness import files, randomness
from likeness.families import Family
from likeness.settings import Settings
from training.captions import worded
from training.rendering import Predict, render_latents


class SampleSettings(Settings):
    """Pictures drawn during the run."""

    every: int = Field(0, ge=0)
    """Steps from one set of pictures to the next; 0 draws none, and lets the VAE leave memory."""
    prompts: list[str] = ["a headshot of {subject}"]
    """{subject} stands for the person: trigger and class word."""
    negative: str = ""
    """Words to keep away from, for bases that read such."""
    count: int = Field(2, ge=1)
    """Pictures of every prompt, each with a seed of its own."""
    steps: int | None = Field(None, ge=1)
    """Denoising steps; none means as the base likes it."""
    guidance_scale: float | None = Field(None, ge=1)
    """1 guides nothing; none means as the base likes it."""


class Samples:
    """Draws the same prompts from the same noise whenever it is asked."""

    def __init__(
        self, settings: SampleSettings, family: Family, size: tuple[int, int], subject: str, seed: int
    ) -> None:
        """``size``: (width, height) in px."""
        self.prompts = [worded(prompt, subject) for prompt in settings.prompts for _ in range(settings.count)]
        self.negative = settings.negative
        given = {"steps": settings.steps, "guidance_scale": settings.guidance_scale}
        self._recipe = family.recipe.model_copy(update={key: value for key, value in given.items() if value})
        self._family = family
        shape = family.latent_shape(*reversed(size))
        self._noise = [randomness.normal(shape, seed, "sample", number) for number in range(len(self.prompts))]

    @torch.no_grad()
    def draw(
        self, predict: Predict, positive: Mapping[str, Tensor], negative: Mapping[str, Tensor], device: torch.device
    ) -> list[Image.Image]:
        """One picture a prompt; the conditioning's rows are those of ``prompts`` and of ``negative``, once each."""
        images = []
        for number, noise in enumerate(self._noise):
            wanted = {name: tensor[number : number + 1] for name, tensor in positive.items()}
            latents = render_latents(
                self._family, predict, wanted, negative, noise[None].to(device), self._recipe, [number]
            )
            images.append(_image(self._family.decode_latents(latents)[0]))
        return images


def write(folder: Path, images: list[Image.Image], step: int) -> None:
    """Writes the pictures of a step into ``folder``. Raises LikenessError when that fails."""
    for number, image in enumerate(images):
        files.write_image(folder / f"step-{step:06d}-{number:02d}.png", image)


def _image(pixels: Tensor) -> Image.Image:
    array = ((pixels.float().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray(array.permute(1, 2, 0).numpy()))
