"""A frozen base in fewer bits, through diffusers' and transformers' own quantization.

bitsandbytes: 4 bits as QLoRA has them (Dettmers et al. 2023, arXiv 2305.14314) or 8 (LLM.int8, arXiv 2208.07339), on a GPU.
torchao: weights in 8-bit integers or floats, made whole again for every product; the integers also on a CPU.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import nn

from likeness.errors import LikenessError
from likeness.settings import Settings

Kind = Literal["none", "nf4", "int8", "fp8", "llm-int8"]
PACKAGES = {"nf4": "bitsandbytes", "llm-int8": "bitsandbytes", "int8": "torchao", "fp8": "torchao"}
_FP8_CAPABILITY = (8, 9)
"""Of the first NVIDIA GPUs that know 8-bit floats (Ada)."""


class Quantization(Settings):
    """What of a frozen base is kept in fewer bits."""

    kind: Kind = "none"
    """nf4 (4 bits) and llm-int8 need bitsandbytes and a GPU; int8 and fp8 need torchao, fp8 a GPU of 2022 or later."""
    text_encoders: bool = False
    """Whether the text encoders are, too. They read each prompt once, so that in training it saves no time, only memory."""


def check(settings: Quantization, device: str | torch.device) -> None:
    """Raises LikenessError where the package, or the hardware at `device`, is missing."""
    if settings.kind == "none":
        return
    package, kind = PACKAGES[settings.kind], torch.device(device).type
    if kind != "cuda" and settings.kind != "int8":
        what = f"a base in {settings.kind} needs an NVIDIA GPU, and this runs on {kind}"
        raise LikenessError(what, "Leave out quantize, or use int8, which runs on CPUs, too")
    if importlib.util.find_spec(package) is None:
        what = f"a base in {settings.kind} needs {package}, which is not installed"
        raise LikenessError(what, f"Install it (pip install {package}), or leave out quantize")
    if settings.kind == "fp8" and torch.cuda.get_device_capability(torch.device(device)) < _FP8_CAPABILITY:
        raise LikenessError("this GPU knows no 8-bit floats", "Use int8")


def pipeline_config(settings: Quantization, denoiser: str, encoders: Iterable[str], dtype: torch.dtype) -> Any:
    """What diffusers' `from_pretrained` takes as quantization_config; None where nothing is quantised.

    `denoiser`, `encoders`: the folders of these parts in the base; `dtype`: what products are computed in.
    """
    from diffusers import PipelineQuantizationConfig

    if settings.kind == "none":
        return None
    mapping = {denoiser: _config("diffusers", settings.kind, dtype)}
    if settings.text_encoders:
        mapping |= {name: _config("transformers", settings.kind, dtype) for name in encoders}
    return PipelineQuantizationConfig(quant_mapping=mapping)


def precision(module: nn.Module) -> str:
    """What its weights are kept in; empty for plain float32."""
    kept = {f"{type(parameter).__name__} {parameter.dtype}" for parameter in module.parameters()}
    return "" if kept <= {"Parameter torch.float32"} else ", ".join(sorted(kept))


def is_plain(parameter: nn.Parameter) -> bool:
    """Whether it holds numbers that may be cast; quantised ones are of a class of their own, or whole numbers."""
    return type(parameter) is nn.Parameter and parameter.is_floating_point()


def stays(module: nn.Module) -> bool:
    """Whether bitsandbytes has put the module onto its GPU, for good."""
    return bool(getattr(module, "is_loaded_in_4bit", False) or getattr(module, "is_loaded_in_8bit", False))


def _config(library: Literal["diffusers", "transformers"], kind: Kind, dtype: torch.dtype) -> Any:
    module = importlib.import_module(library)
    if kind == "nf4":
        # The scales in fewer bits as well, as in the paper: 0.4 bits a weight less.
        own = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": dtype}
        return module.BitsAndBytesConfig(load_in_4bit=True, **own)
    if kind == "llm-int8":
        return module.BitsAndBytesConfig(load_in_8bit=True)
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig

    return module.TorchAoConfig(Int8WeightOnlyConfig() if kind == "int8" else Float8WeightOnlyConfig())
