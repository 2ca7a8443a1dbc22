"""A family says whether some of what learns feeds nothing: several processes would wait for its gradient for ever."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from likeness import randomness
from likeness.adapter import LoraSettings
from likeness.families import load_family
from tests.families.common import NAMES, PROMPT, READERS, SEED, latent_shape
from training.model import DreamboothSettings, make_trainable

WAYS: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "lora": ("lora", {"targets": "attention"}, False),
    "lora-all": ("lora", {"targets": "all"}, False),
    "lora-text": ("lora", {"text_encoder": True}, False),
    "dreambooth": ("dreambooth", {}, False),
    "dreambooth-text": ("dreambooth", {}, True),
}


@pytest.mark.parametrize(
    ("name", "way"), [(n, way) for n in NAMES for way in WAYS if way != "lora-text" or n in READERS]
)
def test_what_gets_no_gradient_is_as_the_family_says(name: str, way: str, bases: Callable[[str], Path]) -> None:
    method, lora, text = WAYS[way]
    family = load_family(str(bases(name)))
    settings = LoraSettings(rank=2, alpha=2, **lora)
    with torch.no_grad():
        conditioning = family.encode_text([PROMPT, ""])
    model = make_trainable(family, method, settings, DreamboothSettings(text_encoder=text), 0, torch.float32, False)
    noisy = torch.stack([randomness.normal(latent_shape(name), SEED, "idle", row) for row in range(2)])
    timesteps = family.schedule.timesteps(torch.tensor([0.3, 0.6]), (noisy.shape[-2], noisy.shape[-1]))
    learns_text = len(model.text_encoders) > 0
    prediction = model(noisy, timesteps, {} if learns_text else conditioning, [PROMPT, ""] if learns_text else None)
    prediction.square().mean().backward()
    assert any(parameter.grad is None for parameter in model.parameters_in_order()) == model.leaves_idle
