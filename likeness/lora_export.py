"""Writing a LoRA under the names that other programs read.

diffusers' names are the ones we save under. kohya's flatten a module's path after `lora_unet_`, `lora_te_` (an only
text encoder), `lora_te1_` and `lora_te2_`. ComfyUI reads kohya's for a UNet, and diffusers' for a transformer but for a
few modules that it knows by its own names alone. Only what is read back by `lora_formats` is written, and no DoRA but for
diffusers: sd-scripts leaves its lengths out, A1111 takes them for those of columns, and ComfyUI divides by the length of W
where DoRA divides by that of W + B A.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from likeness import files
from likeness.adapter_file import lora_file, read_info
from likeness.errors import LikenessError
from likeness.families import Family, family_named
from likeness.lora_formats import LORA_SETTINGS_KEY, file_bytes, read_tensors
from likeness.lora_kinds import MAGNITUDE
from likeness.modelspec import header, kohya_version
from likeness.pivotal import EMBEDDINGS_FILE, embeddings_of

Format = Literal["diffusers", "kohya", "comfyui"]


def export(adapter: Path, format: str, out: Path) -> Path:
    """Write the LoRA `adapter` (a folder or a file of ours) to the file `out` in a format; returns `out`.

    Embeddings of new words lie beside it then, as NAME-embeddings.safetensors, which all three programs read as it is.

    Raises LikenessError for what is no LoRA of ours, for a format that programs of the family do not read, and when the
    disk refuses.
    """
    if format not in get_args(Format):
        raise LikenessError(f"there is no format {format!r}", f"There are: {', '.join(get_args(Format))}")
    if out.suffix != ".safetensors":
        raise LikenessError("an adapter is exported to a safetensors file", "End its name in .safetensors", out)
    info = read_info(adapter)
    if info is None:
        what = "this adapter was not made by Likeness: nothing tells which base it belongs to"
        raise LikenessError(what, "It can be rendered as it is: likeness render --adapter", adapter)
    if info.method != "lora":
        raise LikenessError("a whole denoiser has no place in a LoRA file", "Train with method=lora", adapter)
    tensors, settings = read_tensors(lora_file(adapter))
    named = _named(tensors, format, family_named(info.family), adapter)
    metadata = header(info)
    if format == "diffusers":
        metadata[LORA_SETTINGS_KEY] = json.dumps(settings, sort_keys=True)
    if format == "kohya":
        metadata |= kohya_version(info)
    metadata["modelspec.hash_sha256"] = _tensors_hash(file_bytes(named, {}))
    files.write_bytes(out, file_bytes(named, metadata))
    if info.tokens:
        own = embeddings_of(lora_file(adapter))
        with files.explained(own, "cannot be read"):
            embeddings = own.read_bytes()
        files.write_bytes(out.with_name(f"{out.stem}-{EMBEDDINGS_FILE}"), embeddings)
    return out


def _named(tensors: Mapping[str, Tensor], format: str, family: type[Family], path: Path) -> dict[str, Tensor]:
    if not all(key.startswith((f"{family.denoiser_folder}.", "text_encoder")) for key in tensors):
        raise LikenessError("this file is an export already", "Export the adapter's own folder", path)
    if format == "diffusers":
        return dict(tensors)
    if any(MAGNITUDE in key for key in tensors):
        what = f"this adapter is a DoRA, which programs that read {format}'s names draw otherwise than it was trained"
        raise LikenessError(what, "Choose diffusers, or train a plain LoRA: lora.dora=false", path)
    if family.denoiser_folder == "unet":
        return _kohya_names(tensors)
    if format == "kohya":
        what = f"kohya's names are those of Stable Diffusion and SDXL, not of {family.name}"
        raise LikenessError(what, "Choose diffusers or comfyui", path)
    if family.comfyui_modules is None:
        what = f"ComfyUI has no place for the modules of {family.name} that diffusers trains"
        raise LikenessError(what, "Choose diffusers", path)
    return {_comfyui_name(key, family): tensor for key, tensor in tensors.items()}


def _comfyui_name(key: str, family: type[Family]) -> str:
    for ours, theirs in (family.comfyui_modules or {}).items():
        key = key.replace(f"{family.denoiser_folder}.{ours}.", f"{theirs}.")
    return key


def _kohya_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    from diffusers.utils import convert_state_dict_to_kohya

    named: dict[str, Tensor] = convert_state_dict_to_kohya(dict(tensors))
    if not any(key.startswith("lora_te2_") for key in named):
        named = {key.replace("lora_te1_", "lora_te_"): tensor for key, tensor in named.items()}
    return named


def _tensors_hash(data: bytes) -> str:
    """sha256 of a safetensors file without its header, written as ModelSpec has it."""
    return f"0x{hashlib.sha256(data[8 + int.from_bytes(data[:8], 'little') :]).hexdigest()}"
