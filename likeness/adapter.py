"""What is trained of a base: putting LoRA layers in (the one place that does), their state, and writing the adapter.

LoRA (Hu et al. 2021, arXiv 2106.09685) adds to a weight W the product s B A of rank r, with s = alpha / r, or
alpha / sqrt(r) for rsLoRA (arXiv 2312.03732); DoRA (arXiv 2402.09353) rescales the sum's rows to a trained magnitude.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn

from likeness import files
from likeness.adapter_file import (
    INFO_FILE,
    LORA_FILE,
    AdapterInfo,
    load_into,
    lora_file,
    read_info,
    weights_sha256,
)
from likeness.errors import LikenessError
from likeness.families.base import Family, TargetPreset
from likeness.lora_formats import LORA_SETTINGS_KEY, file_bytes
from likeness.modelspec import header
from likeness.pivotal import EMBEDDINGS_FILE, TRAINED, PivotalSettings, add_words, save_embeddings
from likeness.randomness import rng
from likeness.settings import Settings

__all__ = [
    "AdapterInfo",
    "LoraSettings",
    "adapter_state",
    "inject",
    "load_adapter_state",
    "load_into",
    "lora_file",
    "lora_layers",
    "read_info",
    "save",
    "unfreeze",
    "weights_sha256",
]

PEFT_NAME = "default"
TOKEN_TABLE = "token_embedding"
"""Of a CLIP."""


class LoraSettings(Settings):
    """Shape of the adapter."""

    rank: int = Field(16, ge=1, le=1024)
    """Of each layer's two matrices: how much the adapter can hold."""
    alpha: float = Field(16.0, gt=0)
    """What is learnt counts alpha / rank times; alpha = rank leaves the learning rate its meaning."""
    dora: bool = False
    """Learn directions and lengths of the weights apart (arXiv 2402.09353)."""
    rslora: bool = False
    """Let what is learnt count alpha / sqrt(rank) times (arXiv 2312.03732)."""
    targets: TargetPreset = "attention-mlp"
    """Which layers: the matrices of attention, those of the blocks' MLPs too, or all that the family names (docs/adding-a-family.md)."""
    text_encoder: bool = False
    """Train the text encoders too, where the family's stock pipeline loads that (docs/families.md)."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of a layer's inputs that the adapter does not see in a step."""


def inject(
    family: Family, settings: LoraSettings, seed: int, pivotal: PivotalSettings | None = None
) -> list[nn.Parameter]:
    """Freeze the base, put LoRA layers into it and return their parameters, float32, in a fixed order.

    A is drawn as peft draws it, uniform within 1 / sqrt(fan in), but from the seed and the module's name alone; B is
    zero, so that the function is the base's until the first step. With `pivotal`, new words are trained too, and their
    rows are among the parameters. Raises LikenessError for a text encoder that takes none.
    """
    from peft import LoraConfig, TrainableTokensConfig

    for part in _trainable_modules(family).values():
        part.requires_grad_(False)
    targets = {family.denoiser_folder: family.lora_targets(settings.targets)}
    if settings.text_encoder:
        texts = family.text_lora_targets()
        if not texts:
            what = f"pipelines of {family.name} load no LoRA of a text encoder: it would be ignored"
            raise LikenessError(what, "Set lora.text_encoder to false")
        targets |= texts
    words = add_words(family, pivotal, seed) if pivotal and pivotal.tokens else {}
    for folder, names in targets.items():
        module: Any = _trainable_modules(family)[folder]
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,  # type: ignore[arg-type]
            target_modules=names,
            lora_dropout=settings.dropout,
            use_dora=settings.dora,
            use_rslora=settings.rslora,
            trainable_token_indices={TOKEN_TABLE: words[folder]} if folder in words else None,
        )
        with torch.random.fork_rng(devices=[]):  # peft draws A too, and must not move the process's generator
            module.add_adapter(config, adapter_name=PEFT_NAME)
        _draw_a(folder, module, seed)
    for folder in words.keys() - targets.keys():
        encoder: Any = family.text_encoders[folder]
        encoder.add_adapter(TrainableTokensConfig(target_modules=[TOKEN_TABLE], token_indices=words[folder]))
    for parameter in _trainable(family).values():
        # In float32 whatever the base is in: steps of 1e-4 vanish in bfloat16.
        parameter.data = parameter.data.float()
    return list(_trainable(family).values())


def unfreeze(family: Family, text_encoder: bool = False) -> list[nn.Parameter]:
    """For full fine-tuning: make all of the denoiser (and the text encoders) trainable; returns the parameters."""
    modules = _trainable_modules(family)
    for folder, module in modules.items():
        module.requires_grad_(folder == family.denoiser_folder or text_encoder)
    return list(_trainable(family).values())


def adapter_state(family: Family) -> dict[str, Tensor]:
    """The trainable tensors by name (part.path), sharing memory with the modules; what a checkpoint must hold."""
    return {name: parameter.detach() for name, parameter in _trainable(family).items()}


def load_adapter_state(family: Family, state: Mapping[str, Tensor]) -> None:
    """Copy `state` into the trainable tensors. Raises LikenessError unless names and shapes are exactly the same."""
    own = _trainable(family)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if shapes != {name: tuple(parameter.shape) for name, parameter in own.items()}:
        differing = len(shapes.items() ^ {name: tuple(p.shape) for name, p in own.items()}.items())
        what = f"the checkpoint is of another adapter ({differing} tensors differ in name or shape)"
        raise LikenessError(what, "Resume with the settings that the run began with")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state[name])


