"""Where a headshot comes from, for the record beside it: enough to draw it again, and no path, which tells where a person keeps files."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from inference.prompts import Prompt
from inference.renderer import LATENT_STREAM, Renderer, Sampling
from likeness import __version__, files, resources
from likeness.adapter import weights_sha256

_PACKAGES = ("torch", "diffusers", "transformers", "peft")


def origin(renderer: Renderer, adapter: Path | None, sampling: Sampling) -> dict[str, Any]:
    """What pictures are drawn with, as plain values; `sampling`: what was asked for."""
    packages = {name: version(name) for name in _PACKAGES}
    return {
        "base": resources.without_path(renderer.base),
        "base_sha256": renderer.base_sha256,
        "licence": renderer.family.licence,
        "adapter": None if adapter is None else adapter.name,
        "adapter_sha256": None if adapter is None else weights_sha256(adapter),
        "adapter_weight": renderer.weight,
        "variant": _variant(renderer),
        "references_sha256": [photo.sha256 for photo in renderer.references],
        "sampling": sampling.over(renderer.recipe).model_dump(exclude={"gates"}),
        "latents": f"likeness.randomness.normal(shape, seed, {LATENT_STREAM!r})",
        "device": renderer.device,
        "dtype": str(renderer.dtype).removeprefix("torch."),
        "versions": {"likeness": __version__, **packages},
    }


def words(prompt: Prompt, sampling: Mapping[str, Any]) -> dict[str, str]:
    """The words that take part in a picture that is drawn with this "sampling" of `origin`; of those that do not, empty ones."""
    scale = sampling["guidance_scale" if sampling["guidance_from"] == "words" else "words_scale"]
    heeded = scale > 1 and sampling["negative"]
    return {
        "prompt": prompt.positive,
        "negative_prompt": prompt.negative if heeded else "",
        "face_prompt": prompt.closer if sampling["face_strength"] else "",
    }


def _variant(renderer: Renderer) -> dict[str, Any] | None:
    """The fast variant, if any: of a base in place of the adapter's own, "base" tells already which."""
    if renderer.variant is None:
        return None
    file = renderer.variant_lora
    own = (
        {}
        if file is None
        else {"lora": file.name, "lora_sha256": files.sha256(file), "weight": renderer.variant.weight}
    )
    return {"kind": "base" if file is None else "lora", **own}
