"""LoRA files of any format (diffusers, peft, kohya, ComfyUI) as one: peft's names, and every scale multiplied into B.

That leaves diffusers no ranks and alphas to infer from names when it loads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from likeness import files, lora_kinds, lora_peft
from likeness.errors import LikenessError
from likeness.families import family_of
from likeness.lora_kinds import DORA_SCALE, MAGNITUDE, some
from likeness.quiet import quiet

LORA_SETTINGS_KEY = "lora_adapter_metadata"
"""The header key under which diffusers keeps what `peft.LoraConfig` needs."""
_UPS = ("lora_up", "lora_B", "lora.up")
"""What B is called beside an `alpha`."""
_DOWNS = ("lora_down", "lora_A", "lora.down")
_KINDS = (
    dict.fromkeys(_DOWNS, "lora_A") | dict.fromkeys(_UPS, "lora_B") | dict.fromkeys((DORA_SCALE, MAGNITUDE), MAGNITUDE)
)
"""diffusers' names for what any program calls the tensors of a module."""
_FLAT = ("lora_unet_", "lora_transformer_")
"""What stands before a module's name where that is written with underscores alone."""


def read_lora(pipeline: Any, path: Path) -> dict[str, dict[str, Tensor]]:
    """{"unet": {"mid_block….lora_A.weight": tensor, …}, …}: a LoRA file of any format in peft's names.

    With alpha = rank, hence scale 1. Raises LikenessError when a tensor belongs to no part of the pipeline, and when a
    file of peft's own comes without its configuration or is no LoRA.
    """
    raw, metadata = read_tensors(path)
    lora_kinds.check_axis(raw, path)
    raw = _of_peft(pipeline, raw, path)
    lora_kinds.check_kind(raw, path)
    try:
        with quiet():
            known, others = _own_names(pipeline, _fold_alphas(raw))
            magnitudes, unread = _one_by_one(pipeline, others)
            plain = {key: tensor for key, tensor in others.items() if DORA_SCALE not in key}
            flat = known | (_diffusers_names(pipeline, plain) if plain else {})
        parts: dict[str, dict[str, Tensor]] = {}
        for folder in pipeline._lora_loadable_modules:
            own = {k.removeprefix(f"{folder}."): v for k, v in flat.items() if k.startswith(f"{folder}.")}
            if own:
                own = _peft_names(folder, getattr(pipeline, folder), own)
                parts[folder] = _fold_metadata(own, _of_part(metadata, folder))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, re.error) as error:
        # Whatever a header or a converter stumbles over: the file is somebody else's.
        what = f"this is not a LoRA that diffusers understands: {str(error)[:200]}"
        raise LikenessError(what, "Convert it to diffusers' format", path) from error
    for folder, tensors in magnitudes.items():
        parts[folder] |= tensors
    unread += [key for key in flat if key.partition(".")[0] not in parts]
    if unread or not parts:
        raise ignored_error(unread, path)
    return parts


def file_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The safetensors file. Equal tensors and equal metadata give equal bytes, for the header's keys are sorted here.

    The library writes the metadata in random order.
    """
    data = to_safetensors({key: tensor.contiguous() for key, tensor in tensors.items()}, {**metadata} or None)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    own = {"__metadata__": dict(sorted(header.pop("__metadata__").items()))} if metadata else {}
    text = json.dumps(own | header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def _of_peft(pipeline: Any, raw: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """What `PeftModel.save_pretrained` wrote, with its strength multiplied into B and in diffusers' names.

    Other files stay as they are, also those that only begin their names as peft does: of a model in its publisher's
    layout, saved without a configuration, diffusers knows the names and takes alpha to be the rank.
    """
    if not any(key.startswith(lora_peft.PREFIX) for key in raw):
        return raw
    named = {key.removeprefix(lora_peft.PREFIX): tensor for key, tensor in raw.items()}
    folder = family_of(type(pipeline).__name__).denoiser_folder
    modules = {name for name, _ in getattr(pipeline, folder).named_modules() if name}
    known = any(name.rsplit(".", parts)[0] in modules for name in named for parts in (1, 2))
    if not known and not lora_peft.has_config(path):
        return raw
    prefix = f"{folder}." if known else lora_peft.PREFIX
    return {f"{prefix}{key}": t for key, t in _fold_metadata(named, lora_peft.settings(path)).items()}


def _own_names(pipeline: Any, raw: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What a file says of a transformer's modules by their own names, in diffusers' names; and the other tensors.

    Before a module's name may stand `transformer.`, ComfyUI's `diffusion_model.` or nothing (as in the Lightning LoRAs of
    Qwen-Image); kohya and OneTrainer write it with underscores. The matrices may have kohya's names. Of all that, diffusers
    converts some for some families; where it does not, it finds nothing in the file.
    """
    family = family_of(type(pipeline).__name__)
    folder = family.denoiser_folder
    if folder == "unet":
        return {}, dict(raw)
    modules = [name for name, _ in getattr(pipeline, folder).named_modules() if name]
    spelt = {f"{before}{name}": name for name in modules for before in (f"{folder}.", "diffusion_model.", "")}
    spelt |= {f"{before}{name.replace('.', '_')}": name for name in modules for before in _FLAT}
    spelt |= {
        theirs: ours for ours, theirs in [*(family.comfyui_modules or {}).items(), *family.comfyui_swapped.items()]
    }
    known, others = {}, {}
    for key, tensor in raw.items():
        module, kind, rest = next((found for kind in _KINDS if (found := key.partition(f".{kind}"))[1]), (key, "", ""))
        if module in spelt:
            if module in family.comfyui_swapped.values() and _KINDS[kind[1:]] != "lora_A":
                tensor = torch.cat(tensor.chunk(2)[::-1])
            known[f"{folder}.{spelt[module]}.{_KINDS[kind[1:]]}{rest.replace('.default.', '.')}"] = tensor
        else:
            others[key] = tensor
    return known, others


