"""A folder that peft's own `save_pretrained` wrote draws what peft's model drew; what cannot be so is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from inference.renderer import Renderer, RenderJob, Sampling
from likeness import adapter, randomness
from likeness.errors import LikenessError
from likeness.families import Family, load_family
from tests.families.common import NAMES, NEGATIVE, PROMPT, SEED, SIDE, STEPS, drawn
from tests.likeness.test_adapter_file import refused

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
Picture = npt.NDArray[np.float32]


def saved(family: Family, folder: Path, make: Any = peft.LoraConfig, **settings: Any) -> Path:
    """What anybody would do with peft alone: its layers around the denoiser, moved as training would, and saved."""
    settings = {"target_modules": family.lora_targets("all"), **settings}
    denoiser: nn.Module = family.denoiser
    model = peft.get_peft_model(denoiser, make(**settings)).eval()  # type: ignore[arg-type]
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data += 0.15 * randomness.normal(parameter.shape, 3, "peft", key)
    model.save_pretrained(str(folder))
    return folder


def imported(base: Path, path: Path, name: str) -> Picture:
    pipe = load_family(str(base)).pipeline()
    assert adapter.load_into(pipe, path, str(base)) is None
    return drawn(pipe, name)


def agrees(name: str, base: Path, folder: Path, **settings: Any) -> None:
    """The picture from the folder is the one of peft's model, and another without its settings."""
    family = load_family(str(base))
    without = drawn(family.pipeline(), name)
    saved(family, folder, **settings)
    theirs = drawn(family.pipeline(), name)
    np.testing.assert_allclose(imported(base, folder, name), theirs, rtol=0, atol=2e-4)
    assert np.abs(theirs - without).max() > 0.02
    plain = json.loads((folder / CONFIG).read_text()) | {"lora_alpha": 2, "use_rslora": False, "alpha_pattern": {}}
    (folder / CONFIG).write_text(json.dumps(plain))
    assert np.abs(imported(base, folder, name) - theirs).max() > 0.01, "the settings would not be missed"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dora", [False, True])
def test_it_draws_what_pefts_own_model_draws(
    name: str, dora: bool, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    agrees(name, bases(name), tmp_path / "peft", r=2, lora_alpha=8, use_dora=dora)


@pytest.mark.parametrize("name", ["sd15", "flux2-klein"])
@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True, "lora_alpha": 5},
        {"alpha_pattern": {"to_q": 1, r".*\.to_k": 12}, "lora_alpha": 6},
        {"rank_pattern": {"to_v": 3, "to_q": 1}, "lora_alpha": 8, "use_rslora": True, "alpha_pattern": {"to_v": 4}},
        {"init_lora_weights": "gaussian", "lora_dropout": 0.5, "lora_alpha": 8},
    ],
)
def test_every_setting_of_its_strength_counts(
    name: str, settings: dict[str, Any], bases: Callable[[str], Path], tmp_path: Path
) -> None:
    agrees(name, bases(name), tmp_path / "peft", r=2, **settings)


def test_the_renderer_takes_the_folder_and_the_file(bases: Callable[[str], Path], tmp_path: Path) -> None:
    base, family = bases("z-image"), load_family(str(bases("z-image")))
    folder = saved(family, tmp_path / "peft", r=2, lora_alpha=8)
    pictures = []
    for path in (folder, folder / WEIGHTS):
        sampling = Sampling(steps=STEPS, guidance_scale=3.0, width=SIDE, height=SIDE)
        (image,) = Renderer(str(base), path, "cpu").render([RenderJob(PROMPT, NEGATIVE, SEED)], sampling)
        pictures.append(np.asarray(image, np.float32) / 255)
    theirs = drawn(family.pipeline(), "z-image")
    assert max(np.abs(picture - theirs).max() for picture in pictures) <= 1.5 / 255


