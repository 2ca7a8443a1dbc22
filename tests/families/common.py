"""What the tests of every family share: how each is drawn with diffusers alone, and a short training run."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness import randomness
from likeness.person import Person
from tests import tiny_families
from training.config import TrainConfig

SIDE, STEPS, SEED = tiny_families.SIDE, 2, 41
TALL = SIDE * 3 // 2
"""Height of pictures that are not square: rows and columns that are taken for each other show on no square."""
PROMPT, NEGATIVE = "a headshot of sks person, grey background", "blurred"
LORA = "pytorch_lora_weights.safetensors"

# What anybody would write to draw with diffusers alone: the shape of the first latents, and what else is said. Guidance
# is 3 everywhere, which Z-Image and Krea 2 count as 2.
STOCK: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "sd15": ((4, 8, 8), {"guidance_scale": 3.0, "negative_prompt": NEGATIVE}),
    "sdxl": ((4, 8, 8), {"guidance_scale": 3.0, "negative_prompt": NEGATIVE}),
    "flux2-klein": ((16, 4, 4), {"guidance_scale": 3.0}),
    "z-image": ((4, 8, 8), {"guidance_scale": 2.0, "negative_prompt": NEGATIVE}),
    "qwen-image": ((4, 8, 8), {"true_cfg_scale": 3.0, "negative_prompt": NEGATIVE}),
    "krea2": ((4, 8, 8), {"guidance_scale": 2.0, "negative_prompt": NEGATIVE}),
    "sd35": ((4, 8, 8), {"guidance_scale": 3.0, "negative_prompt": NEGATIVE}),
    "lumina2": ((4, 8, 8), {"guidance_scale": 3.0}),
    "aura-flow": ((4, 8, 8), {"guidance_scale": 3.0, "negative_prompt": NEGATIVE}),
    "cogview4": ((4, 8, 8), {"guidance_scale": 3.0, "negative_prompt": NEGATIVE}),
}
UNGUIDED = {("z-image", "guidance_scale"): 0.0, ("krea2", "guidance_scale"): 0.0}
"""1 elsewhere."""
NAMES = list(STOCK)
READERS = ["sd15", "sdxl", "sd35"]
"""Whose stock pipelines load LoRA into text encoders."""
FLOWS = [name for name in NAMES if name not in ("sd15", "sdxl")]


def config(base: Path, person: Person, name: str, **changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "base": str(base),
        "person": str(person.folder),
        "name": name,
        "steps": 3,
        "batch_size": 2,
        "lora": {"rank": 2, "alpha": 3},
        "optim": {"lr": 0.1},
        "data": {"resolution": SIDE},
        "evaluation": {"every": 3},
        "samples": {"every": 3, "count": 1, "steps": STEPS},
    }
    return TrainConfig.parse(values | changes)


def latent_shape(name: str, height: int = SIDE) -> tuple[int, int, int]:
    """Of the first latents of a picture SIDE wide."""
    channels, rows, columns = STOCK[name][0]
    return channels, rows * height // SIDE, columns


def drawn(pipe: Any, name: str, height: int = SIDE, steps: int = STEPS, guided: bool = True) -> npt.NDArray[np.float32]:
    """The stock pipeline's picture (height, SIDE, 3) in [0, 1]; without guidance where it is not `guided`."""
    shape, words = latent_shape(name, height), STOCK[name][1]
    if not guided:
        words = {key: UNGUIDED.get((name, key), 1.0) for key in words if key != "negative_prompt"}
    latents = randomness.normal(shape, SEED, "render")[None]
    if hasattr(pipe, "_pack_latents") and name != "flux2-klein":  # which folds and packs them itself
        latents = pipe._pack_latents(latents, 1, *shape)
    pipe.set_progress_bar_config(disable=True)
    images = pipe(
        prompt=PROMPT, latents=latents, height=height, width=SIDE, num_inference_steps=steps, output_type="np", **words
    ).images
    return np.asarray(images[0], np.float32)
