"""An adapter on disk: what it says of itself, and putting it into a stock diffusers pipeline.

A tool that quietly ignores half of a LoRA file renders a stranger without a word. So every tensor of the file must
find its module with the right shape before anything is loaded, and is counted afterwards.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from likeness import files, resources
from likeness.errors import LikenessError
from likeness.families import family_of
from likeness.lora_formats import damaged_error, ignored_error, read_lora, read_tensors
from likeness.lora_kinds import some
from likeness.pivotal import embeddings_of, load_embeddings
from likeness.quiet import quiet
from likeness.selection import Selection
from likeness.settings import Settings

LORA_FILE = "pytorch_lora_weights.safetensors"
INFO_FILE = "adapter.json"
HEADER_KEY = "likeness"
BESIDE_ONLY = frozenset({"trained", "held_out", "selection"})
"""What only the record beside the weights says: it concerns nobody that they are given to."""
ADAPTER_NAME, VARIANT_NAME = "likeness", "variant"

_log = logging.getLogger(__name__)


class AdapterInfo(Settings):
    """What an adapter was made from and how. Holds no name, and of the photographs their digest and whether glasses are worn.

    The weights file's header says the same, but for BESIDE_ONLY.
    """

    family: str
    base: str
    base_sha256: str
    method: Literal["lora", "dreambooth"]
    trigger: str
    class_word: str
    rank: int | None = None
    alpha: float | None = None
    steps: int
    data_digest: str
    glasses: bool = False
    """Whether the person wears glasses on most of the portraits. Their captions say so, and so must a prompt."""
    resolution: int
    versions: dict[str, str] = {}
    licence: str = ""
    """Of the base."""
    revision: str = ""
    """The base's commit hash on the Hub; empty where it came from a folder."""
    created: str = ""
    """ISO 8601. Not in the weights file's header, so that equal weights are equal files."""
    tokens: list[str] = []
    """New words that were trained (pivotal tuning), the trigger in a row. Their embeddings lie beside the weights."""
    trained: list[str] = []
    """SHA-256 of the photographs that were trained on: what pictures are chosen by. Empty where it is not on record."""
    held_out: list[str] = []
    """SHA-256 of the photographs that were kept from training, so that likeness can be reported by them."""
    trained_by: str | None = None
    """The id of the recogniser whose say trained it (identity loss), which must not report; None: none had any."""
    selection: Selection | None = None
    """Which checkpoint this is; None: the last, for nothing else was asked."""

    @property
    def reporting(self) -> list[str]:
        """SHA-256 of the held-out photographs that took no part in choosing either: what likeness is reported by."""
        chose = set(self.selection.photos) if self.selection else set()
        return [digest for digest in self.held_out if digest not in chose]

    @property
    def subject(self) -> str:
        """The words that stand for the person in a prompt."""
        return f"{self.trigger} {self.class_word}".strip()


def read_info(path: Path) -> AdapterInfo | None:
    """What the adapter (a folder or a LoRA file) says of itself; None when it was made elsewhere.

    The record beside a LoRA file says more than its header, and is read for the file too. Raises LikenessError when it is not there or cannot be read.
    """
    record = (path.parent if path.name == LORA_FILE else path) / INFO_FILE
    if record.is_file():
        try:
            return AdapterInfo.parse(files.read_json(record), record)
        except ValueError as error:
            raise LikenessError("is not readable JSON", "Restore it, or train again", record) from error
    weights = lora_file(path)
    try:
        with safe_open(weights, "pt") as reader:
            header = (reader.metadata() or {}).get(HEADER_KEY)
    except (OSError, SafetensorError) as error:
        raise damaged_error(weights) from error
    try:
        return None if header is None else AdapterInfo.parse(files.parse_json(header), weights)
    except ValueError as error:
        raise damaged_error(weights) from error


