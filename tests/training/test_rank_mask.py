"""Rank by timestep, against the formula and against a LoRA whose later directions were cut off by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch

from likeness import randomness
from likeness.adapter import PEFT_NAME, LoraSettings, lora_layers
from likeness.errors import LikenessError
from likeness.families import load_family
from likeness.person import Person
from tests import tiny_families
from tests.training.runs import config
from training.config import TrainConfig
from training.model import DreamboothSettings, Trained, make_trainable
from training.rank_mask import RankMask, ranks
from training.run import train


def test_the_rank_falls_from_all_to_the_least() -> None:
    timesteps = torch.tensor([0, 1, 499, 500, 750, 999, 1000])
    assert ranks(timesteps, 16, 4, 1000).tolist() == [16, 15, 10, 10, 7, 4, 4]
    assert ranks(timesteps, 8, 8, 1000).tolist() == [8] * 7


def trained(base: Path, **lora: Any) -> Trained:
    """A LoRA of rank 4 whose B is no longer zero."""
    family = load_family(str(base))
    model = make_trainable(
        family, "lora", LoraSettings(rank=4, alpha=4, **lora), DreamboothSettings(), 0, torch.float32, False
    )
    for name, layer in lora_layers(family.denoiser):
        b = layer.lora_B[PEFT_NAME].weight.data
        b.copy_(randomness.normal(b.shape, 0, "b", name) * 0.3)
    return model


@pytest.mark.parametrize("targets", ["attention-mlp", "all"])
def test_each_sample_has_the_rank_of_its_own_timestep(v_base: Path, targets: str) -> None:
    model = trained(v_base, targets=targets)
    noisy = randomness.normal((2, 4, 8, 8), 0, "noisy")
    conditioning = model.family.encode_text(["a person", "a cat"])
    timesteps = torch.tensor([100, 900])  # ranks 3 and 1 of 4
    whole = model(noisy, timesteps, conditioning, None)
    RankMask(model, 0.25, 1000)
    masked = model(noisy, timesteps, conditioning, None)
    torch.testing.assert_close(model.eval()(noisy, timesteps, conditioning, None), whole)
    for place, rank in enumerate((3, 1)):
        cut = trained(v_base, targets=targets)
        for _, layer in lora_layers(cut.denoiser):
            layer.lora_A[PEFT_NAME].weight.data[rank:] = 0
        expected = cut(noisy, timesteps, conditioning, None)[place]
        torch.testing.assert_close(masked[place], expected)
        assert (masked[place] - whole[place]).abs().max() > 1e-4


@pytest.mark.parametrize(("name", "targets"), [("krea2", "all"), ("z-image", "attention-mlp")])
def test_layers_that_see_many_rows_of_a_sample_mask_them_all(tmp_path: Path, name: str, targets: str) -> None:
    """Krea 2 fuses what the text encoder's layers say of each token by itself: as many rows as tokens."""
    base = tiny_families.make(name, tmp_path / name)
    model = trained(base, targets=targets)
    shape = model.family.latent_shape(32, 32)
    noisy = randomness.normal((2, *shape), 0, "noisy")
    conditioning = model.family.encode_text(["a person", "a cat that is much longer than a person"])
    timesteps = torch.tensor([100, 900])
    RankMask(model, 0.25, 1000)
    masked = model(noisy, timesteps, conditioning, None)
    for place, rank in enumerate((3, 1)):
        cut = trained(base, targets=targets)
        whole = cut(noisy, timesteps, conditioning, None)[place]
        for _, layer in lora_layers(cut.denoiser):
            layer.lora_A[PEFT_NAME].weight.data[rank:] = 0
        expected = cut(noisy, timesteps, conditioning, None)[place]
        torch.testing.assert_close(masked[place], expected, rtol=1e-4, atol=1e-5)
        assert (masked[place] - whole).abs().max() > 1e-4


def test_rows_that_cannot_be_told_apart_are_refused(tmp_path: Path, person: Person) -> None:
    """Z-Image embeds all prompts' tokens end to end. Of a single sample all are its own."""
    base = tiny_families.make("z-image", tmp_path / "base")
    wanted: dict[str, Any] = {"data": {"resolution": 32}, "lora": {"rank": 2, "targets": "all"}}
    wanted["objective"] = {"least_rank": 0.5}
    with pytest.raises(LikenessError, match="end to end.*attention"):
        train(config(base, person, steps=1, **wanted))
    assert not list((person.runs / "run").rglob("*.safetensors"))
    wanted["objective"] |= {"prior": {"mode": "none"}}
    train(config(base, person, steps=1, batch_size=1, **wanted))


def test_whole_weights_have_no_rank() -> None:
    with pytest.raises(LikenessError, match="least_rank 1 with method=dreambooth"):
        TrainConfig.parse({"person": "ana", "method": "dreambooth", "objective": {"least_rank": 0.5}})


def test_the_later_directions_learn_nothing_from_noise(v_base: Path) -> None:
    model = trained(v_base)
    RankMask(model, 0.25, 1000)
    conditioning = model.family.encode_text(["a person"])
    model(
        randomness.normal((1, 4, 8, 8), 0, "noisy"), torch.tensor([999]), conditioning, None
    ).square().sum().backward()
    for _, layer in lora_layers(model.denoiser):
        gradient = layer.lora_A[PEFT_NAME].weight.grad
        assert gradient is None or not gradient[1:].any()
    assert any(layer.lora_A[PEFT_NAME].weight.grad is not None for _, layer in lora_layers(model.denoiser))


def test_what_it_does_not_go_with_is_said(v_base: Path) -> None:
    with pytest.raises(LikenessError, match="dora"):
        RankMask(trained(v_base, dora=True), 0.25, 1000)


def test_a_run_trains_with_it(v_base: Path, person: Person) -> None:
    adapter = train(config(v_base, person, steps=2, objective={"least_rank": 0.25}))
    assert (adapter / "pytorch_lora_weights.safetensors").is_file()
