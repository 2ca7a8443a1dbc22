"""The base of a run, loaded so that no more of it is on the device than is at work: first the encoders, then the denoiser."""

from __future__ import annotations

import gc
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from likeness import licences, resources
from likeness.errors import LikenessError
from likeness.families import Family, licence_of, load_family, quantization
from training.config import TrainConfig

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def check_licence(config: TrainConfig, accelerator: Accelerator) -> None:
    """Tells the base's licence.

    Raises LikenessError, before the base is fetched, for one that must be accepted, and for a revision of what lies on the disk.
    """
    if config.revision and Path(resources.base(config.base)).exists():
        what = f"revision={config.revision} names a commit of a base on the Hub, and this base is on the disk"
        raise LikenessError(what, "Leave out revision, or give the base's Hub id", config.base)
    licence = licence_of(config.base, config.revision)
    accelerator.print(f"base: {config.base}, licence: {licence}")
    licences.check(licence, config.accept_license, config.base)


def load_base(config: TrainConfig, device: torch.device) -> Family:
    """The base with its encoders on the device. The denoiser waits its turn in the computer's memory.

    Where what is frozen stays so, on a GPU and wherever it is quantised, it comes in the precision of the run at once:
    nothing there has room for it in float32. Raises LikenessError when there is no such base, or it cannot be quantised here.
    """
    quantization.check(config.quantize, device)
    low = config.method == "lora" and (device.type != "cpu" or config.quantize.kind != "none")
    frozen = DTYPES[config.mixed_precision] if low else None
    base = resources.base(config.base)
    family = load_family(base, torch.float32, "cpu", config.revision, frozen, config.quantize)
    for module in (family.vae, *family.text_encoders.values()):
        place(module, device)
    if config.objective.prior.mode == "images":  # which the denoiser draws before anything is trained
        place(family.denoiser, device)
    return family


def place(module: nn.Module, device: torch.device) -> None:
    """Moves a part of a base, unless its quantization has placed it for good."""
    if not quantization.stays(module):
        module.to(device)


def free_encoders(family: Family, keep_text: bool, keep_vae: bool) -> None:
    """Lets the encoders leave memory, those aside that are still needed."""
    kept = {**family.text_encoders} if keep_text else {}
    if keep_vae:
        kept["vae"] = family.vae
    family.free_encoders()
    family.parts.update(kept)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