def lora_file(path: Path) -> Path:
    """The weights file of a LoRA adapter given as a folder or as the file. Raises LikenessError when there is none."""
    if path.is_dir():
        own = path / LORA_FILE
        found = [own] if own.is_file() else sorted(path.glob("*.safetensors"))
        if len(found) == 1:
            return found[0]
        what = "several LoRA files are in this folder" if found else "no adapter is in this folder"
        raise LikenessError(what, "Name the .safetensors file itself", path)
    if not path.is_file():
        raise LikenessError("there is no such adapter", "Give an adapter's folder or a .safetensors file", path)
    if path.suffix != ".safetensors":
        raise LikenessError("is not a safetensors file", "Convert it: other formats can run code when loaded", path)
    return path


def weights_sha256(path: Path) -> str:
    """sha256 (hex) of an adapter's weights; of its files' hashes where there are several, those of DreamBooth by name."""
    parts = sorted(path.glob("*/*.safetensors")) if path.is_dir() else []
    if not parts:
        weights = lora_file(path)
        parts = [weights, *(file for file in [embeddings_of(weights)] if file.is_file())]
    if len(parts) == 1:
        return files.sha256(parts[0])
    return hashlib.sha256("".join(files.sha256(part) for part in parts).encode()).hexdigest()


def load_into(
    pipeline: Any, path: Path, base: str, weight: float = 1.0, base_sha256: str | None = None, revision: str = ""
) -> AdapterInfo | None:
    """Put an adapter into a stock pipeline at `weight` (1: as trained) and return what it says of itself.

    `base` is the pipeline's base, by name, folder or Hub id; `base_sha256` its hash and `revision` its commit on the Hub, where they are
    known already. Raises LikenessError when the adapter is of another family, when its shapes are not the base's, or when a part of it
    would be ignored. Another base of the same shapes is allowed, for people do render on relatives of the base they trained on; it is logged.
    """
    info = read_info(path)
    family = family_of(type(pipeline).__name__)
    if info is not None:
        if info.family != family.name:
            what = f"this adapter is of the family {info.family}, and the base {base} is of {family.name}"
            raise LikenessError(what, f"Render it on its own base: --base {info.base}", path)
        # Of one commit a machine that only draws may have fetched the weights in half precision, which are another file.
        same = bool(revision) and revision == info.revision
        if not same and info.base_sha256 != (base_sha256 or family.hash(base)):
            told = "the adapter %s was trained on other weights than %s has: likeness may suffer"
            _log.warning(told, path.name, resources.without_path(base))
    if info is not None and info.method == "dreambooth":
        _load_dreambooth(pipeline, path, weight)
    else:
        _load_lora(pipeline, lora_file(path), weight)
        if info is not None and info.tokens:
            load_embeddings(pipeline, family, info.tokens, embeddings_of(lora_file(path)))
    return info


def stack_beneath(pipeline: Any, path: Path, weight: float, adapter_weight: float) -> None:
    """Puts another LoRA file into a stock pipeline, below the adapter that is in it, if there is one, at its weight.

    Raises LikenessError as `load_into` does for a LoRA.
    """
    loaded = {name for names in pipeline.get_list_adapters().values() for name in names}
    _load_lora(pipeline, path, weight, VARIANT_NAME)
    if ADAPTER_NAME in loaded:
        pipeline.set_adapters([VARIANT_NAME, ADAPTER_NAME], [weight, adapter_weight])


def _load_lora(pipeline: Any, path: Path, weight: float, adapter_name: str = ADAPTER_NAME) -> None:
    parts = read_lora(pipeline, path)
    for folder, tensors in parts.items():
        _check_fit(getattr(pipeline, folder), folder, tensors, path)
    flat = {f"{folder}.{key}": tensor for folder, tensors in parts.items() for key, tensor in tensors.items()}
    with quiet():
        # In this order: peft misnames the magnitudes that come before their module's other tensors.
        pipeline.load_lora_weights(dict(sorted(flat.items())), adapter_name=adapter_name)
    missing = _not_applied(pipeline, flat, adapter_name)
    if missing:
        what = f"{len(missing)} of {len(flat)} tensors of this adapter were not applied: {some(missing)}"
        raise LikenessError(what, "It needs another release of diffusers or transformers", path)
    pipeline.set_adapters([adapter_name], [weight])


