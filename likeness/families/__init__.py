"""Base-model families: one file each. `load_family` finds out which one a base belongs to."""

from __future__ import annotations

import torch

from likeness.errors import LikenessError
from likeness.families import source
from likeness.families.aura_flow import AuraFlow
from likeness.families.base import Family, TargetPreset
from likeness.families.cogview4 import CogView4
from likeness.families.flux2_klein import Flux2Klein
from likeness.families.krea2 import Krea2
from likeness.families.lumina2 import Lumina2
from likeness.families.quantization import Quantization
from likeness.families.qwen_image import QwenImage
from likeness.families.recipe import Recipe
from likeness.families.schedule import DiscreteSchedule, FlowSchedule, Schedule
from likeness.families.source import fingerprint
from likeness.families.stable_diffusion import StableDiffusion
from likeness.families.stable_diffusion_3 import StableDiffusion3
from likeness.families.stable_diffusion_xl import StableDiffusionXL
from likeness.families.z_image import ZImage

FAMILIES: tuple[type[Family], ...] = (
    StableDiffusion,
    StableDiffusionXL,
    Flux2Klein,
    ZImage,
    QwenImage,
    Krea2,
    StableDiffusion3,
    Lumina2,
    AuraFlow,
    CogView4,
)

__all__ = [
    "FAMILIES",
    "DiscreteSchedule",
    "Family",
    "FlowSchedule",
    "Quantization",
    "Recipe",
    "Schedule",
    "TargetPreset",
    "family_class",
    "family_named",
    "family_of",
    "fingerprint",
    "licence_of",
    "load_family",
]


def family_of(pipeline_class: str) -> type[Family]:
    """The family that a diffusers pipeline class belongs to. Raises LikenessError for one that is not known."""
    for family in FAMILIES:
        if family.pipeline_class == pipeline_class:
            return family
    known = ", ".join(f"{family.name} ({family.pipeline_class})" for family in FAMILIES)
    raise LikenessError(f"bases of the kind {pipeline_class} are not supported", f"Supported are: {known}")


def family_named(name: str) -> type[Family]:
    """The family that adapters and configurations call so. Raises LikenessError for one that is not known."""
    for family in FAMILIES:
        if family.name == name:
            return family
    raise LikenessError(f"there is no family {name!r}", f"There are: {', '.join(family.name for family in FAMILIES)}")


def family_class(base: str, revision: str | None = None) -> type[Family]:
    """The family of a base ("pocket", a folder or a Hub id), before any weights are fetched. Raises LikenessError as `load_family` does."""
    return family_of(source.pipeline_class_name(source.glance(base, revision)))


def licence_of(base: str, revision: str | None = None) -> str:
    """The licence of a base, before any weights are fetched or read. Raises LikenessError as `load_family` does."""
    folder = source.glance(base, revision)
    return family_of(source.pipeline_class_name(folder)).licence_of(folder)


def load_family(
    base: str,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    revision: str | None = None,
    frozen: torch.dtype | None = None,
    quantize: Quantization | None = None,
) -> Family:
    """Load a base ("pocket", a folder or a Hub id) as its family, as `Family.load` does."""
    folder = source.locate(base, revision, dtype)
    return family_of(source.pipeline_class_name(folder)).load(base, dtype, device, revision, frozen, quantize)
