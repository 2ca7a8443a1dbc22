"""Averages of LoRA products against dense float64 arithmetic, and that a killed run averages the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from likeness import randomness
from likeness.errors import LikenessError
from likeness.person import Person
from tests.training.runs import WEIGHTS, config, difference, interrupt_at
from training.averaging import mean, mean_product
from training.config import TrainConfig
from training.run import train
from training.signals import Interrupted


def factors(count: int, rank: int, shape: tuple[int, ...], out: int) -> tuple[list[Tensor], list[Tensor]]:
    downs = [randomness.normal((rank, *shape), 0, "a", k) for k in range(count)]
    return downs, [randomness.normal((out, rank, *[1] * (len(shape) - 1)), 0, "b", k) for k in range(count)]


def product(down: Tensor, up: Tensor) -> Tensor:
    return up.flatten(1).double() @ down.flatten(1).double()


@pytest.mark.parametrize("shape", [(12,), (3, 3, 3)], ids=["linear", "convolution"])
def test_it_is_the_nearest_of_its_rank_to_the_mean_product(shape: tuple[int, ...]) -> None:
    downs, ups = factors(3, 2, shape, 7)
    dense = sum(product(*pair) for pair in zip(downs, ups, strict=True)) / 3
    left, values, right = torch.linalg.svd(dense)
    nearest = left[:, :2] @ torch.diag(values[:2]) @ right[:2]
    found = product(*mean_product(downs, ups))
    torch.testing.assert_close(found, nearest, rtol=1e-5, atol=1e-5)
    separately = product(torch.stack(downs).mean(0), torch.stack(ups).mean(0))
    assert (dense - found).norm() < (dense - separately).norm(), "which the means of the factors are not"


def test_what_is_of_that_rank_already_stays() -> None:
    downs, ups = factors(1, 3, (10,), 8)
    torch.testing.assert_close(
        product(*mean_product(downs * 4, ups * 4)), product(downs[0], ups[0]), rtol=1e-5, atol=1e-5
    )
    wide, tall = factors(2, 9, (4,), 5)
    dense = (product(wide[0], tall[0]) + product(wide[1], tall[1])) / 2
    torch.testing.assert_close(product(*mean_product(wide, tall)), dense, rtol=1e-5, atol=1e-5)


def test_what_is_no_lora_is_averaged_itself() -> None:
    downs, ups = factors(2, 2, (4,), 3)
    states = [
        {"x.lora_A.default.weight": a, "x.lora_B.default.weight": b, "word": torch.full((2,), float(k))}
        for k, (a, b) in enumerate(zip(downs, ups, strict=True))
    ]
    found = mean(states)
    assert list(found) == list(states[0]) and torch.equal(found["word"], torch.full((2,), 0.5))
    assert found["x.lora_A.default.weight"].shape == downs[0].shape


CHANGES: dict[str, Any] = {"steps": 6, "checkpoint": {"every": 3}, "averaging": {"last": 2, "every": 2}}


def test_the_adapter_is_the_average_of_the_last_moments(v_base: Path, person: Person) -> None:
    averaged = load_file(train(config(v_base, person, **CHANGES)) / WEIGHTS)
    singles = [load_file(train(config(v_base, person, steps=k, name=f"at-{k}")) / WEIGHTS) for k in (4, 6)]
    for name, down in averaged.items():
        if ".lora_A." in name:
            other = name.replace(".lora_A.", ".lora_B.")
            dense = sum(product(single[name], single[other]) for single in singles) / 2
            left, values, right = torch.linalg.svd(dense, full_matrices=False)
            nearest = left[:, :2] @ torch.diag(values[:2]) @ right[:2]
            torch.testing.assert_close(product(down, averaged[other]), nearest, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("step", [3, 5])
def test_a_killed_run_averages_the_same(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    train(config(v_base, person, **CHANGES, name="straight"))
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        with pytest.raises(Interrupted):
            train(config(v_base, person, **CHANGES))
    train(config(v_base, person, **CHANGES))
    assert difference(person.adapters / "run", person.adapters / "straight") == 0
    left = sorted(path.name for path in (person.runs / "run" / "averaging").iterdir())
    assert left[-2:] == ["step-000004.safetensors", "step-000006.safetensors"]


def test_averaging_does_not_go_with_dora() -> None:
    with pytest.raises(LikenessError, match="dora"):
        TrainConfig.parse({"person": "ana", "averaging": {"last": 3}, "lora": {"dora": True}})
