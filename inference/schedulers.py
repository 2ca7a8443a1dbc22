"""The schedulers that a picture can be drawn with, by our short names; all are diffusers' own."""

from __future__ import annotations

from typing import Any

from likeness.errors import LikenessError
from likeness.families import Family

SCHEDULERS = {
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "euler-trailing": "EulerDiscreteScheduler",
    "lcm": "LCMScheduler",
}


def scheduler_named(name: str, own: Any, steps: int, family: Family) -> Any:
    """The scheduler of that name, with the settings of the base's `own`, which "base" is. steps: how many will be drawn.

    Raises LikenessError for a name that is none, and for any but "base" on a flow.
    """
    import diffusers

    if name == "base":
        return own
    if family.schedule.kind == "flow":
        what = f"{family.name} is drawn with its own scheduler alone: {name} is for diffusion, and it is a flow"
        raise LikenessError(what, "Leave scheduler at base", family.base)
    if name not in SCHEDULERS:
        raise LikenessError(f"there is no scheduler {name!r}", f"There are: base, {', '.join(SCHEDULERS)}")
    # Few steps have to begin at pure noise and lie evenly below it (999, 749, 499, 249): what is distilled to them was taught so.
    options: dict[str, dict[str, Any]] = {
        "euler-trailing": {"timestep_spacing": "trailing"},
        "lcm": {"original_inference_steps": steps},
    }
    return getattr(diffusers, SCHEDULERS[name]).from_config(own.config, **options.get(name, {}))
