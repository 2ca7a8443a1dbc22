"""Adapters from elsewhere do exactly what they were trained to, or are refused by the names of what does not match."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers.loaders.single_file_utils import convert_flux2_transformer_checkpoint_to_diffusers
from safetensors.torch import load_file, save_file
from torch import Tensor

from likeness import adapter, randomness
from likeness.errors import LikenessError
from likeness.families import load_family
from likeness.lora_formats import read_lora
from tests.families.common import LORA, NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_an_adapter_of_another_family_is_refused(
    name: str, other: str, bases: Callable[[str], Path], adapters: Callable[[str], Path], tmp_path: Path
) -> None:
    """By its own word; and, where it says nothing of itself, by the keys that find no place."""
    if name == other:
        return
    pipe = load_family(str(bases(other))).pipeline()
    with pytest.raises(LikenessError, match=f"of the family {name}, and the base .* is of {other}"):
        adapter.load_into(pipe, adapters(name), str(bases(other)))
    silent = tmp_path / "silent.safetensors"
    save_file(load_file(adapters(name) / LORA), silent)
    with pytest.raises(LikenessError) as caught:
        adapter.load_into(pipe, silent, str(bases(other)))
    message = str(caught.value)
    assert "\n" not in message and (".lora_" in message or "unet." in message), message


@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_with_a_key_too_many_is_refused(
    name: str, bases: Callable[[str], Path], adapters: Callable[[str], Path], tmp_path: Path
) -> None:
    state = load_file(adapters(name) / LORA)
    key = next(key for key in state if ".lora_A." in key)
    stray = key.replace(".lora_A.", ".nowhere.lora_A.")
    save_file(state | {stray: state[key].clone()}, tmp_path / "stray.safetensors")
    with pytest.raises(LikenessError, match=f"ignore 1 tensors.*{stray}"):
        adapter.load_into(load_family(str(bases(name))).pipeline(), tmp_path / "stray.safetensors", str(bases(name)))


def test_kohyas_names_for_sdxl_find_their_modules(bases: Callable[[str], Path], tmp_path: Path) -> None:
    """It numbers the UNet's blocks as SDXL's first release did, and the text encoders from 1."""
    family = load_family(str(bases("sdxl")))
    pipe = family.pipeline()
    text = "text_model.encoder.layers.0.self_attn.q_proj"
    found = {
        "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q": (
            pipe.unet,
            "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
        ),
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj": (pipe.text_encoder, text),
        "lora_te2_text_model_encoder_layers_0_self_attn_q_proj": (pipe.text_encoder_2, text),
    }
    state: dict[str, Tensor] = {}
    for number, (key, (part, name)) in enumerate(found.items()):
        short = name if hasattr(part, "text_model") else name.removeprefix("text_model.")
        out, into = part.get_submodule(short).weight.shape
        state[f"{key}.lora_down.weight"] = randomness.normal((2, into), number, "down")
        state[f"{key}.lora_up.weight"] = randomness.normal((out, 2), number, "up")
        state[f"{key}.alpha"] = torch.tensor(0.5 + number)
        found[key] = (part, short)
    save_file(state, tmp_path / "kohya.safetensors")
    assert adapter.load_into(pipe, tmp_path / "kohya.safetensors", str(bases("sdxl"))) is None
    for number, (key, (part, name)) in enumerate(found.items()):
        expected = (0.5 + number) / 2 * state[f"{key}.lora_up.weight"] @ state[f"{key}.lora_down.weight"]
        change = part.get_submodule(name).get_delta_weight("likeness")
        torch.testing.assert_close(change, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "module", "down", "up"),
    [
        ("z-image", "layers.0.attention.to_q", "lora_A", "lora_B"),
        ("z-image", "layers.0.attention.to_q", "lora.down", "lora.up"),
        ("qwen-image", "transformer_blocks.0.attn.to_q", "lora_A", "lora_B"),
    ],
)
def test_an_alpha_scales_under_whatever_names_diffusers_converts(
    name: str, module: str, down: str, up: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    family = load_family(str(bases(name)))
    pipe, key = family.pipeline(), f"diffusion_model.{module}"
    out, into = pipe.transformer.get_submodule(module).weight.shape
    a, b = randomness.normal((4, into), 1, "down"), randomness.normal((out, 4), 2, "up")
    state = {f"{key}.{down}.weight": a, f"{key}.{up}.weight": b, f"{key}.alpha": torch.tensor(3.0)}
    save_file(state, tmp_path / "scaled.safetensors")
    adapter.load_into(pipe, tmp_path / "scaled.safetensors", str(bases(name)))
    layer = pipe.transformer.get_submodule(module)
    torch.testing.assert_close(layer.get_delta_weight("likeness"), 3 / 4 * b @ a, rtol=1e-5, atol=1e-6)
    stock = load_family(str(bases(name))).pipeline()
    stock.load_lora_weights(dict(state), adapter_name="theirs")
    change = stock.transformer.get_submodule(module).get_delta_weight("theirs")
    torch.testing.assert_close(change, 3 / 4 * b @ a, rtol=1e-5, atol=1e-6)


MODULES = {
    "qwen-image": "transformer_blocks.0.attn.to_q",
    "z-image": "layers.0.attention.to_q",
    "flux2-klein": "transformer_blocks.0.attn.to_q",
    "krea2": "transformer_blocks.0.attn.to_q",
    "sd35": "transformer_blocks.0.attn.to_q",
    "aura-flow": "joint_transformer_blocks.0.attn.to_q",
    "cogview4": "transformer_blocks.0.attn1.to_q",
    "lumina2": "layers.0.attn.to_q",
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_by_their_own_names_are_found_however_they_are_spelt(
    name: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    """Without a prefix is how the Lightning LoRAs of Qwen-Image are, with lora_transformer_ OneTrainer's."""
    module = MODULES[name]
    flat = module.replace(".", "_")
    spelt = [
        module,
        f"transformer.{module}",
        f"diffusion_model.{module}",
        f"lora_unet_{flat}",
        f"lora_transformer_{flat}",
    ]
    family = load_family(str(bases(name)))
    out, into = family.denoiser.get_submodule(module).weight.shape  # type: ignore[union-attr,misc]
    a, b = randomness.normal((4, into), 1, "down"), randomness.normal((out, 4), 2, "up")
    for key, (down, up) in itertools.product(spelt, (("lora_A", "lora_B"), ("lora_down", "lora_up"))):
        state = {f"{key}.{down}.weight": a, f"{key}.{up}.weight": b, f"{key}.alpha": torch.tensor(3.0)}
        save_file(state, tmp_path / "spelt.safetensors")
        pipe = family.pipeline()
        adapter.load_into(pipe, tmp_path / "spelt.safetensors", str(bases(name)))
        change = pipe.transformer.get_submodule(module).get_delta_weight("likeness")
        torch.testing.assert_close(change, 3 / 4 * b @ a, rtol=1e-5, atol=1e-6, msg=f"{key} {down}")
        pipe.unload_lora_weights()


