"""The identity loss on a tiny random recogniser: the term itself, where its gradient goes, and a run that trains with it."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from likeness import randomness
from likeness.adapter_file import read_info
from likeness.errors import LikenessError
from likeness.faces.world import WorldRecogniser, WorldSettings, align
from likeness.families import DiscreteSchedule, load_family
from likeness.families.schedule import FlowSchedule
from likeness.person import Person
from tests.training.runs import config, metrics
from training import identity, setup
from training.identity import IdentityLoss
from training.objective import IdentitySettings, Losses
from training.run import train

POINTS = torch.tensor([[11.0, 13.0], [20.0, 13.0], [15.5, 18.0], [12.0, 23.0], [19.0, 23.0]])


def recogniser() -> WorldRecogniser:
    """Random weights from counters, frozen."""
    settings = WorldSettings(id="tiny", side=16, stem=4, widths=(8,), blocks=(1,), dim=8)
    network = WorldRecogniser(settings).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        parameter.copy_(randomness.normal(parameter.shape, 0, "recogniser", name) * 0.3)
    return network


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_picture_behind_the_noise_is_found_again(prediction: str) -> None:
    schedule = DiscreteSchedule(torch.linspace(0.999, 0.01, 10), prediction)
    x0, noise = (randomness.normal((3, 4, 2, 2), 0, name) for name in ("x0", "noise"))
    for one, timesteps in (
        (schedule, torch.tensor([0, 4, 9])),
        (FlowSchedule(lambda size: 1.0), torch.tensor([0.0, 400.0, 900.0])),
    ):
        noisy = one.add_noise(x0, noise, timesteps)
        torch.testing.assert_close(one.noise_to_x0(one.target(x0, noise, timesteps), noisy, timesteps), x0)
        # What the picture is multiplied by, squared, beside what the noise is.
        ones, zeros = torch.ones_like(x0), torch.zeros_like(x0)
        picture, rest = (
            one.add_noise(*pair, timesteps)[:, 0, 0, 0].square() for pair in ((ones, zeros), (zeros, ones))
        )
        torch.testing.assert_close(one.signal(timesteps), picture / (picture + rest))


def parts(base: Path, **settings: Any) -> tuple[IdentityLoss, Any, WorldRecogniser, Tensor]:
    family, network = load_family(str(base)), recogniser()
    target = F.normalize(randomness.normal((8,), 0, "target"), dim=0)
    return (
        IdentityLoss(IdentitySettings(**{"weight": 2.0, **settings}), family, network, target),
        family,
        network,
        target,
    )


def test_the_term_is_the_weighted_distance_of_what_is_clean_enough(v_base: Path) -> None:
    loss, family, network, target = parts(v_base)
    schedule, timesteps = family.schedule, torch.tensor([50, 900, 50])
    x0, noise = (randomness.normal((3, 4, 8, 8), 0, name) for name in ("x0", "noise"))
    noisy, truth = schedule.add_noise(x0, noise, timesteps), schedule.target(x0, noise, timesteps)
    points = torch.stack([POINTS, POINTS, torch.full((5, 2), torch.nan)])
    prediction = truth.clone().requires_grad_()
    cost = loss.add(Losses(torch.tensor(0.5), torch.zeros(3), torch.zeros(0)), prediction, noisy, timesteps, points)
    # By hand: the first sample alone counts, for the second is nearly noise, and the third has no face.
    pixels = family.decode_latents(x0[:1])
    cosine = float(network(align(pixels, POINTS[None], 16))[0] @ target)
    signal = float(schedule.alphas_cumprod[50])
    assert float(cost.total.detach()) == pytest.approx(0.5 + 2.0 * signal * (1 - cosine) / 3, abs=1e-4)
    cost.total.backward()
    assert prediction.grad is not None and prediction.grad[0].abs().max() > 0
    assert not prediction.grad[1:].any()


def test_going_down_the_gradient_brings_the_face_nearer(v_base: Path) -> None:
    loss, *_ = parts(v_base)
    timesteps, nothing = torch.tensor([50]), Losses(torch.tensor(0.0), torch.zeros(1), torch.zeros(0))
    noisy = randomness.normal((1, 4, 8, 8), 0, "noisy")
    prediction = torch.zeros_like(noisy).requires_grad_()
    optimizer, found = torch.optim.Adam([prediction], lr=0.3), []
    for _ in range(10):
        total = loss.add(nothing, prediction, noisy, timesteps, POINTS[None]).total
        found.append(float(total.detach()))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert found[-1] < found[0]


def test_where_nothing_can_be_judged_nothing_is_added(v_base: Path) -> None:
    loss, *_ = parts(v_base)
    cost = Losses(torch.tensor(0.5), torch.zeros(1), torch.zeros(0))
    noisy = torch.zeros(1, 4, 8, 8)
    assert loss.add(cost, noisy, noisy, torch.tensor([999]), POINTS[None]) is cost
    assert loss.add(cost, noisy, noisy, torch.tensor([1]), POINTS[None] * torch.nan) is cost


class Seen(identity.Looker):
    """Finds a face in the same place on every portrait: the made ones show none."""

    def points(self, row: Any, flip: bool) -> Tensor:
        self._vectors.append(F.normalize(randomness.normal((8,), 0, "vector"), dim=0))
        return POINTS


def test_a_run_trains_with_it_and_goes_on_exactly(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "Looker", Seen)
    monkeypatch.setattr(setup.world, "load", recogniser)
    with_it = {"objective": {"identity": {"weight": 5.0, "least_signal": 0.01}}}
    train(config(v_base, person, **with_it, steps=2))
    train(config(v_base, person, **with_it, steps=4))
    train(config(v_base, person, **with_it, steps=4, name="straight"))
    train(config(v_base, person, steps=4, name="without"))
    runs = {name: [line["loss"] for line in metrics(person, name)] for name in ("run", "straight", "without")}
    assert runs["run"] == runs["straight"]
    assert all(one > other for one, other in zip(runs["run"], runs["without"], strict=True))
    infos = {name: read_info(person.adapters / name) for name in ("run", "without")}
    told = {name: info.trained_by for name, info in infos.items() if info is not None}
    assert told == {"run": recogniser().settings.id, "without": None}


def test_who_trains_does_not_select(v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "Looker", Seen)
    monkeypatch.setattr(setup.world, "load", recogniser)
    changes = {"objective": {"identity": {"weight": 1.0}}, "selection": {"recogniser": "world"}}
    with pytest.raises(LikenessError, match="select"):
        train(config(v_base, person, **changes))


def test_portraits_without_a_face_are_one_line() -> None:
    from likeness.faces import FaceFinder

    with pytest.raises(LikenessError, match="no face"):
        identity.Looker(recogniser(), FaceFinder()).target()
