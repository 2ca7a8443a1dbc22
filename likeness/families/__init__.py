"""Base-model families: one file each. `load_family` finds out which one a base belongs to."""

from __future__ import annotations

import torch

from likeness.errors import LikenessError
from likeness.families import source
from likeness.families.base import Family, Recipe, TargetPreset
from likeness.families.schedule import DiscreteSchedule
from likeness.families.stable_diffusion import StableDiffusion

FAMILIES: tuple[type[Family], ...] = (StableDiffusion,)

__all__ = ["FAMILIES", "DiscreteSchedule", "Family", "Recipe", "TargetPreset", "family_of", "load_family"]


def family_of(pipeline_class: str) -> type[Family]:
    """The family that a diffusers pipeline class belongs to. Raises LikenessError for one that is not known."""
    for family in FAMILIES:
        if family.pipeline_class == pipeline_class:
            return family
    known = ", ".join(f"{family.name} ({family.pipeline_class})" for family in FAMILIES)
    raise LikenessError(f"bases of the kind {pipeline_class} are not supported", f"Supported are: {known}")


def load_family(
    base: str,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    revision: str | None = None,
) -> Family:
    """Load a base ("pocket", a folder or a Hub id) as its family. Raises LikenessError when that is impossible."""
    folder = source.locate(base, revision, dtype)
    return family_of(source.pipeline_class_name(folder)).load(base, dtype, device, revision)
