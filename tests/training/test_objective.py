"""The loss against diffusers' DreamBooth trainers, written anew from their formula in float64."""

import math

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch import Tensor

from likeness.families import DiscreteSchedule
from training.objective import (
    ObjectiveSettings,
    PriorSettings,
    TimestepSettings,
    face_weights,
    losses,
    sample_losses,
    timestep_positions,
    timestep_quantile,
)

GAMMA = 5.0


def scheduler_of(prediction: str) -> DDPMScheduler:
    return DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction, clip_sample=False
    )


def theirs(
    scheduler: DDPMScheduler,
    prediction: Tensor,
    latents: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    person: int,
    gamma: float | None,
    prior_weight: float,
) -> Tensor:
    """train_dreambooth(_lora).py: the batch is person then class; the prior's loss is added plain, times its weight.

    Its SNR weights for v are min(snr, gamma) / snr + 1, unlike the paper's and diffusers' own text-to-image trainers',
    min(snr, gamma) / (snr + 1), which are the ones taken here.
    """
    velocity = scheduler.config.prediction_type == "v_prediction"
    target = scheduler.get_velocity(latents, noise, timesteps) if velocity else noise
    squares = (prediction - target) ** 2
    loss = squares[:person].mean()
    if gamma is not None:
        snr = compute_snr(scheduler, timesteps[:person]).double()
        weights = torch.minimum(snr, torch.full_like(snr, gamma)) / (snr + 1 if velocity else snr)
        loss = (squares[:person].mean(dim=(1, 2, 3)) * weights).mean()
    if person < len(squares):
        loss = loss + prior_weight * squares[person:].mean()
    return loss


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("gamma", [None, GAMMA])
@pytest.mark.parametrize("prior", [0, 3])
def test_equals_diffusers_dreambooth(prediction: str, gamma: float | None, prior: int) -> None:
    generator = torch.Generator().manual_seed(1)
    person = 4
    latents, noise, predicted = torch.randn(3, person + prior, 4, 8, 8, generator=generator, dtype=torch.float64)
    timesteps = torch.randint(0, 1000, (person + prior,), generator=generator)
    scheduler = scheduler_of(prediction)
    expected = theirs(scheduler, predicted, latents, noise, timesteps, person, gamma, prior_weight=0.7)

    schedule = DiscreteSchedule.from_config(scheduler.config)
    settings = ObjectiveSettings(min_snr_gamma=gamma, prior=PriorSettings(weight=0.7))
    target = schedule.target(latents, noise, timesteps)
    found = losses(settings, schedule, predicted, target, timesteps[:person], mask=None)

    assert found.total.dtype == torch.float64
    torch.testing.assert_close(found.total, expected, rtol=1e-6, atol=0)
    assert len(found.person) == person and len(found.prior) == prior


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_what_the_network_sees_equals_diffusers(prediction: str) -> None:
    generator = torch.Generator().manual_seed(2)
    latents, noise = torch.randn(2, 5, 4, 8, 8, generator=generator, dtype=torch.float64)
    timesteps = torch.tensor([0, 1, 499, 998, 999])
    scheduler = scheduler_of(prediction)
    noisy = DiscreteSchedule.from_config(scheduler.config).add_noise(latents, noise, timesteps)
    torch.testing.assert_close(noisy, scheduler.add_noise(latents, noise, timesteps), rtol=1e-6, atol=1e-6)


def test_a_uniform_mask_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(3)
    predicted, target = torch.randn(2, 4, 4, 8, 8, generator=generator)
    weights = face_weights(torch.full((4, 1, 8, 8), 0.3), floor=0.2)
    torch.testing.assert_close(sample_losses(predicted, target, weights), sample_losses(predicted, target))


def test_face_weights_have_mean_one_and_the_floor_between_background_and_face() -> None:
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, :, 2:4, 2:4] = 1
    mask[1, :, :7] = 1
    weights = face_weights(mask, floor=0.2)
    torch.testing.assert_close(weights.mean(dim=(1, 2, 3)), torch.ones(2))
    for picture, covered in zip(weights, mask, strict=True):
        assert float(picture[covered == 0].max()) == pytest.approx(0.2 * float(picture[covered == 1].min()))


def test_the_person_s_errors_count_by_the_face_and_the_prior_s_all_alike() -> None:
    generator = torch.Generator().manual_seed(4)
    predicted, target = torch.randn(2, 5, 4, 8, 8, generator=generator, dtype=torch.float64)
    mask = torch.rand(3, 1, 8, 8, generator=generator, dtype=torch.float64)
    settings = ObjectiveSettings(background_floor=0.3, prior=PriorSettings(weight=0.7))
    schedule = DiscreteSchedule.from_config(scheduler_of("epsilon").config)
    found = losses(settings, schedule, predicted, target, torch.tensor([10, 500, 900]), mask)
    squares, weights = (predicted - target) ** 2, 0.3 + 0.7 * mask
    person = [float((w * s).sum() / (w.sum() * len(s))) for w, s in zip(weights, squares, strict=False)]
    assert found.person.tolist() == pytest.approx(person)
    assert float(found.total) == pytest.approx(sum(person) / 3 + 0.7 * float(squares[3:].mean()))


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_uniform_density_is_shifted_as_stable_diffusion_3_shifts(shift: float) -> None:
    quantiles = torch.linspace(0, 0.999, 50)
    found = timestep_positions(quantiles, TimestepSettings(shift=shift))
    torch.testing.assert_close(found, shift * quantiles / (1 + (shift - 1) * quantiles))


@pytest.mark.parametrize(
    "settings",
    [
        TimestepSettings(),
        TimestepSettings(shift=0.4),
        TimestepSettings(density="logit-normal", mean=-0.5, std=1.7),
        TimestepSettings(density="logit-normal", mean=0.3, std=0.8, shift=3),
    ],
)
def test_the_quantile_of_a_noise_level_leads_back_to_it(settings: TimestepSettings) -> None:
    for level in (0.08, 0.2, 0.5, 0.93):
        quantile = torch.tensor([timestep_quantile(level, settings)], dtype=torch.float64)
        assert float(timestep_positions(quantile, settings)) == pytest.approx(level, rel=1e-6)
    assert (timestep_quantile(0, settings), timestep_quantile(1, settings)) == (0, 1)


def test_logit_normal_density_has_its_moments() -> None:
    quantiles = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    positions = timestep_positions(quantiles, TimestepSettings(density="logit-normal", mean=-0.4, std=0.8))
    logits = torch.log(positions / (1 - positions))
    assert float(logits.mean()) == pytest.approx(-0.4, abs=1e-3)
    assert float(logits.std()) == pytest.approx(0.8, abs=2e-3)
    assert math.isclose(float(positions.median()), 1 / (1 + math.exp(0.4)), abs_tol=1e-3)