def test_lumina_in_its_publishers_layout_is_read(tmp_path: Path) -> None:
    """diffusers converts it block by block, with the true base's sizes, so that only its shapes are built here."""
    with torch.device("meta"):
        transformer = diffusers.Lumina2Transformer2DModel(num_layers=1, num_refiner_layers=0)
    absent: Any = None
    pipe = diffusers.Lumina2Pipeline(transformer, absent, absent, absent, absent)
    block: Any = transformer.layers[0]
    theirs = {
        "attention.qkv": (3840, 2304),
        "attention.out": block.attn.to_out[0].weight.shape,
        "adaLN_modulation.1": block.norm1.linear.weight.shape,
    } | {f"feed_forward.w{n}": getattr(block.feed_forward, f"linear_{n}").weight.shape for n in (1, 2, 3)}
    state = {}
    for name, (out, into) in theirs.items():
        state[f"diffusion_model.layers.0.{name}.lora_A.weight"] = randomness.normal((2, into), 1, name)
        state[f"diffusion_model.layers.0.{name}.lora_B.weight"] = randomness.normal((out, 2), 2, name)
    save_file(state, tmp_path / "lumina.safetensors")
    read = read_lora(pipe, tmp_path / "lumina.safetensors")["transformer"]
    assert len({key.partition(".lora_")[0] for key in read}) == 8
    keys = state["diffusion_model.layers.0.attention.qkv.lora_B.weight"][2304:3072]
    assert torch.equal(read["layers.0.attn.to_k.lora_B.weight"], keys)
    del state["diffusion_model.layers.0.attention.out.lora_B.weight"]
    save_file(state, tmp_path / "lumina.safetensors")
    with pytest.raises(LikenessError, match="not a LoRA that diffusers understands"):
        read_lora(pipe, tmp_path / "lumina.safetensors")


def test_kleins_last_modulation_is_turned_about_as_in_its_checkpoint(
    bases: Callable[[str], Path], tmp_path: Path
) -> None:
    """Black Forest Labs' layout has shift before scale, diffusers' scale before shift."""
    pipe = load_family(str(bases("flux2-klein"))).pipeline()
    weight = pipe.transformer.norm_out.linear.weight
    a, b = randomness.normal((2, weight.shape[1]), 1, "a"), randomness.normal((weight.shape[0], 2), 2, "b")
    key = "diffusion_model.final_layer.adaLN_modulation.1"
    save_file({f"{key}.lora_A.weight": a, f"{key}.lora_B.weight": b}, tmp_path / "last.safetensors")
    adapter.load_into(pipe, tmp_path / "last.safetensors", str(bases("flux2-klein")))
    theirs = convert_flux2_transformer_checkpoint_to_diffusers({"final_layer.adaLN_modulation.1.weight": b @ a})
    change = pipe.transformer.norm_out.linear.get_delta_weight("likeness")
    torch.testing.assert_close(change, theirs["norm_out.linear.weight"])


