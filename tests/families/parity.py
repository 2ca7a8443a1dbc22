"""Three steps of training that diffusers' example scripts and our trainer take from the same place.

All that is random follows from counters: the picture, the LoRA's first weights, the noise and the noise levels. So what a script
found can be kept as numbers (`tests/data/public_training.json`) and compared where no script is at hand.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from likeness import randomness
from likeness.adapter import LoraSettings
from likeness.families import Family, load_family
from tests.families.common import SIDE
from training.model import DreamboothSettings, make_trainable
from training.objective import ObjectiveSettings, losses
from training.optim import OptimSettings, make_optimizer

FAMILIES = ["sdxl", "flux2-klein", "z-image", "qwen-image", "krea2", "sd35"]
STEPS, RANK, LEARNING_RATE, WEIGHT_DECAY, MAX_NORM = 3, 2, 1e-2, 1e-2, 1.0
PROMPT = "a photo of sks person"
PLACES = [[0.08, 0.91], [0.45, 0.62], [0.77, 0.3]]
"""Quantiles of the noise levels: of each step, of each slot."""


def batch_size(name: str) -> int:
    """Z-Image's script multiplies its prompts anew in every step, which only with one picture a step is right."""
    return 1 if name == "z-image" else 2


def picture() -> Image.Image:
    """Exactly as large as it is trained at, so that nobody's resizing plays a part."""
    pixels = randomness.rng(1, "parity-picture").integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def noise(shape: tuple[int, ...], step: int) -> Tensor:
    return randomness.normal(shape, 1, "parity-noise", step)


def quantiles(name: str, step: int) -> Tensor:
    return torch.tensor(PLACES[step][: batch_size(name)])


def start(denoiser: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Gives the LoRA layers their first weights, none of them zero; yields them by name."""
    for name, parameter in denoiser.named_parameters():
        if ".lora_" in name:
            parameter.data = 0.3 * randomness.normal(parameter.shape, 1, "parity-lora", name).to(parameter)
            yield name, parameter


def summary(tensor: Tensor) -> list[float]:
    """Of a tensor: its sum, its length and its first and last number."""
    flat = tensor.detach().double().flatten()
    return [float(flat.sum()), float(flat.norm()), float(flat[0]), float(flat[-1])]


def timesteps(family: Family, name: str, step: int) -> Tensor:
    """Those that the script takes at these quantiles from the table of its scheduler."""
    indices = (quantiles(name, step) * 1000).long()
    if family.schedule.kind == "diffusion":
        return indices
    from diffusers import FlowMatchEulerDiscreteScheduler

    own: dict[str, Any] = {"shift": 3.0} if name == "qwen-image" else {}  # which that script sets by itself
    table: Any = FlowMatchEulerDiscreteScheduler.from_pretrained(family.folder, subfolder="scheduler", **own)
    return torch.as_tensor(table.timesteps[indices])


def ours(base: Path, name: str) -> dict[str, Any]:
    """Our losses and the weights after the last step, as `public_script` has them."""
    family = load_family(str(base))
    pixels = torch.from_numpy(np.array(picture(), np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    count = batch_size(name)
    with torch.no_grad():
        latents = family.encode_image(pixels)[0].expand(count, -1, -1, -1)
        words = family.encode_text([PROMPT] * count)
        words |= family.framing(torch.tensor([[SIDE, SIDE]] * count))
    lora = LoraSettings(rank=RANK, alpha=RANK, targets="attention")
    model = make_trainable(family, "lora", lora, DreamboothSettings(), 0, torch.float32, False)
    weights = dict(start(family.denoiser))
    settings = OptimSettings(lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    optimizer = make_optimizer(settings, model.parameter_groups())
    found = []
    for step in range(STEPS):
        drawn, levels = noise(tuple(latents.shape), step), timesteps(family, name, step)
        noisy, target = (f(latents, drawn, levels) for f in (family.schedule.add_noise, family.schedule.target))
        said = model(noisy, levels, words, None)
        cost = losses(ObjectiveSettings(), family.schedule, said, target, levels, mask=None).total
        cost.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters_in_order(), MAX_NORM)
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(cost.detach()))
    return {"losses": found, "weights": {key: summary(tensor) for key, tensor in weights.items()}}
