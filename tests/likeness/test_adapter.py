"""An adapter read by plain diffusers is exactly the function that was trained, and its state comes and goes whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file
from torch import Tensor

from likeness import adapter, files
from likeness.adapter import AdapterInfo, LoraSettings
from likeness.adapter_file import LORA_FILE
from likeness.errors import LikenessError
from likeness.families import Family, load_family
from likeness.lora_formats import read_tensors
from likeness.randomness import normal
from tests.tiny import make_tiny_base

PROMPT = "a photo of a person"
VARIANTS = {
    "plain": LoraSettings(rank=4, alpha=4),
    "alpha": LoraSettings(rank=4, alpha=6.5),
    "rslora": LoraSettings(rank=3, alpha=5, rslora=True),
    "dora": LoraSettings(rank=4, alpha=2, dora=True),
    "all": LoraSettings(rank=2, alpha=3, targets="all"),
    "all-dora": LoraSettings(rank=2, alpha=3, targets="all", dora=True),
    "attention": LoraSettings(rank=2, alpha=4, targets="attention"),
    "text": LoraSettings(rank=2, alpha=3, text_encoder=True),
    "text-dora": LoraSettings(rank=2, alpha=3, text_encoder=True, dora=True),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("base") / "tiny")


def info(family: Family, method: str = "lora") -> AdapterInfo:
    return AdapterInfo(
        family=family.name,
        base=family.base,
        base_sha256=family.sha256(),
        method=method,  # type: ignore[arg-type]
        trigger="sks",
        class_word="person",
        rank=4,
        alpha=4,
        steps=3,
        data_digest="0" * 64,
        trained=["2" * 64],
        held_out=["1" * 64],
        resolution=32,
        versions={"torch": "2"},
        licence=family.licence,
    )


def train_a_little(family: Family) -> None:
    """Move every trainable tensor as training would, by more than rounding."""
    for name, tensor in adapter.adapter_state(family).items():
        tensor += 0.2 * normal(tensor.shape, 5, "training", name)


@torch.no_grad()
def predictions(unet: torch.nn.Module, text: Tensor) -> Tensor:
    noisy = normal((2, 4, 8, 8), 1, "noisy")
    prediction: Tensor = unet(noisy, torch.tensor([5, 700]), text.expand(2, -1, -1)).sample
    return prediction


@torch.no_grad()
def of_family(family: Family) -> Tensor:
    return predictions(family.denoiser, family.encode_text([PROMPT])["encoder_hidden_states"])


@torch.no_grad()
def of_pipeline(pipe: StableDiffusionPipeline) -> Tensor:
    return predictions(pipe.unet, pipe.encode_prompt(PROMPT, "cpu", 1, False)[0])


def trained(base: Path, settings: LoraSettings, folder: Path) -> Family:
    family = load_family(str(base))
    adapter.inject(family, settings, seed=3)
    train_a_little(family)
    adapter.save(family, folder, info(family))
    return family


@pytest.mark.parametrize("variant", VARIANTS)
def test_plain_diffusers_gives_the_trained_function(base: Path, tmp_path: Path, variant: str) -> None:
    family = trained(base, VARIANTS[variant], tmp_path / "adapter")
    expected = of_family(family)
    stock = StableDiffusionPipeline.from_pretrained(base)
    without = of_pipeline(stock)
    assert (expected - without).abs().max() > 0.01
    stock.load_lora_weights(tmp_path / "adapter")
    torch.testing.assert_close(of_pipeline(stock), expected, rtol=1e-5, atol=2e-6)

    ours = StableDiffusionPipeline.from_pretrained(base)
    assert adapter.load_into(ours, tmp_path / "adapter", str(base)) == adapter.read_info(tmp_path / "adapter")
    torch.testing.assert_close(of_pipeline(ours), expected, rtol=1e-5, atol=2e-6)


def test_readers_that_ignore_the_header_read_the_same_function(base: Path, tmp_path: Path) -> None:
    family = trained(base, VARIANTS["alpha"], tmp_path / "adapter")
    stock = StableDiffusionPipeline.from_pretrained(base)
    stock.load_lora_weights(load_file(tmp_path / "adapter" / "pytorch_lora_weights.safetensors"))
    torch.testing.assert_close(of_pipeline(stock), of_family(family), rtol=1e-5, atol=2e-6)


def test_the_header_says_that_no_module_has_a_rank_of_its_own(base: Path, tmp_path: Path) -> None:
    """diffusers before 0.40 asks for it, and loads nothing where there is no answer."""
    trained(base, VARIANTS["text"], tmp_path / "adapter")
    _, settings = read_tensors(tmp_path / "adapter" / "pytorch_lora_weights.safetensors")
    for part in ("unet", "text_encoder"):
        assert settings[f"{part}.rank_pattern"] == settings[f"{part}.alpha_pattern"] == {}


def test_weight_scales_the_adapter(base: Path, tmp_path: Path) -> None:
    trained(base, VARIANTS["alpha"], tmp_path / "adapter")
    pipe = StableDiffusionPipeline.from_pretrained(base)
    without = of_pipeline(pipe)
    adapter.load_into(pipe, tmp_path / "adapter", str(base), weight=0.0)
    torch.testing.assert_close(of_pipeline(pipe), without, rtol=0, atol=1e-6)
    ours, stock = (StableDiffusionPipeline.from_pretrained(base) for _ in range(2))
    adapter.load_into(ours, tmp_path / "adapter", str(base), weight=0.6)
    stock.load_lora_weights(tmp_path / "adapter", adapter_name="one")
    stock.set_adapters(["one"], [0.6])
    torch.testing.assert_close(of_pipeline(ours), of_pipeline(stock), rtol=1e-5, atol=2e-6)


def test_weight_moves_whole_weights_from_the_base_s_towards_the_trained(base: Path, tmp_path: Path) -> None:
    family = load_family(str(base))
    adapter.unfreeze(family)
    before = [parameter.detach().clone() for parameter in family.denoiser.parameters()]
    train_a_little(family)
    adapter.save(family, tmp_path / "adapter", info(family, "dreambooth"))
    pipe = StableDiffusionPipeline.from_pretrained(base)
    adapter.load_into(pipe, tmp_path / "adapter", str(base), weight=0.25)
    for own, from_, to in zip(pipe.unet.parameters(), before, family.denoiser.parameters(), strict=True):
        torch.testing.assert_close(own, 0.75 * from_ + 0.25 * to)


@pytest.mark.parametrize("settings", [VARIANTS["text"], VARIANTS["all-dora"]])
def test_injection_leaves_the_function_as_it_was_and_depends_on_the_seed_alone(
    base: Path, settings: LoraSettings
) -> None:
    first, second, other = (load_family(str(base)) for _ in range(3))
    before = of_family(first)
    generator = torch.random.get_rng_state()
    parameters = adapter.inject(first, settings, seed=3)
    assert torch.equal(torch.random.get_rng_state(), generator)
    torch.testing.assert_close(of_family(first), before, rtol=0, atol=1e-5)
    torch.rand(100)
    adapter.inject(second, settings, seed=3)
    adapter.inject(other, settings, seed=4)
    states = [adapter.adapter_state(family) for family in (first, second, other)]
    assert len(parameters) == len(states[0]) and all(parameter.requires_grad for parameter in parameters)
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name])
        assert ".lora_A." not in name or not torch.equal(states[0][name], states[2][name])
        if ".lora_A." in name:
            bound = states[0][name][0].numel() ** -0.5
            assert 0.5 * bound < states[0][name].abs().max() <= bound


def test_adapters_train_in_float32_on_a_half_precision_base(base: Path) -> None:
    family = load_family(str(base), torch.bfloat16)
    parameters = adapter.inject(family, LoraSettings(rank=2, dora=True), seed=0)
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    noisy, text = torch.zeros(1, 4, 8, 8, dtype=torch.bfloat16), family.encode_text([PROMPT])
    family.predict(noisy, torch.tensor([5]), text).float().square().mean().backward()
    assert all(parameter.grad is not None for parameter in parameters)


def test_state_comes_and_goes_whole(base: Path) -> None:
    one, two = load_family(str(base)), load_family(str(base))
    adapter.inject(one, VARIANTS["text-dora"], seed=1)
    adapter.inject(two, VARIANTS["text-dora"], seed=2)
    train_a_little(one)
    adapter.load_adapter_state(two, adapter.adapter_state(one))
    assert torch.equal(of_family(one), of_family(two))
    state = adapter.adapter_state(one)
    state.pop(next(iter(state)))
    with pytest.raises(LikenessError, match="1 tensors differ"):
        adapter.load_adapter_state(two, state)


def test_equal_adapters_are_equal_files(base: Path, tmp_path: Path) -> None:
    hashes = set()
    for name in ("one", "two", "three"):
        trained(base, VARIANTS["text"], tmp_path / name)
        hashes.add(files.sha256(tmp_path / name / "pytorch_lora_weights.safetensors"))
    assert len(hashes) == 1


def test_the_info_is_in_the_header_and_beside(base: Path, tmp_path: Path) -> None:
    family = trained(base, VARIANTS["plain"], tmp_path / "adapter")
    beside = adapter.read_info(tmp_path / "adapter")
    assert beside is not None and beside.created and beside.subject == "sks person"
    assert beside.base_sha256 == family.sha256()
    (tmp_path / "adapter" / "adapter.json").unlink()
    # Neither photographs, nor where somebody keeps a base.
    told = {"created": "", "trained": [], "held_out": [], "base": "tiny"}
    weights = tmp_path / "adapter" / LORA_FILE
    assert adapter.read_info(tmp_path / "adapter") == adapter.read_info(weights) == beside.model_copy(update=told)
    (tmp_path / "adapter" / "adapter.json").write_text("{")
    for path in (tmp_path / "adapter", weights):
        with pytest.raises(LikenessError, match="not readable JSON"):
            adapter.read_info(path)


def test_the_record_beside_a_file_is_read_for_the_file_too(base: Path, tmp_path: Path) -> None:
    """Or whoever names the file would have held-out photographs choose."""
    trained(base, VARIANTS["plain"], tmp_path / "adapter")
    named = adapter.read_info(tmp_path / "adapter" / LORA_FILE)
    assert named == adapter.read_info(tmp_path / "adapter") and named is not None and named.trained == ["2" * 64]


@pytest.mark.parametrize("text_encoder", [False, True])
def test_dreambooth_saves_whole_parts(base: Path, tmp_path: Path, text_encoder: bool) -> None:
    family = load_family(str(base))
    parameters = adapter.unfreeze(family, text_encoder)
    assert len(parameters) == len(adapter.adapter_state(family))
    with torch.no_grad():
        for number, parameter in enumerate(parameters):
            parameter.add_(0.05 * normal(parameter.shape, 5, "training", number))
    adapter.save(family, tmp_path / "adapter", info(family, "dreambooth"))
    assert (tmp_path / "adapter" / "text_encoder").exists() == text_encoder
    pipe = StableDiffusionPipeline.from_pretrained(base)
    without = of_pipeline(pipe)
    adapter.load_into(pipe, tmp_path / "adapter", str(base))
    assert torch.equal(of_pipeline(pipe), of_family(family))
    assert (of_pipeline(pipe) - without).abs().max() > 0.01

    unet = type(pipe.unet).from_pretrained(tmp_path / "adapter" / "unet")
    assert all(torch.equal(a, b) for a, b in zip(unet.parameters(), family.denoiser.parameters(), strict=True))


def test_dreambooth_in_half_precision(base: Path, tmp_path: Path) -> None:
    family = load_family(str(base))
    adapter.unfreeze(family)
    adapter.save(family, tmp_path / "adapter", info(family, "dreambooth"), torch.float16)
    state = load_file(tmp_path / "adapter" / "unet" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    pipe = StableDiffusionPipeline.from_pretrained(base)
    adapter.load_into(pipe, tmp_path / "adapter", str(base))
    torch.testing.assert_close(of_pipeline(pipe), of_family(family), rtol=0, atol=0.01)


def test_a_failed_save_leaves_what_was_there(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family = trained(base, VARIANTS["plain"], tmp_path / "adapter")
    before = files.sha256(tmp_path / "adapter" / "pytorch_lora_weights.safetensors")

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_bytes", full)
    train_a_little(family)
    with pytest.raises(LikenessError, match="no space left"):
        adapter.save(family, tmp_path / "adapter", info(family))
    assert files.sha256(tmp_path / "adapter" / "pytorch_lora_weights.safetensors") == before
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


SCRIPT = """
import json, sys, torch
from diffusers import StableDiffusionPipeline
pipe = StableDiffusionPipeline.from_pretrained(sys.argv[1])
pipe.load_lora_weights(sys.argv[2])
image = pipe("a photo of a person", num_inference_steps=2, latents=torch.ones(1, 4, 8, 8), output_type="pt").images
print(json.dumps(image.flatten().tolist()))
assert "likeness" not in sys.modules
"""


def test_a_script_that_imports_only_diffusers_renders_the_trained_function(base: Path, tmp_path: Path) -> None:
    family = trained(base, VARIANTS["rslora"], tmp_path / "adapter")
    latents = torch.ones(1, 4, 8, 8)
    ours = family.pipeline()(PROMPT, num_inference_steps=2, latents=latents, output_type="pt").images
    script = [sys.executable, "-c", SCRIPT, str(base), str(tmp_path / "adapter")]
    done = subprocess.run(
        script, capture_output=True, text=True, check=True, cwd=tmp_path, env=os.environ | {"HF_HUB_OFFLINE": "1"}
    )
    theirs = torch.tensor(json.loads(done.stdout.splitlines()[-1])).reshape(ours.shape)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-4)
