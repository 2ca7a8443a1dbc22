"""Runs over several resolutions and shapes: the same run however it is split or interrupted, and told right of its sizes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from likeness.families.flow import FlowFamily
from likeness.families.schedule import FlowSchedule, Size
from likeness.families.stable_diffusion_xl import StableDiffusionXL
from likeness.person import Person
from tests import tiny_families
from tests.training.made import make_person
from tests.training.runs import config, difference, metrics
from training.crops import Shape
from training.run import train

SQUARE, PORTRAIT = (32, 32), (40, 32)
"""Heights and widths in px."""
MORE: list[tuple[int, Shape]] = [(32, "portrait"), (64, "square"), (64, "portrait")]
DATA: dict[str, Any] = {"data": {"resolution": [32, 64], "shape": ["square", "portrait"]}}
TWO: dict[str, Any] = {"data": {"resolution": 32, "shape": ["square", "portrait"]}}


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return make_person(tmp_path / "people" / "zebulon", more=MORE)


def test_a_run_over_buckets_goes_on_exactly(v_base: Path, person: Person) -> None:
    changes = {**DATA, "evaluation": {"every": 5}, "samples": {"every": 5, "count": 1, "steps": 1}}
    train(config(v_base, person, **changes, steps=3))
    train(config(v_base, person, **changes, steps=5))
    train(config(v_base, person, **changes, steps=5, name="straight"))
    assert difference(person.adapters / "run", person.adapters / "straight") == 0
    losses = [[line["loss"] for line in metrics(person, name) if "loss" in line] for name in ("run", "straight")]
    assert losses[0] == losses[1] and len(losses[0]) == 5


def test_accumulated_rounds_make_the_step_of_the_whole_batch(epsilon_base: Path, person: Person) -> None:
    # With a large eps Adam moves in proportion to the gradient, so that a wrong scale would show.
    common = {**TWO, "batch_size": 4, "optim": {"lr": 1.0, "eps": 1.0, "weight_decay": 0}}
    whole = train(config(epsilon_base, person, **common))
    split = train(config(epsilon_base, person, **common, name="split", gradient_accumulation=4))
    assert difference(whole, split) < 1e-6
    for one, other in zip(metrics(person), metrics(person, "split"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)


def test_class_images_are_made_for_every_bucket(v_base: Path, person: Person) -> None:
    train(config(v_base, person, **TWO, steps=2, objective={"prior": {"mode": "images", "images": 3, "batch_size": 1}}))
    assert len(list((person.cache / "class").iterdir())) == 4, "three shared by two, rounded up"


def test_sdxl_is_told_the_size_of_each_bucket(tmp_path: Path, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[tuple[int, ...], Tensor]] = []
    base = tiny_families.make("sdxl", tmp_path / "sdxl")
    load = StableDiffusionXL.load.__func__  # type: ignore[attr-defined]

    def listening(cls: type[StableDiffusionXL], *arguments: Any) -> StableDiffusionXL:
        family: StableDiffusionXL = load(cls, *arguments)

        def heard(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
            told.append((tuple(4 * side for side in positional[0].shape[-2:]), named["added_cond_kwargs"]["time_ids"]))

        family.denoiser.register_forward_pre_hook(heard, with_kwargs=True)
        return family

    monkeypatch.setattr(StableDiffusionXL, "load", classmethod(listening))
    train(config(base, person, **TWO, objective={"prior": {"mode": "none"}}))
    assert [size for size, _ in told].count(SQUARE) == [size for size, _ in told].count(PORTRAIT) == 2
    for size, numbers in told:
        originals = {(2 * size[0] // place, 2 * size[1] // place) for place in (1, 2, 3)}
        assert {tuple(row) for row in numbers[:, :2].int().tolist()} <= originals, "as large as it was before scaling"
        assert torch.equal(numbers[:, 2:].int(), torch.tensor([[0, 0, *size]] * len(numbers), dtype=torch.int32))


def test_a_flow_shifts_its_noise_by_the_size_of_each_bucket(
    tmp_path: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Size] = []
    shift = FlowFamily._shift

    def noted(family: FlowFamily, size: Size) -> float:
        asked.append(size)
        return shift(family, size)

    monkeypatch.setattr(FlowFamily, "_shift", noted)
    base = tiny_families.make("flux2-klein", tmp_path / "klein")
    train(config(base, person, **TWO, objective={"prior": {"mode": "none"}}))
    assert sorted(asked) == [(4, 4), (4, 4), (5, 4), (5, 4)]
    family = FlowSchedule(lambda size: 1 + size[0] * size[1] / 16)
    middle = torch.tensor([0.5])
    assert float(family.timesteps(middle, (5, 4))) > float(family.timesteps(middle, (4, 4)))
