"""What a LoRA file says of itself in its header: ModelSpec (github.com/Stability-AI/ModelSpec) and our own record.

Other programs show these to whoever loads the file: the words that call the person up, the licence, the kind of base.
"""

from __future__ import annotations

import json

from likeness import __version__, resources
from likeness.adapter_file import BESIDE_ONLY, HEADER_KEY, AdapterInfo
from likeness.families import family_named


def header(info: AdapterInfo) -> dict[str, str]:
    """The metadata of the file. Of the person it holds nothing but the trigger, and of their photographs a digest."""
    spec = {
        "sai_model_spec": "1.0.1",
        "architecture": f"{family_named(info.family).architecture}/lora",
        "implementation": "diffusers",
        "implementation_version": f"likeness/{__version__}",
        "title": f"{info.subject}, {info.family}",
        "resolution": f"{info.resolution}x{info.resolution}",
        "license": info.licence,
        "trigger_phrase": info.subject,
        "usage_hint": f"Write '{info.subject}' where the person stands",
        # Empty while a run writes its adapter, so that equal weights are equal files.
        "date": info.created,
    }
    own = info.model_dump(mode="json", exclude={"created", *BESIDE_ONLY})
    own["base"] = resources.without_path(info.base)
    return {"format": "pt", HEADER_KEY: json.dumps(own, sort_keys=True)} | {
        f"modelspec.{key}": value for key, value in spec.items() if value
    }


def kohya_version(info: AdapterInfo) -> dict[str, str]:
    """What sd-scripts writes of the base. A1111 shows a file beside a checkpoint of SDXL only if this says SDXL."""
    return {"ss_base_model_version": {"sdxl": "sdxl_base_v1-0"}.get(info.family, "sd_v1")}
