"""What is logged is the means over what came since, by noise level too."""

import pytest
import torch

from training.metrics import Meter


def test_numbers_are_the_means_since_they_were_last_read() -> None:
    generator, meter = torch.Generator().manual_seed(0), Meter(1000)
    average: float | None = None
    for steps in (1, 3, 8):
        totals = torch.rand(steps, generator=generator)
        person, prior = torch.rand(steps, 4, generator=generator), torch.rand(steps, 2, generator=generator)
        timesteps = torch.randint(0, 1001, (steps, 4), generator=generator)
        for row in range(steps):
            meter.add(totals[row], person[row], prior[row], timesteps[row])
            average = float(totals[row]) if average is None else 0.98 * average + 0.02 * float(totals[row])
        found = meter.read()
        expected = {"loss": totals.mean(), "loss_person": person.mean(), "loss_prior": prior.mean()}
        for low, high in ((0, 250), (250, 500), (500, 750), (750, 1001)):
            inside = person[(timesteps >= low) & (timesteps < high)]
            if len(inside):
                name = f"loss_by_timestep/{low // 10:02d}-{min(high // 10, 100)}"
                expected[name] = inside.mean()
        assert {key: found[key] for key in expected} == pytest.approx({k: float(v) for k, v in expected.items()})
        assert found["loss_average"] == pytest.approx(average) and meter.average == pytest.approx(average)
        assert {key for key in found if key.startswith("loss_by")} == {k for k in expected if k.startswith("loss_by")}


def test_without_a_prior_nothing_is_said_of_one() -> None:
    meter = Meter(1000)
    meter.add(torch.tensor(1.0), torch.ones(2), torch.ones(0), torch.zeros(2))
    assert "loss_prior" not in meter.read()
