"""An adapter goes out under other programs' names and comes back the same; what they would not find is an error here."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from likeness import adapter, randomness
from likeness.adapter import LoraSettings
from likeness.errors import LikenessError
from likeness.families import load_family
from likeness.lora_export import export
from tests.families.common import FLOWS, LORA, NAMES, READERS, drawn
from tests.likeness.test_adapter import info
from tests.likeness.test_cli import run

KNOWN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "lora_key_names.json").read_text())
UNETS = [name for name in NAMES if name not in FLOWS]
FORMATS = [(name, format) for name in NAMES for format in ("diffusers", "kohya", "comfyui")]
FORMATS = [(name, format) for name, format in FORMATS if name in UNETS or format != "kohya"]
FORMATS = [one for one in FORMATS if one not in (("lumina2", "comfyui"), ("cogview4", "comfyui"))]


@pytest.fixture(scope="module")
def made(bases: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """An adapter's folder, with every module that can be trained moved, as training would."""
    folder = tmp_path_factory.mktemp("exports")

    def adapter_of(name: str, **settings: Any) -> Path:
        path = folder / f"{name}{'-dora' * bool(settings.get('dora'))}"
        if not path.exists():
            family = load_family(str(bases(name)))
            text = name in READERS
            adapter.inject(family, LoraSettings(rank=2, alpha=3, targets="all", text_encoder=text, **settings), seed=1)
            for key, tensor in adapter.adapter_state(family).items():
                tensor += 0.2 * randomness.normal(tensor.shape, 5, "training", key)
            adapter.save(family, path, info(family))
        return path

    return adapter_of


@pytest.mark.parametrize(
    ("name", "format", "dora"), [(*one, False) for one in FORMATS] + [(name, "diffusers", True) for name in NAMES]
)
def test_an_export_draws_what_the_adapter_draws(
    name: str, format: str, dora: bool, made: Callable[..., Path], bases: Callable[[str], Path], tmp_path: Path
) -> None:
    out = export(made(name, dora=dora), format, tmp_path / f"{format}.safetensors")
    pictures = []
    for path in (made(name, dora=dora), out):
        pipe = load_family(str(bases(name))).pipeline()
        loaded = adapter.load_into(pipe, path, str(bases(name)))
        assert loaded is not None and loaded.subject == "sks person"
        pictures.append(drawn(pipe, name))
    np.testing.assert_allclose(pictures[1], pictures[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if name in KNOWN["modules"]])
def test_exported_names_are_those_that_comfyui_and_kohya_look_up(
    name: str, made: Callable[..., Path], tmp_path: Path
) -> None:
    kinds = KNOWN["suffixes"]["unet" if name in UNETS else "transformer"]
    modules = set(KNOWN["modules"][name])
    for format in ("kohya", "comfyui") if name in UNETS else ("comfyui",):
        for key in load_file(export(made(name), format, tmp_path / f"{format}.safetensors")):
            (kind,) = (kind for kind in kinds if key.endswith(f".{kind}"))
            assert re.sub(r"\d+", "#", key.removesuffix(f".{kind}")) in modules, key


def test_numbers_of_an_export_are_those_of_the_adapter(made: Callable[..., Path], tmp_path: Path) -> None:
    ours = load_file(made("sdxl") / LORA)
    theirs = load_file(export(made("sdxl"), "kohya", tmp_path / "kohya.safetensors"))
    key, flat = "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k", "attn2_to_k"
    flat = f"lora_unet_down_blocks_1_attentions_0_transformer_blocks_1_{flat}"
    assert torch.equal(theirs[f"{flat}.lora_down.weight"], ours[f"unet.{key}.lora_A.weight"])
    assert torch.equal(theirs[f"{flat}.lora_up.weight"], ours[f"unet.{key}.lora_B.weight"])
    assert theirs[f"{flat}.alpha"].item() == 2, "the rank: the scale is in the matrices"


@pytest.mark.parametrize("format", ["diffusers", "comfyui"])
def test_the_header_says_what_the_file_is(format: str, made: Callable[..., Path], tmp_path: Path) -> None:
    out = export(made("z-image"), format, tmp_path / "out.safetensors")
    with safe_open(out, "pt") as reader:
        header = reader.metadata()
    assert header["modelspec.sai_model_spec"] == "1.0.1"
    assert header["modelspec.architecture"] == "z-image/lora"
    assert header["modelspec.trigger_phrase"] == "sks person"
    assert header["modelspec.license"] == "apache-2.0"
    assert header["modelspec.resolution"] == "32x32"
    assert re.fullmatch(r"0x[0-9a-f]{64}", header["modelspec.hash_sha256"])
    assert "held_out" not in header["likeness"]


