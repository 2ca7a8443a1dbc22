"""What `likeness bases` prints: the families, the bases that are known by name, and what they need."""

from __future__ import annotations

from typing import Any

from likeness.bases import KnownBase, Needs, known_bases, needs
from likeness.licences import OPEN


def report() -> list[dict[str, Any]]:
    """One record a known base. Memory in GiB at the base's resolution, computed, not measured: the least, and as shipped."""
    plans = needs()
    return [_record(base, plans[base.name]) for base in known_bases()]


def _record(base: KnownBase, plan: Needs) -> dict[str, Any]:
    px, family = base.resolution, base.family_class
    return {
        "family": base.family,
        "name": base.name,
        "hub": base.hub,
        "licence": base.licence,
        "must_be_accepted": base.licence not in OPEN,
        "resolution": px,
        "parameters": plan.parameters,
        "denoiser_parameters": plan.parameters[family.denoiser_folder],
        "config": f"configs/{base.recipe}",
        "recipe": family.default_recipe.model_dump(mode="json", include={"steps", "guidance_scale"}),
        "gradient_accumulation": plan.rounds,
        "train_gib": _training(plan, px, plan.rounds),
        "train_at_once_gib": _training(plan, px, 1),
        "pictures_at_once": plan.drawn,
        "render_gib": _rendering(plan, px, 1),
        "render_at_once_gib": _rendering(plan, px, plan.drawn),
    }


def _training(plan: Needs, px: int, rounds: int) -> dict[str, float]:
    return {
        "bf16": round(plan.training(px, "bf16", False, rounds), 1),
        "bf16 checkpointed": round(plan.training(px, "bf16", True, rounds), 1),
        "nf4 checkpointed": round(plan.training(px, "nf4", True, rounds), 1),
    }


def _rendering(plan: Needs, px: int, count: int) -> dict[str, float]:
    return {
        "bf16": round(plan.rendering(px, "bf16", count=count), 1),
        "nf4": round(plan.rendering(px, "nf4", count=count), 1),
        "bf16 offloaded": round(plan.rendering(px, "bf16", offload=True, count=count), 1),
    }


def table(records: list[dict[str, Any]]) -> Any:
    """The records as a rich table."""
    from rich.table import Table

    shown = Table("family", "base", "size", "licence", "train GiB", "render GiB", "configuration", box=None)
    for one in records:
        train, render = one["train_gib"], one["render_gib"]
        shown.add_row(
            one["family"],
            one["hub"],
            f"{one['denoiser_parameters'] / 1e9:.1f}B",
            one["licence"] + ("*" if one["must_be_accepted"] else ""),
            f"{train['bf16 checkpointed']:.0f} ({train['nf4 checkpointed']:.0f})",
            f"{render['bf16']:.0f} ({render['nf4']:.0f})",
            one["config"],
        )
    return shown
