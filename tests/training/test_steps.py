"""Steps of whole runs on a tiny base: each way of training does what it should, and goes on exactly."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from likeness.errors import LikenessError
from likeness.person import Person
from tests.training.runs import WEIGHTS, config, difference, metrics, steps_saved
from training import checkpoint, run
from training.loop import Loop
from training.run import train


class Scaler(torch.amp.GradScaler):
    """As fp16 has one on a GPU: it leaves out steps whose gradients overflowed."""

    def __init__(self) -> None:
        super().__init__("cpu", init_scale=1.0)


def test_an_overflow_in_fp16_is_left_to_the_scaler(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, accelerator = Loop._forward, run._accelerator

    def scaled(*given: Any) -> Any:
        made = accelerator(*given)
        made.scaler = Scaler()
        return made

    def overflowing(loop: Loop, step: int, round_: int) -> Any:
        cost, timesteps = forward(loop, step, round_)
        if step == 2:
            cost.total.register_hook(lambda gradient: gradient * torch.inf)
        return cost, timesteps

    monkeypatch.setattr(run, "_accelerator", scaled)
    monkeypatch.setattr(Loop, "_forward", overflowing)
    adapter = train(config(v_base, person))
    assert all(tensor.isfinite().all() for tensor in load_file(adapter / WEIGHTS).values())


@pytest.mark.parametrize("spoilt", ["loss", "gradient"])
def test_what_is_no_number_ends_a_run_before_its_weights_are_touched(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    """A gradient can overflow under a loss that does not. What the error advises then works."""
    forward, loops = Loop._forward, []

    def overflowing(loop: Loop, step: int, round_: int) -> Any:
        cost, timesteps = forward(loop, step, round_)
        if step == 2 and spoilt == "loss":
            cost = replace(cost, total=cost.total * torch.inf)
        elif step == 2:
            cost.total.register_hook(lambda gradient: gradient * torch.nan)
        loops.append(loop)
        return cost, timesteps

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_forward", overflowing)
        with pytest.raises(LikenessError, match=f"the {spoilt} is no longer a number at step 3") as error:
            train(config(v_base, person))
    assert all(parameter.isfinite().all() for parameter in loops[0].parameters)
    assert steps_saved(person) == [2] and not person.adapters.exists()
    assert "checkpoint.resume=never or another name" in error.value.remedy and "optim.lr" in error.value.remedy
    train(config(v_base, person, optim={"lr": 1e-3}, checkpoint={"resume": "never"}))


def test_accumulated_rounds_make_the_step_of_the_whole_batch(epsilon_base: Path, person: Person) -> None:
    # With a large eps Adam moves in proportion to the gradient, so that a wrong scale would show.
    common = {"batch_size": 4, "objective": {"min_snr_gamma": 5}, "optim": {"lr": 1.0, "eps": 1.0, "weight_decay": 0}}
    whole = train(config(epsilon_base, person, **common))
    split = train(config(epsilon_base, person, **common, name="split", gradient_accumulation=4))
    assert difference(whole, split) < 1e-6
    for one, other in zip(metrics(person), metrics(person, "split"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)


def test_steps_look_where_the_density_says(v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    forward, seen = Loop._forward, []

    def noted(loop: Loop, step: int, round_: int) -> Any:
        cost, timesteps = forward(loop, step, round_)
        seen.extend(timesteps.tolist())
        return cost, timesteps

    monkeypatch.setattr(Loop, "_forward", noted)
    density = {"density": "logit-normal", "mean": -2.0, "std": 1e-4, "shift": 3.0}
    train(config(v_base, person, steps=2, objective={"timesteps": density}))
    level = 1 / (1 + math.exp(2.0))
    assert seen == [int(1000 * 3 * level / (1 + 2 * level))] * 4


def test_a_long_gradient_is_shortened(v_base: Path, person: Person) -> None:
    """With a large eps Adam's first step is its gradient; of A there is none yet, for B is zero."""
    optim = {"lr": 1.0, "eps": 1.0, "weight_decay": 0, "max_grad_norm": 1e-6}
    adapter = train(config(v_base, person, steps=1, lora={"rank": 2, "alpha": 2}, optim=optim))
    assert metrics(person)[0]["gradient_norm"] > 1e-4, "as it was before"
    learnt = [tensor for key, tensor in load_file(adapter / WEIGHTS).items() if ".lora_B." in key]
    assert float(torch.cat([b.flatten() for b in learnt]).norm()) == pytest.approx(1e-6, rel=0.02)