@pytest.mark.parametrize(("name", "version"), [("sd15", "sd_v1"), ("sdxl", "sdxl_base_v1-0")])
def test_kohyas_header_says_which_base_it_is_for(
    name: str, version: str, made: Callable[..., Path], tmp_path: Path
) -> None:
    for format in ("kohya", "diffusers"):
        with safe_open(export(made(name), format, tmp_path / f"{format}.safetensors"), "pt") as reader:
            assert reader.metadata().get("ss_base_model_version") == (version if format == "kohya" else None)


@pytest.mark.parametrize(("name", "format"), FORMATS)
def test_a_module_that_the_base_lacks_is_named(
    name: str, format: str, made: Callable[..., Path], bases: Callable[[str], Path], tmp_path: Path
) -> None:
    state = load_file(export(made(name), format, tmp_path / "whole.safetensors"))
    key = next(key for key in state if key.endswith((".lora_A.weight", ".lora_down.weight")))
    module, _, _ = key.partition(".lora_")
    nowhere = f"{module}_nowhere" if name in UNETS and format != "diffusers" else f"{module}.nowhere"
    pair = [key for key in state if key.startswith(f"{module}.")]
    save_file(
        state | {key.replace(module, nowhere): state[key].clone() for key in pair}, tmp_path / "stray.safetensors"
    )
    with pytest.raises(LikenessError, match="nowhere"):
        pipe = load_family(str(bases(name))).pipeline()
        adapter.load_into(pipe, tmp_path / "stray.safetensors", str(bases(name)))


def test_a_name_that_diffusers_only_remarks_upon_is_an_error(bases: Callable[[str], Path], tmp_path: Path) -> None:
    """kohya's names for FLUX.2 that lead nowhere are dropped by its converter, with a line in the log."""
    pipe = load_family(str(bases("flux2-klein"))).pipeline()
    weight = pipe.transformer.transformer_blocks[0].attn.to_out[0].weight
    state = {}
    for place in ("lora_unet_double_blocks_0_img_attn_proj", "lora_unet_triple_blocks_0_img_attn_proj"):
        state[f"{place}.lora_down.weight"] = randomness.normal((2, weight.shape[1]), 1, place)
        state[f"{place}.lora_up.weight"] = randomness.normal((weight.shape[0], 2), 2, place)
    save_file(state, tmp_path / "kohya.safetensors")
    with pytest.raises(LikenessError, match="ignore 2 tensors.*lora_unet_triple_blocks_0"):
        adapter.load_into(pipe, tmp_path / "kohya.safetensors", str(bases("flux2-klein")))


def test_what_cannot_be_exported_is_said(
    made: Callable[..., Path], bases: Callable[[str], Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(LikenessError, match="kohya's names are those of Stable Diffusion and SDXL, not of krea2"):
        export(made("krea2"), "kohya", out)
    for name in ("lumina2", "cogview4"):
        with pytest.raises(LikenessError, match=f"ComfyUI has no place for the modules of {name}"):
            export(made(name), "comfyui", out)
    for name, format in (("sdxl", "kohya"), ("sdxl", "comfyui"), ("z-image", "comfyui")):
        with pytest.raises(LikenessError, match=f"a DoRA, which programs that read {format}'s names.*lora.dora=false"):
            export(made(name, dora=True), format, out)
    with pytest.raises(LikenessError, match="no format 'a1111'"):
        export(made("krea2"), "a1111", out)
    with pytest.raises(LikenessError, match="an export already"):
        export(export(made("sdxl"), "kohya", tmp_path / "kohya.safetensors"), "comfyui", out)
    save_file(load_file(made("sdxl") / LORA), tmp_path / "silent.safetensors")
    with pytest.raises(LikenessError, match="not made by Likeness"):
        export(tmp_path / "silent.safetensors", "kohya", out)
    family = load_family(str(bases("sd15")))
    adapter.unfreeze(family)
    adapter.save(family, tmp_path / "whole", info(family, "dreambooth"))
    with pytest.raises(LikenessError, match="no place in a LoRA file"):
        export(tmp_path / "whole", "kohya", out)
    assert not out.exists()


def test_export_on_the_command_line(
    made: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shared" / "sks.safetensors"
    assert run(monkeypatch, "export", str(made("sdxl")), str(out), "--format", "kohya") == 0
    assert all(key.startswith(("lora_unet_", "lora_te1_", "lora_te2_")) for key in load_file(out))
    assert str(out) in capsys.readouterr().out
    assert run(monkeypatch, "export", str(made("sdxl")), str(tmp_path / "sks.bin")) == 2
