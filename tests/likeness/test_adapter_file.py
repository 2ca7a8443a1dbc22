"""Reading adapters made elsewhere, and refusing those that would not be applied wholly."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from likeness import adapter, files
from likeness.adapter import LoraSettings
from likeness.errors import LikenessError
from likeness.families import load_family
from likeness.randomness import normal
from tests.likeness.test_adapter import info, of_pipeline, train_a_little
from tests.tiny import make_tiny_base

LORA = "pytorch_lora_weights.safetensors"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def ours(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of our own, with a text encoder's part."""
    family = load_family(str(base))
    adapter.inject(family, LoraSettings(rank=2, text_encoder=True), seed=1)
    train_a_little(family)
    folder = tmp_path_factory.mktemp("ours") / "adapter"
    adapter.save(family, folder, info(family))
    return folder


@pytest.fixture
def pipe(base: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(base)


def layers(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> dict[str, nn.Module]:
    inside = {name: layer for name, layer in module.named_modules() if isinstance(layer, kinds)}
    return {name: layer for name, layer in inside.items() if "embedding" not in name}


def kohya_file(pipe: StableDiffusionPipeline, path: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """Write a LoRA in kohya's names, rank and alpha differing between modules; gives the weight changes it means."""
    state: dict[str, Tensor] = {}
    changes: dict[str, Tensor] = {}
    unet = layers(pipe.unet, (nn.Linear, nn.Conv2d))
    text = {f"text_model.{name}": layer for name, layer in layers(pipe.text_encoder, (nn.Linear,)).items()}
    for part, prefix, modules in (("unet", "lora_unet", unet), ("text_encoder", "lora_te", text)):
        for number, (name, layer) in enumerate(modules.items()):
            rank, alpha = 1 + number % 3, [1.0, 2.0, 0.5, 3.0][number % 4]
            weight: Tensor = layer.weight  # type: ignore[assignment]
            down = 0.3 * normal((rank, *weight.shape[1:]), number, "down").to(dtype)
            up = 0.3 * normal((len(weight), rank, *[1] * (weight.ndim - 2)), number, "up").to(dtype)
            key = f"{prefix}_{name.replace('.', '_')}"
            state |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(alpha)}
            product = up.float().flatten(1) @ down.float().flatten(1)
            changes[f"{part}.{name.removeprefix('text_model.')}.weight"] = alpha / rank * product.reshape(weight.shape)
    save_file(state, path)
    return changes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_kohya_file_means_what_its_trainer_meant(
    base: Path, pipe: StableDiffusionPipeline, tmp_path: Path, dtype: torch.dtype
) -> None:
    changes = kohya_file(pipe, tmp_path / "kohya.safetensors", dtype)
    merged = StableDiffusionPipeline.from_pretrained(base)
    with torch.no_grad():
        for part in ("unet", "text_encoder"):
            for name, weight in getattr(merged, part).named_parameters():
                weight += changes.get(f"{part}.{name}", 0)
    assert adapter.load_into(pipe, tmp_path / "kohya.safetensors", str(base)) is None
    torch.testing.assert_close(of_pipeline(pipe), of_pipeline(merged), rtol=1e-4, atol=2e-5)


def test_a_peft_file_with_alpha_in_its_header_means_what_its_trainer_meant(
    base: Path, pipe: StableDiffusionPipeline, ours: Path, tmp_path: Path
) -> None:
    plain = load_file(ours / LORA)
    settings = {"unet.lora_alpha": 6, "unet.r": 2, "unet.alpha_pattern": {"attn1.to_q": 1}, "unet.use_rslora": True}
    save_file(plain, tmp_path / LORA, {"lora_adapter_metadata": json.dumps(settings)})
    for key in plain:
        if key.startswith("unet.") and ".lora_B." in key:
            plain[key] = plain[key] * ((1 if ".attn1.to_q." in key else 6) / 2**0.5)
    save_file(plain, tmp_path / "by-hand.safetensors")
    by_hand = StableDiffusionPipeline.from_pretrained(base)
    adapter.load_into(by_hand, tmp_path / "by-hand.safetensors", str(base))
    adapter.load_into(pipe, tmp_path / LORA, str(base))
    torch.testing.assert_close(of_pipeline(pipe), of_pipeline(by_hand), rtol=1e-5, atol=2e-6)


def refused(pipe: StableDiffusionPipeline, path: Path, base: Path, match: str) -> None:
    before = of_pipeline(pipe)
    with pytest.raises(LikenessError, match=match) as caught:
        adapter.load_into(pipe, path, str(base))
    assert "\n" not in str(caught.value)
    assert torch.equal(of_pipeline(pipe), before)


@pytest.mark.parametrize(
    "settings", [{"unet.lora_alpha": "six"}, {"unet.alpha_pattern": {"attn1.(": 1}}, {"unet.alpha_pattern": [1]}]
)
def test_a_header_that_makes_no_sense_is_one_line(
    settings: dict[str, object], base: Path, pipe: StableDiffusionPipeline, ours: Path, tmp_path: Path
) -> None:
    save_file(load_file(ours / LORA), tmp_path / LORA, {"lora_adapter_metadata": json.dumps(settings)})
    refused(pipe, tmp_path / LORA, base, "not a LoRA that diffusers understands")


def test_an_adapter_of_another_family_is_refused(
    base: Path, pipe: StableDiffusionPipeline, ours: Path, tmp_path: Path
) -> None:
    shutil.copytree(ours, tmp_path / "other")
    record = json.loads((ours / "adapter.json").read_text())
    files.write_json(tmp_path / "other" / "adapter.json", record | {"family": "sdxl", "base": "org/sdxl"})
    refused(pipe, tmp_path / "other", base, "of the family sdxl, and the base .* is of sd15.*--base org/sdxl")


def test_another_base_of_the_same_shape_is_allowed_and_logged(
    ours: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    relative = make_tiny_base(tmp_path / "relative", seed=1)
    adapter.load_into(StableDiffusionPipeline.from_pretrained(relative), ours, str(relative))
    assert "was trained on other weights" in caplog.text


def test_the_commit_that_it_was_trained_on_is_no_other_base(
    base: Path, ours: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine that only draws may have fetched it in half precision: another file of the same weights."""
    shutil.copytree(ours, tmp_path / "ours")
    record = json.loads((ours / "adapter.json").read_text())
    files.write_json(tmp_path / "ours" / "adapter.json", record | {"base": "some/base", "revision": "a" * 40})
    for revision, told in (("a" * 40, False), ("b" * 40, True), ("", True)):
        caplog.clear()
        pipe = StableDiffusionPipeline.from_pretrained(base)
        adapter.load_into(pipe, tmp_path / "ours", "some/base", base_sha256="of half precision", revision=revision)
        assert ("was trained on other weights" in caplog.text) == told


Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]
FAULTS: dict[str, tuple[Change, str]] = {
    "another shape": (
        lambda state: {k: torch.cat([v, v], 1) if ".to_k.lora_A" in k else v for k, v in state.items()},
        "does not fit the base: unet.*to_k.lora_A",
    ),
    "a module that is not there": (
        lambda state: state | {"unet.mid_block.more.lora_A.weight": torch.zeros(2, 4)},
        "would ignore 1 tensors.*unet.mid_block.more",
    ),
    "a part that is not there": (
        lambda state: state | {"transformer.x.lora_A.weight": torch.zeros(2, 4)},
        "would ignore 1 tensors.*transformer.x",
    ),
    "of another kind of model": (
        lambda state: {k.replace("unet.", "transformer."): v for k, v in state.items() if "unet" in k},
        "would ignore",
    ),
    "an alpha of nothing": (
        lambda state: state | {"unet.mid_block.attentions.0.proj_in.alpha": torch.tensor(2.0)},
        "would ignore 1 tensors.*proj_in.alpha|not a LoRA",
    ),
    "DoRA of kohya's": (
        lambda state: state | {"lora_unet_mid_block.dora_scale": torch.zeros(4)},
        "would ignore 1 tensors.*dora_scale",
    ),
    "LoHa": (lambda state: {"lora_unet_conv_in.hada_w1_a": torch.zeros(2, 4)}, "this adapter is a LoHa"),
    "empty": (lambda state: {}, "empty"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lora_that_would_not_be_applied_wholly_is_refused(
    base: Path, pipe: StableDiffusionPipeline, ours: Path, tmp_path: Path, fault: str
) -> None:
    change, match = FAULTS[fault]
    save_file(change(load_file(ours / LORA)), tmp_path / "lora.safetensors")
    refused(pipe, tmp_path / "lora.safetensors", base, match)


def test_files_that_are_no_adapters_are_refused(
    base: Path, pipe: StableDiffusionPipeline, ours: Path, tmp_path: Path
) -> None:
    refused(pipe, tmp_path / "nowhere", base, "no such adapter")
    refused(pipe, tmp_path, base, "no adapter is in this folder")
    (tmp_path / "lora.ckpt").write_bytes(b"pickle")
    refused(pipe, tmp_path / "lora.ckpt", base, "not a safetensors file")
    (tmp_path / "cut.safetensors").write_bytes((ours / LORA).read_bytes()[:-100])
    refused(pipe, tmp_path / "cut.safetensors", base, "damaged")
    (tmp_path / "text.safetensors").write_text("not found")
    refused(pipe, tmp_path / "text.safetensors", base, "several|damaged")
    save_file(load_file(ours / LORA), tmp_path / "told.safetensors", {"likeness": "no JSON"})
    refused(pipe, tmp_path / "told.safetensors", base, "told.safetensors: is damaged")
    refused(pipe, tmp_path, base, "several LoRA files")


def test_dreambooth_weights_of_another_shape_are_refused(
    base: Path, pipe: StableDiffusionPipeline, tmp_path: Path
) -> None:
    family = load_family(str(base))
    adapter.unfreeze(family)
    adapter.save(family, tmp_path / "adapter", info(family, "dreambooth"))
    weights = tmp_path / "adapter" / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    state["conv_in.weight"] = torch.zeros(8, 5, 3, 3)
    save_file(state, weights)
    refused(pipe, tmp_path / "adapter", base, "do not fit the base.*conv_in.weight")
