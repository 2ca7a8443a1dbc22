"""LoRA files of any format (diffusers, peft, kohya) as one: peft's names, and every scale multiplied into B.

That leaves diffusers no ranks and alphas to infer from names when it loads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from likeness.errors import LikenessError
from likeness.quiet import quiet

LORA_SETTINGS_KEY = "lora_adapter_metadata"
"""The header key under which diffusers keeps what `peft.LoraConfig` needs."""


def read_lora(pipeline: Any, path: Path) -> dict[str, dict[str, Tensor]]:
    """{"unet": {"mid_block….lora_A.weight": tensor, …}, …}: a LoRA file of any format in peft's names.

    With alpha = rank, hence scale 1. Raises LikenessError when a tensor belongs to no part of the pipeline.
    """
    raw, metadata = read_tensors(path)
    unread = [key for key in raw if "dora_scale" in key]
    try:
        with quiet():
            flat = _diffusers_names(pipeline, _fold_alphas(raw))
        parts: dict[str, dict[str, Tensor]] = {}
        for folder in pipeline._lora_loadable_modules:
            own = {k.removeprefix(f"{folder}."): v for k, v in flat.items() if k.startswith(f"{folder}.")}
            if own:
                own = _peft_names(folder, getattr(pipeline, folder), own)
                parts[folder] = _fold_metadata(own, _of_part(metadata, folder))
    except (ValueError, KeyError) as error:
        what = f"this is not a LoRA that diffusers understands: {str(error)[:200]}"
        raise LikenessError(what, "Convert it to diffusers' format", path) from error
    unread += [key for key in flat if key.partition(".")[0] not in parts]
    if unread or not parts:
        raise ignored_error(unread, path)
    return parts


def _diffusers_names(pipeline: Any, raw: dict[str, Tensor]) -> dict[str, Tensor]:
    """{"unet.mid_block….weight": tensor, …}, whatever the tensors were called."""
    # kohya numbers the blocks of SDXL as its first release did; which is which only the UNet's shape tells.
    numbered = "text_encoder_2" in pipeline._lora_loadable_modules and hasattr(pipeline, "unet")
    found = pipeline.lora_state_dict(raw, **({"unet_config": pipeline.unet.config} if numbered else {}))
    # Pipelines of a UNet give the alphas beside, which have been multiplied in already.
    flat: dict[str, Tensor] = found[0] if isinstance(found, tuple) else found
    return flat


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors in float32, and the LoRA settings that diffusers and we write to the header."""
    try:
        with safe_open(path, "pt") as reader:
            header = reader.metadata() or {}
            names = reader.keys()
            tensors = {name: reader.get_tensor(name).float() for name in names}
        return tensors, json.loads(header.get(LORA_SETTINGS_KEY, "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise damaged_error(path) from error


def _fold_alphas(raw: dict[str, Tensor]) -> dict[str, Tensor]:
    """kohya's `name.alpha` tensors multiplied into `name.lora_up`, as alpha / rank, and left out.

    An alpha that belongs to nothing stays, to be refused with what else finds no module.
    """
    folded = dict(raw)
    for key in raw:
        up = f"{key.removesuffix('.alpha')}.lora_up.weight"
        if key.endswith(".alpha") and up in raw:
            folded[up] = raw[up] * (folded.pop(key) / raw[up].shape[1])
    return folded


def _fold_metadata(tensors: dict[str, Tensor], metadata: Mapping[str, Any]) -> dict[str, Tensor]:
    """peft's alpha, its per-module exceptions and rsLoRA's root multiplied into B."""

    def scaled(key: str, tensor: Tensor) -> Tensor:
        name, is_b, _ = key.partition(".lora_B.")
        if not is_b:
            return tensor
        exceptions: Mapping[str, float] = metadata.get("alpha_pattern") or {}
        own = [alpha for pattern, alpha in exceptions.items() if re.match(rf"(.*\.)?({pattern})$", name)]
        rank = tensor.shape[1]
        alpha = (own or [metadata.get("lora_alpha", rank)])[0]
        return tensor * (alpha / (rank**0.5 if metadata.get("use_rslora") else rank))

    return {key: scaled(key, tensor) for key, tensor in tensors.items()}


def _of_part(metadata: Mapping[str, Any], folder: str) -> dict[str, Any]:
    return {k.removeprefix(f"{folder}."): v for k, v in metadata.items() if k.startswith(f"{folder}.")}


def _peft_names(folder: str, module: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    from diffusers import utils
    from diffusers.utils import state_dict_utils

    if not any(".lora_A" in key for key in tensors):
        if not folder.startswith("text_encoder"):
            tensors = utils.convert_unet_state_dict_to_peft(tensors)
        else:
            # diffusers knows its older names by an output projection, which not every file holds.
            older = any("_lora." in key for key in tensors)
            kind = state_dict_utils.StateDictType.DIFFUSERS_OLD if older else None
            tensors = utils.convert_state_dict_to_peft(tensors, kind)
    if not hasattr(module, "text_model"):
        # Newer transformers flattened CLIPTextModel; LoRA files keep the level that is gone.
        tensors = {key.removeprefix("text_model."): tensor for key, tensor in tensors.items()}
    return tensors


def ignored_error(keys: list[str], path: Path) -> LikenessError:
    """What to raise when a base has no place for these tensors."""
    return LikenessError(
        f"this base would ignore {len(keys)} tensors of the adapter: {some(keys)}" if keys else "this LoRA is empty",
        "It belongs to another family, or is of a kind that is not supported",
        path,
    )


def some(keys: list[str]) -> str:
    """The first few of the keys, for a message."""
    shown = ", ".join(sorted(keys)[:3])
    return f"{shown}, …" if len(keys) > 3 else shown


def damaged_error(path: Path) -> LikenessError:
    """What to raise when a file cannot be read as safetensors."""
    return LikenessError("is damaged or not a safetensors file", "Copy or train the adapter anew", path)