def _one_by_one(pipeline: Any, raw: Mapping[str, Tensor]) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """Convert each module alone, for what diffusers' converter leaves out with at most a remark.

    Gives kohya's DoRA magnitudes by part in peft's names, and the tensors that would get lost.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    for key, tensor in raw.items():
        modules.setdefault(key.partition(".lora")[0].removesuffix(f".{DORA_SCALE}"), {})[key] = tensor
    magnitudes: dict[str, dict[str, Tensor]] = {}
    lost: list[str] = []
    for module, own in modules.items():
        scale = own.get(f"{module}.{DORA_SCALE}")
        try:
            kept = _diffusers_names(pipeline, {key: tensor for key, tensor in own.items() if tensor is not scale})
        except KeyError:  # Lumina's takes whole blocks, and itself leaves nothing out
            kept = {} if scale is not None else own
        if scale is None or not kept:
            lost += [] if kept else own
            continue
        folder = next(iter(kept)).partition(".")[0]
        part: nn.Module = getattr(pipeline, folder)
        named = _peft_names(folder, part, {key.removeprefix(f"{folder}."): t for key, t in kept.items()})
        places = [key.partition(".lora_A")[0] for key in named if ".lora_A" in key]
        if len(places) == 1:
            name = f"{places[0]}.{MAGNITUDE}{_full(folder)}"
            magnitudes.setdefault(folder, {})[name] = _magnitude(part, name, scale)
        else:  # one matrix there is several here
            lost += own
    return magnitudes, lost


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
        return tensors, files.parse_json(header.get(LORA_SETTINGS_KEY, "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise damaged_error(path) from error


def _fold_alphas(raw: dict[str, Tensor]) -> dict[str, Tensor]:
    """`name.alpha` tensors multiplied into the B of the name, whatever it is called, as alpha / rank, and left out.

    An alpha that belongs to nothing stays, to be refused with what else finds no module.
    """
    folded = dict(raw)
    for key in raw:
        if not key.endswith(".alpha"):
            continue
        found = [up for up in (f"{key.removesuffix('.alpha')}.{name}.weight" for name in _UPS) if up in raw]
        if found:
            alpha = folded.pop(key)
            folded |= {up: raw[up] * (alpha / raw[up].shape[1]) for up in found}
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
    return {key: _magnitude(module, key, tensor) for key, tensor in tensors.items()}


def _full(place: str) -> str:
    """What ends a magnitude's name: transformers finds it only under its full one."""
    return ".weight" if place.startswith("text_encoder") else ""


def _magnitude(module: nn.Module, key: str, tensor: Tensor) -> Tensor:
    """kohya's column of DoRA magnitudes as peft has them: (out,), or (1, out, 1, 1) for a convolution."""
    name, is_magnitude, _ = key.partition(f".{MAGNITUDE}")
    weight = getattr(dict(module.named_modules()).get(name), "weight", None) if is_magnitude else None
    if weight is None or tensor.numel() != weight.shape[0]:
        return tensor
    return tensor.reshape(-1) if weight.ndim == 2 else tensor.reshape(1, -1, *[1] * (weight.ndim - 2))


def ignored_error(keys: list[str], path: Path) -> LikenessError:
    """What to raise when a base has no place for these tensors."""
    return LikenessError(
        f"this base would ignore {len(keys)} tensors of the adapter: {some(keys)}" if keys else "this LoRA is empty",
        "It belongs to another family, or is of a kind that is not supported",
        path,
    )


def damaged_error(path: Path) -> LikenessError:
    """What to raise when a file cannot be read as safetensors."""
    return LikenessError("is damaged or not a safetensors file", "Copy or train the adapter anew", path)