def test_the_face_counts_more_than_the_rest(v_base: Path, person: Person) -> None:
    for name, floor in (("face", 0.2), ("alike", 1.0)):
        train(config(v_base, person, steps=1, name=name, objective={"background_floor": floor}))
    face, alike = (metrics(person, name)[0]["loss_person"] for name in ("face", "alike"))
    assert abs(face / alike - 1) > 1e-3


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_the_frozen_prior_starts_at_zero_and_holds_the_base_in_place(v_base: Path, person: Person, method: str) -> None:
    train(config(v_base, person, steps=6, method=method, mixed_precision="fp32"))
    prior = [line["loss_prior"] for line in metrics(person)]
    assert prior[0] == pytest.approx(0, abs=1e-12) and prior[-1] > 1e-8, "more than rounding"


@pytest.mark.parametrize("changes", [{}, {"method": "dreambooth"}, {"gradient_checkpointing": True}])
def test_what_is_compiled_trains_the_same(v_base: Path, person: Person, changes: dict[str, Any]) -> None:
    train(config(v_base, person, steps=2, **changes))
    torch._dynamo.reset()
    counters.clear()
    adapter = train(config(v_base, person, steps=2, **changes, compile="aot_eager", name="compiled"))
    assert counters["stats"]["unique_graphs"] > 0
    for one, other in zip(metrics(person), metrics(person, "compiled"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-3)
    for file in adapter.rglob("*.safetensors"):
        assert load_file(file).keys() == load_file(person.adapters / "run" / file.relative_to(adapter)).keys()


def test_a_base_without_repeated_blocks_is_not_compiled(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UNet2DConditionModel, "_repeated_blocks", [])
    with pytest.raises(LikenessError, match="no blocks of UNet2DConditionModel"):
        train(config(v_base, person, compile="aot_eager"))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_dreambooth_with_average_goes_on_exactly(v_base: Path, person: Person, precision: str) -> None:
    changes = {"method": "dreambooth", "mixed_precision": precision, "optim": {"lr": 1e-3}}
    train(config(v_base, person, **changes, steps=3))
    train(config(v_base, person, **changes, steps=5))
    train(config(v_base, person, **changes, steps=5, name="straight"))
    file = "unet/diffusion_pytorch_model.safetensors"
    assert difference(person.adapters / "run", person.adapters / "straight", file) == 0
    newest = checkpoint.newest(person.runs / "run" / "checkpoints")
    assert newest is not None
    saved = checkpoint.load(newest)
    assert saved.ema is not None
    kept = load_file(person.adapters / "run" / file)
    key = "unet.conv_in.weight"
    torch.testing.assert_close(kept["conv_in.weight"], saved.ema[key].to(kept["conv_in.weight"].dtype))
    assert not torch.equal(saved.ema[key], saved.trained[key])


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"lora": {"rank": 2, "text_encoder": True, "dropout": 0.3, "dora": True}, "gradient_checkpointing": True},
        {"method": "dreambooth", "dreambooth": {"text_encoder": True, "ema": {"enabled": False}}},
        {"optim": {"name": "prodigy", "lr": 1.0}, "lora": {"rank": 2, "rslora": True}, "mixed_precision": "bf16"},
    ],
    ids=["text-dora-dropout", "dreambooth-text", "prodigy-bf16"],
)
def test_every_way_of_training_goes_on_exactly(v_base: Path, person: Person, changes: dict[str, Any]) -> None:
    train(config(v_base, person, **changes, steps=2))
    train(config(v_base, person, **changes, steps=4))
    train(config(v_base, person, **changes, steps=4, name="straight"))
    for file in (person.adapters / "straight").rglob("*.safetensors"):
        name = str(file.relative_to(person.adapters / "straight"))
        assert difference(person.adapters / "run", person.adapters / "straight", name) == 0


@pytest.mark.slow
def test_gradient_checkpointing_changes_nothing(v_base: Path, person: Person) -> None:
    plain = train(config(v_base, person))
    frugal = train(config(v_base, person, name="frugal", gradient_checkpointing=True))
    # Not bit by bit: attention is another kernel's where gradients are checkpointed, and rounds otherwise.
    assert difference(plain, frugal) < 2e-5