DAMAGED: dict[str, tuple[dict[str, Any], str]] = {
    "one matrix": ({"lora_B": None}, "do not multiply"),
    "ranks": ({"lora_B": (16, 3)}, "do not multiply"),
    "no rank": ({"lora_A": (0, 16), "lora_B": (16, 0)}, "not a LoRA that diffusers understands"),
    "no numbers": ({"lora_B": float("nan")}, "lora_B.weight holds values that are no numbers"),
}


@pytest.mark.parametrize("name", ["sd15", "qwen-image"])
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_pair_of_matrices_is_named(
    name: str, damage: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    family = load_family(str(bases(name)))
    key = "transformer.transformer_blocks.0.attn.to_q"
    if name == "sd15":
        key = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    state = {"lora_A": torch.ones(2, 16), "lora_B": torch.ones(16, 2)}
    for half, change in DAMAGED[damage][0].items():
        match change:
            case None:
                del state[half]
            case float():
                state[half][0, 0] = change
            case _:
                state[half] = torch.ones(change)
    save_file({f"{key}.{half}.weight": tensor for half, tensor in state.items()}, tmp_path / "damaged.safetensors")
    with pytest.raises(LikenessError, match=DAMAGED[damage][1]):
        adapter.load_into(family.pipeline(), tmp_path / "damaged.safetensors", str(bases(name)))


KINDS = {
    "hada_w1_a": "a LoHa",
    "lokr_w1": "a LoKr",
    "oft_blocks": "an OFT",
    "lora_mid.weight": "a LoCon with a third matrix",
    "diff_b": "a difference of whole weights",
    "w_norm": "a difference of norms",
}


@pytest.mark.parametrize(
    "prefix", ["lora_unet_mid_block_attentions_0_proj_in", "diffusion_model.layers.0.attention.to_q"]
)
@pytest.mark.parametrize("tensor", KINDS)
def test_what_is_no_lora_is_refused_by_its_name(
    prefix: str, tensor: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    base = bases("z-image" if "." in prefix else "sd15")
    save_file(
        {f"{prefix}.{tensor}": torch.ones(2, 2), f"{prefix}.alpha": torch.tensor(1.0)}, tmp_path / "no.safetensors"
    )
    with pytest.raises(LikenessError, match=f"{KINDS[tensor]}.*only LoRA and DoRA.*plain LoRA"):
        adapter.load_into(load_family(str(base)).pipeline(), tmp_path / "no.safetensors", str(base))


def _square(name: str, pipe: Any) -> tuple[str, Any]:
    """The name in a file, and the module, of a square matrix."""
    if name == "sdxl":
        module = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
        return f"lora_unet_{module.replace('.', '_')}", pipe.unet.get_submodule(module)
    if name == "z-image":
        return "diffusion_model.layers.0.attention.to_q", pipe.transformer.get_submodule("layers.0.attention.to_q")
    module = "transformer_blocks.0.attn.to_q"
    return f"transformer.{module}", pipe.transformer.get_submodule(module)


@pytest.mark.parametrize("name", ["sdxl", "z-image", "flux2-klein"])
def test_a_dora_does_what_its_formula_says_or_is_refused(
    name: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    """Lengths of a square matrix's inputs have as many numbers as those of its outputs, and mean something else."""
    pipe = load_family(str(bases(name))).pipeline()
    key, layer = _square(name, pipe)
    weight = layer.weight.detach().clone()
    side = weight.shape[0]
    assert weight.shape == (side, side)
    down, up = ("lora_A", "lora_B") if name == "flux2-klein" else ("lora_down", "lora_up")
    a, b = 0.1 * randomness.normal((4, side), 1, "down"), 0.1 * randomness.normal((side, 4), 2, "up")
    pair = {f"{key}.{down}.weight": a, f"{key}.{up}.weight": b}
    length = 1 + randomness.normal((side,), 3, "length").abs()
    save_file(pair | {f"{key}.dora_scale": length[None]}, tmp_path / "inputs.safetensors")
    with pytest.raises(LikenessError, match=f"lengths of inputs .*{key}.dora_scale"):
        adapter.load_into(pipe, tmp_path / "inputs.safetensors", str(bases(name)))
    save_file(pair | {f"{key}.dora_scale": length[:, None]}, tmp_path / "outputs.safetensors")
    adapter.load_into(pipe, tmp_path / "outputs.safetensors", str(bases(name)))
    layer = _square(name, pipe)[1]
    found = layer(torch.eye(side)).T - (0 if layer.bias is None else layer.bias[:, None])
    changed = weight + b @ a
    expected = length[:, None] * changed / changed.norm(dim=1, keepdim=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