def test_names_of_the_publishers_layout_get_the_strength_too(bases: Callable[[str], Path], tmp_path: Path) -> None:
    """diffusers converts them; without a configuration they are at full strength, as it takes them."""
    pipe = load_family(str(bases("flux2-klein"))).pipeline()
    weight = pipe.transformer.transformer_blocks[0].attn.to_out[0].weight
    a, b = randomness.normal((2, weight.shape[1]), 1, "a"), randomness.normal((weight.shape[0], 2), 1, "b")
    name = "base_model.model.double_blocks.0.img_attn.proj"
    save_file({f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b}, tmp_path / WEIGHTS)
    for strength in (1, 4):
        pipe = load_family(str(bases("flux2-klein"))).pipeline()
        adapter.load_into(pipe, tmp_path, str(bases("flux2-klein")))
        change = pipe.transformer.transformer_blocks[0].attn.to_out[0].get_delta_weight("likeness")
        torch.testing.assert_close(change, strength * b @ a)
        (tmp_path / CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 8}))


@pytest.mark.parametrize("name", NAMES)
def test_without_its_configuration_it_is_refused(name: str, bases: Callable[[str], Path], tmp_path: Path) -> None:
    folder = saved(load_family(str(bases(name))), tmp_path / "peft", r=2, lora_alpha=8)
    (folder / CONFIG).unlink()
    pipe = load_family(str(bases(name))).pipeline()
    with pytest.raises(LikenessError, match=r"adapter_config\.json, which is not beside it.*Copy it from the folder"):
        adapter.load_into(pipe, folder, str(bases(name)))


KINDS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "LoKr": (peft.LoKrConfig, {"r": 2}, "of the kind LOKR"),
    "LoHa": (peft.LoHaConfig, {"r": 2}, "of the kind LOHA"),
    "IA3": (peft.IA3Config, {"feedforward_modules": []}, "of the kind IA3"),
    "bias": (peft.LoraConfig, {"r": 2, "bias": "lora_only"}, "applied in part: it sets bias"),
    "bias of B": (peft.LoraConfig, {"r": 2, "lora_bias": True}, "applied in part: it sets lora_bias"),
    "whole modules": (peft.LoraConfig, {"r": 2, "modules_to_save": ["proj_out"]}, "it sets modules_to_save"),
    "PiSSA": (peft.LoraConfig, {"r": 2, "init_lora_weights": "pissa"}, "init_lora_weights=pissa.*as a plain LoRA"),
}


@pytest.mark.parametrize("name", ["sd15", "flux2-klein"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_more_than_a_lora_is_refused_by_name(
    name: str, kind: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    make, settings, match = KINDS[kind]
    family = load_family(str(bases(name)))
    folder = saved(family, tmp_path / "peft", make, **{"target_modules": ["to_q", "to_k"], **settings})
    pipe = load_family(str(bases(name))).pipeline()
    with pytest.raises(LikenessError, match=match):
        adapter.load_into(pipe, folder, str(bases(name)))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"peft_type": "LORA", "lora_alpha": "much"}', '{"peft_type": "LORA", "lora_alpha": NaN}']
)
def test_a_damaged_configuration_is_no_traceback(text: str, bases: Callable[[str], Path], tmp_path: Path) -> None:
    folder = saved(load_family(str(bases("sd15"))), tmp_path / "peft", r=2)
    (folder / CONFIG).write_text(text)
    pipe = load_family(str(bases("sd15"))).pipeline()
    refused(pipe, folder, bases("sd15"), "adapter_config.json: is not a configuration of peft's")


def test_of_another_family_it_is_refused_by_its_keys(bases: Callable[[str], Path], tmp_path: Path) -> None:
    folder = saved(load_family(str(bases("sd15"))), tmp_path / "peft", r=2)
    for other in ("sd35", "z-image", "qwen-image"):
        with pytest.raises(LikenessError, match=r"\.lora_"):
            adapter.load_into(load_family(str(bases(other))).pipeline(), folder, str(bases(other)))
    assert all(key.startswith("base_model.model.") for key in load_file(folder / WEIGHTS))
