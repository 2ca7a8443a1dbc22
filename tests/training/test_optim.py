import importlib.util

import pytest
import torch
from torch import nn

from likeness.errors import LikenessError
from training.optim import OptimSettings, make_optimizer, make_schedule

STEPS = 12


def weights(count: int = 2) -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(3)) for _ in range(count)]


def curve(settings: OptimSettings, steps: int, done: int = 0, text: bool = False) -> list[list[float]]:
    """Learning rates of the steps that are still to come."""
    optimizer = make_optimizer(settings, {"denoiser": weights(), "text": weights() if text else []})
    schedule = make_schedule(settings, optimizer, steps, done)
    rates = []
    for _ in range(done, steps):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "cosine_with_restarts"])
def test_a_resumed_schedule_goes_on_where_it_was(name: str) -> None:
    settings = OptimSettings.parse({"schedule": name, "warmup": 3, "lr": 0.5})
    whole = curve(settings, STEPS)
    assert curve(settings, STEPS, done=5) == whole[5:]
    assert whole[0] == [0.0] and whole[3] == [0.5], "warm-up counts optimiser steps"


def test_the_end_of_a_schedule_moves_with_the_steps() -> None:
    settings = OptimSettings(schedule="linear", lr=1.0)
    assert curve(settings, 20, done=10)[0] == pytest.approx([0.5])


def test_the_text_encoder_has_a_rate_of_its_own() -> None:
    settings = OptimSettings(lr=0.5, text_lr=0.1, warmup=2)
    assert curve(settings, 4, text=True)[2:] == [[0.5, 0.1]] * 2


def test_the_optimiser_is_as_it_was_asked_for() -> None:
    settings = OptimSettings(betas=(0.8, 0.95), weight_decay=0.3, eps=1e-3)
    optimizer = make_optimizer(settings, {"denoiser": weights(), "tokens": weights()})
    assert [(group["betas"], group["eps"]) for group in optimizer.param_groups] == [((0.8, 0.95), 1e-3)] * 2
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0], "new words do not decay"


def test_adamw_is_fused() -> None:
    assert make_optimizer(OptimSettings(), {"denoiser": weights()}).defaults["fused"] is True


def test_eight_bit_without_a_gpu_is_refused_in_one_line() -> None:
    with pytest.raises(LikenessError, match="needs a GPU.*optim.name=adamw"):
        make_optimizer(OptimSettings(name="adamw8bit"), {"denoiser": weights()})


def test_prodigy_keeps_its_weight_decay_and_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    optimizer = make_optimizer(OptimSettings(name="prodigy", lr=1.0, weight_decay=0.03), {"denoiser": weights()})
    assert optimizer.param_groups[0]["weight_decay"] == 0.03
    assert capsys.readouterr().out == ""


def test_prodigy_with_a_small_rate_is_refused() -> None:
    with pytest.raises(LikenessError, match="lr 1.0"):
        OptimSettings.parse({"name": "prodigy", "lr": 1e-4})


def test_a_missing_package_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert importlib.util.find_spec("prodigyopt")
    monkeypatch.setitem(__import__("sys").modules, "prodigyopt", None)
    with pytest.raises(LikenessError, match="pip install prodigyopt"):
        make_optimizer(OptimSettings(name="prodigy", lr=1.0), {"denoiser": weights()})