def save(family: Family, folder: Path, info: AdapterInfo, dtype: torch.dtype = torch.float32) -> None:
    """Write the adapter to `folder`, atomically, weights in `dtype`. Raises LikenessError when the disk refuses.

    LoRA: one file that plain `pipe.load_lora_weights(folder)` reads, the info in its header; another with the embeddings
    of new words, if there are any. DreamBooth: each trained
    part as a folder in diffusers layout. The info lies beside either as adapter.json, with the time of writing.
    """
    info = (
        info if info.created else info.model_copy(update={"created": datetime.now(UTC).isoformat(timespec="seconds")})
    )
    with files.new_folder(folder) as new:
        if info.method == "lora":
            files.write_bytes(new / LORA_FILE, _lora_bytes(family, info, dtype))
            if info.tokens:
                save_embeddings(family, info.tokens, new / EMBEDDINGS_FILE)
        else:
            for part, module in _trained_parts(family).items():
                _save_part(module, new / part, dtype)
        files.write_json(new / INFO_FILE, info.model_dump(mode="json"))


def _trainable_modules(family: Family) -> dict[str, nn.Module]:
    return {family.denoiser_folder: family.denoiser, **family.text_encoders}


def _trained_parts(family: Family) -> dict[str, nn.Module]:
    modules = _trainable_modules(family).items()
    return {folder: module for folder, module in modules if any(p.requires_grad for p in module.parameters())}


def _trainable(family: Family) -> dict[str, nn.Parameter]:
    return {
        f"{folder}.{name}": parameter
        for folder, module in _trainable_modules(family).items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def lora_layers(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Path and layer of every LoRA layer that `inject` put into a module."""
    from peft.tuners.lora import LoraLayer

    for name, layer in module.named_modules():
        if isinstance(layer, LoraLayer) and PEFT_NAME in layer.r:
            yield name, layer


def _draw_a(folder: str, module: nn.Module, seed: int) -> None:
    for name, layer in lora_layers(module):
        a: Tensor = layer.lora_A[PEFT_NAME].weight.data
        bound = 1 / math.sqrt(a[0].numel())
        drawn = rng(seed, "lora-init", folder, name).uniform(-bound, bound, tuple(a.shape))
        layer.lora_A[PEFT_NAME].weight.data = torch.from_numpy(drawn).to(a.device, torch.float32)


def _lora_bytes(family: Family, info: AdapterInfo, dtype: torch.dtype) -> bytes:
    """The safetensors file. Equal tensors and equal info give equal bytes."""
    tensors: dict[str, Tensor] = {}
    settings: dict[str, Any] = {}
    for folder, module in _trained_parts(family).items():
        if not any(lora_layers(module)):  # new words alone are trained in it
            continue
        tensors |= {f"{folder}.{key}": t.to("cpu", dtype).contiguous() for key, t in _peft_state(module).items()}
        settings |= {f"{folder}.{key}": value for key, value in _peft_settings(module).items()}
    # Without the time of writing: equal adapters are equal files.
    metadata = header(info.model_copy(update={"created": ""}))
    return file_bytes(tensors, metadata | {LORA_SETTINGS_KEY: json.dumps(settings, sort_keys=True)})


def _peft_state(module: nn.Module) -> dict[str, Tensor]:
    """LoRA tensors in the names of a diffusers file, the scale multiplied into B.

    So the file's alpha equals its rank, and every reader applies it right, also those that know no alpha here.
    """
    from peft import get_peft_model_state_dict

    state: dict[str, Tensor] = get_peft_model_state_dict(module, adapter_name=PEFT_NAME, save_embedding_layers=False)
    scales = {name: float(layer.scaling[PEFT_NAME]) for name, layer in lora_layers(module)}

    def scaled(key: str, tensor: Tensor) -> Tensor:
        name, is_b, _ = key.partition(".lora_B.")
        return tensor.float() * scales[name] if is_b else tensor

    rename = _text_key if type(module).__name__.startswith("CLIPTextModel") else str
    return {rename(key): scaled(key, tensor) for key, tensor in state.items() if TRAINED not in key}


def _text_key(key: str) -> str:
    """A text encoder's key as readers want it.

    LoRA files keep the `text_model` level that newer transformers flattened, which then drop it again. And transformers
    finds DoRA's magnitude only under its full name, where diffusers takes peft's short one.
    """
    key = f"{key}.weight" if key.endswith("lora_magnitude_vector") else key
    return key if key.startswith("text_model.") else f"text_model.{key}"


def _peft_settings(module: Any) -> dict[str, Any]:
    """What `peft.LoraConfig` needs to read the file; only keys that every release of it knows.

    Of the exceptions, of which there are none, because diffusers before 0.40 looks whether there are.
    """
    config = module.peft_config[PEFT_NAME]
    own = {"r": config.r, "lora_alpha": config.r, "use_dora": config.use_dora}
    return own | {"target_modules": sorted(config.target_modules), "rank_pattern": {}, "alpha_pattern": {}}


def _save_part(module: Any, folder: Path, dtype: torch.dtype) -> None:
    """One whole module in diffusers layout (its config and one weights file)."""
    folder.mkdir()
    is_diffusers = hasattr(module, "save_config")
    if is_diffusers:
        module.save_config(folder)
    else:
        module.config.save_pretrained(folder)
    state = {key: tensor.detach().to("cpu", dtype).contiguous() for key, tensor in module.state_dict().items()}
    name = "diffusion_pytorch_model.safetensors" if is_diffusers else "model.safetensors"
    save_file(state, folder / name, metadata={"format": "pt"})