def _not_applied(pipeline: Any, flat: Mapping[str, Tensor], adapter_name: str) -> list[str]:
    """The keys whose values are not in the pipeline, whatever the loader said."""
    folders = {key.partition(".")[0] for key in flat}
    inside = {
        f"{folder}.{name}".replace(f".{adapter_name}", "").removesuffix(".weight"): parameter
        for folder in folders
        for name, parameter in getattr(pipeline, folder).named_parameters()
        if f".{adapter_name}" in name
    }

    def applied(key: str, tensor: Tensor) -> bool:
        own = inside.get(key.removesuffix(".weight"))
        return own is not None and not own.is_meta and torch.equal(own, tensor.to(own))

    return [key for key, tensor in flat.items() if not applied(key, tensor)]


def _check_fit(module: nn.Module, folder: str, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Every tensor has its module, and A reads and B writes what that module does."""
    modules = dict(module.named_modules())
    strays = []
    for key, tensor in tensors.items():
        name, found, kind = key.partition(".lora_")
        # Below a LoRA that is there already lies the base's own.
        own = modules.get(f"{name}.base_layer", modules.get(name))
        weight = getattr(own, "weight", None)
        if not found or not isinstance(weight, Tensor):
            strays.append(f"{folder}.{key}")
            continue
        # A quantised weight may be packed: its layer knows better.
        shape = (own.out_features, own.in_features) if isinstance(own, nn.Linear) else tuple(weight.shape)
        fits = {
            "A": tuple(tensor.shape[1:]) == shape[1:],
            "B": tensor.shape[0] == shape[0],
            "m": tensor.numel() == shape[0],
        }
        if not fits.get(kind[0], True):
            raise LikenessError(
                f"this adapter does not fit the base: {folder}.{key} is {tuple(tensor.shape)} and the base's weight "
                f"is {shape}",
                "Render it on the base it was trained on: --base",
                path,
            )
    if strays:
        raise ignored_error(strays, path)
    _check_pairs(folder, tensors, path)


def _check_pairs(folder: str, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Every module has both matrices, of one rank, and numbers in them."""
    ranks: dict[str, dict[str, int]] = {}
    for key, tensor in tensors.items():
        name, _, kind = key.partition(".lora_")
        if not tensor.isfinite().all():
            what = f"this adapter is damaged: {folder}.{key} holds values that are no numbers"
            raise LikenessError(what, "Copy or train it anew", path)
        if kind[0] in "AB":
            ranks.setdefault(name, {})[kind[0]] = tensor.shape[kind[0] == "B"]
    for name, own in ranks.items():
        if own.keys() != {"A", "B"} or own["A"] != own["B"]:
            what = f"this adapter is damaged: the matrices of {folder}.{name} do not multiply (ranks {own})"
            raise LikenessError(what, "Copy or train it anew", path)


def _load_dreambooth(pipeline: Any, folder: Path, weight: float) -> None:
    """Replace whole parts of the pipeline, or move them from the base's weights towards the trained by `weight`."""
    parts = [part for part in sorted(folder.iterdir()) if part.is_dir() and not part.name.startswith(".")]
    if not parts:
        raise LikenessError("no trained weights are in this folder", "Train or copy the adapter anew", folder)
    for part in parts:
        module = getattr(pipeline, part.name, None)
        state: dict[str, Tensor] = {}
        for file in sorted(part.glob("*.safetensors")):
            state |= read_tensors(file)[0]
        base = module.state_dict() if isinstance(module, nn.Module) else {}
        differing = [key for key in state.keys() | base.keys() if key not in state or key not in base]
        differing += [key for key in state.keys() & base.keys() if state[key].shape != base[key].shape]
        if differing:
            what = f"these weights do not fit the base: {len(differing)} of {len(base)} differ, {some(differing)}"
            raise LikenessError(what, "Render them on the base they were trained on", part)
        with torch.no_grad():
            for key, own in base.items():
                own.copy_(own + weight * (state[key].to(own) - own) if weight != 1 else state[key])
