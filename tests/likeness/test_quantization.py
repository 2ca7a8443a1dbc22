"""A base in fewer bits: what would be asked of diffusers, and what is said where that is impossible.

Neither bitsandbytes nor torchao is among the test's packages and there is no GPU: no quantised weight is made here.
"""

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import BitsAndBytesConfig
from torch import nn
from transformers import BitsAndBytesConfig as TextBitsAndBytesConfig

from inference.renderer import Renderer
from likeness.errors import LikenessError
from likeness.families.quantization import PACKAGES, Quantization, check, is_plain, pipeline_config, precision, stays
from training.config import TrainConfig


def found(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    true = importlib.util.find_spec
    packages = PACKAGES.values()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: answer if name in packages else true(name, *a))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, object())


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, None)


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize(
    ("kind", "device", "package"),
    [
        ("nf4", "cuda", "bitsandbytes"),
        ("llm-int8", "cuda", "bitsandbytes"),
        ("fp8", "cuda", "torchao"),
        ("int8", "cpu", "torchao"),
    ],
)
def test_a_missing_package_is_named_with_the_way_to_get_it(kind: str, device: str, package: str) -> None:
    with pytest.raises(LikenessError, match=rf"{kind} needs {package}, .*pip install {package}"):
        check(Quantization.parse({"kind": kind}), device)


@pytest.mark.usefixtures("installed")
def test_what_needs_a_gpu_is_refused_without_one() -> None:
    for kind in ("nf4", "llm-int8", "fp8"):
        with pytest.raises(LikenessError, match=f"{kind} needs an NVIDIA GPU, and this runs on cpu"):
            check(Quantization.parse({"kind": kind}), "cpu")
    check(Quantization(kind="int8"), "cpu")
    check(Quantization(), "cpu")


@pytest.mark.usefixtures("installed")
def test_an_older_gpu_knows_no_8_bit_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    check(Quantization(kind="int8"), "cuda:0")
    with pytest.raises(LikenessError, match="no 8-bit floats. Use int8"):
        check(Quantization(kind="fp8"), "cuda:0")


def test_each_quantised_part_has_the_configuration_of_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    true = importlib.metadata.version  # which the configurations ask for
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.48.0" if name == "bitsandbytes" else true(name))
    assert pipeline_config(Quantization(), "unet", ["text_encoder"], torch.bfloat16) is None
    alone = pipeline_config(Quantization(kind="nf4"), "transformer", ["text_encoder"], torch.bfloat16)
    assert list(alone.quant_mapping) == ["transformer"]
    both = Quantization(kind="nf4", text_encoders=True)
    mapping = pipeline_config(both, "transformer", ["text_encoder", "text_encoder_2"], torch.bfloat16).quant_mapping
    assert isinstance(mapping["transformer"], BitsAndBytesConfig)
    for part in ("text_encoder", "text_encoder_2"):
        assert isinstance(mapping[part], TextBitsAndBytesConfig)
    for own in mapping.values():
        assert own.load_in_4bit and own.bnb_4bit_quant_type == "nf4" and own.bnb_4bit_use_double_quant
        assert own.bnb_4bit_compute_dtype == torch.bfloat16
    eight = pipeline_config(Quantization(kind="llm-int8"), "unet", [], torch.float16).quant_mapping["unet"]
    assert eight.load_in_8bit and not eight.load_in_4bit


def test_integers_are_not_cast_and_bitsandbytes_parts_are_not_moved() -> None:
    layer = nn.Linear(2, 2)
    assert is_plain(nn.Parameter(torch.zeros(2))) and precision(layer) == "" and not stays(layer)
    assert not is_plain(nn.Parameter(torch.zeros(2, dtype=torch.uint8), requires_grad=False))
    assert precision(layer.bfloat16()) == "Parameter torch.bfloat16"
    layer.is_loaded_in_4bit = True  # type: ignore[assignment]
    assert stays(layer)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "dreambooth", "quantize": {"kind": "nf4"}},
        {"quantize": {"kind": "nf4", "text_encoders": True}, "lora": {"text_encoder": True}},
        {"quantize": {"kind": "nf4", "text_encoders": True}, "pivotal": {"tokens": 1}},
    ],
)
def test_what_learns_is_not_quantised(changes: dict[str, Any]) -> None:
    with pytest.raises(LikenessError, match="quantize"):
        TrainConfig.parse({"person": "people/ana", **changes})


@pytest.mark.usefixtures("missing")
def test_drawing_says_it_before_a_base_is_loaded() -> None:
    with pytest.raises(LikenessError, match="int8 needs torchao"):
        Renderer("somebody/base-on-the-hub", Path("nowhere"), "cpu", quantize=Quantization(kind="int8"))


@pytest.mark.usefixtures("installed")
def test_fewer_bits_and_offloading_exclude_each_other() -> None:
    with pytest.raises(LikenessError, match="cannot be offloaded"):
        Renderer("pocket", None, "cpu", quantize=Quantization(kind="int8"), offload=True)
