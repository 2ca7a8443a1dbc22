"""The schedules against diffusers' own schedulers and training helpers, and against the formulas in float64."""

import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import compute_snr

from likeness.errors import LikenessError
from likeness.families import DiscreteSchedule, FlowSchedule

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
STEPS = torch.tensor([0, 1, 250, 500, 998, 999])
CASES = [("epsilon", False), ("v_prediction", False), ("v_prediction", True)]


def both(prediction: str, zero_snr: bool) -> tuple[DiscreteSchedule, DDPMScheduler]:
    theirs = DDPMScheduler(**BETAS, prediction_type=prediction, rescale_betas_zero_snr=zero_snr)
    return DiscreteSchedule.from_config(theirs.config), theirs


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(STEPS), 4, 8, 8)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


@pytest.mark.parametrize(("prediction", "zero_snr"), CASES)
def test_noise_target_and_snr_are_those_of_diffusers(prediction: str, zero_snr: bool) -> None:
    ours, theirs = both(prediction, zero_snr)
    x0, noise = batch(1)
    assert torch.equal(ours.add_noise(x0, noise, STEPS), theirs.add_noise(x0, noise, STEPS))
    expected = noise if prediction == "epsilon" else theirs.get_velocity(x0, noise, STEPS)
    assert torch.equal(ours.target(x0, noise, STEPS), expected)
    torch.testing.assert_close(ours.snr(STEPS), compute_snr(theirs, STEPS), rtol=1e-4, atol=1e-9)
    assert ours.num_train_timesteps == 1000


@pytest.mark.parametrize(("prediction", "zero_snr"), CASES)
@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_min_snr_weight_is_the_formula(prediction: str, zero_snr: bool, gamma: float) -> None:
    ours, theirs = both(prediction, zero_snr)
    alpha_bar = theirs.alphas_cumprod.double()[STEPS]
    snr = alpha_bar / (1 - alpha_bar)
    expected = snr.clamp(max=gamma) / (snr if prediction == "epsilon" else snr + 1)
    weight = ours.min_snr_weight(STEPS, gamma)
    torch.testing.assert_close(weight.double(), expected, rtol=1e-5, atol=1e-9)
    assert torch.isfinite(weight).all()


@pytest.mark.parametrize(("prediction", "zero_snr"), CASES)
def test_x0_is_recovered_from_a_perfect_prediction(prediction: str, zero_snr: bool) -> None:
    ours, _ = both(prediction, zero_snr)
    x0, noise = (tensor.double() for tensor in batch(2))
    noisy, target = ours.add_noise(x0, noise, STEPS), ours.target(x0, noise, STEPS)
    torch.testing.assert_close(ours.noise_to_x0(target, noisy, STEPS), x0, rtol=1e-5, atol=1e-5)


def test_at_zero_terminal_snr_the_last_step_is_pure_noise() -> None:
    ours, _ = both("v_prediction", True)
    x0, noise = batch(3)
    last = torch.full((len(x0),), 999)
    assert ours.zero_terminal_snr
    assert torch.equal(ours.add_noise(x0, noise, last), noise)
    assert torch.equal(ours.target(x0, noise, last), -x0)
    assert ours.snr(last).abs().max() == 0 and ours.min_snr_weight(last, 5.0).abs().max() == 0


def test_impossible_schedules_are_refused() -> None:
    zero = DDPMScheduler(**BETAS, rescale_betas_zero_snr=True).config
    with pytest.raises(LikenessError, match="zero terminal SNR"):
        DiscreteSchedule.from_config(zero)
    with pytest.raises(LikenessError, match="'sample'"):
        DiscreteSchedule(torch.linspace(0.9, 0.1, 10), "sample")


def test_quantiles_cover_every_timestep_evenly() -> None:
    ours, _ = both("epsilon", False)
    quantiles = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    counts = torch.bincount(ours.timesteps(quantiles, (8, 8)), minlength=1000)
    assert torch.equal(counts, torch.full((1000,), 4))


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_flow_is_noised_and_shifted_as_diffusers_does(shift: float) -> None:
    theirs, ours = FlowMatchEulerDiscreteScheduler(shift=shift), FlowSchedule(lambda size: shift)
    places = torch.tensor([0, 1, 300, 999])
    # diffusers' trainers draw a place in this table, which runs from noise to picture.
    timesteps = ours.timesteps(1 - places / 1000, (8, 8))
    torch.testing.assert_close(timesteps, theirs.timesteps[places], rtol=1e-5, atol=1e-3)
    x0, noise = (tensor[: len(places)] for tensor in batch(4))
    theirs_noisy = theirs.scale_noise(x0, theirs.timesteps[places], noise)
    torch.testing.assert_close(ours.add_noise(x0, noise, timesteps), theirs_noisy, rtol=1e-5, atol=1e-5)


def test_a_flow_leads_from_noise_to_the_picture_in_one_step_of_a_perfect_prediction() -> None:
    ours = FlowSchedule(lambda size: 2.0)
    x0, noise = (tensor.double() for tensor in batch(5))
    timesteps = torch.linspace(0, 1000, len(STEPS), dtype=torch.float64)
    noisy, target = ours.add_noise(x0, noise, timesteps), ours.target(x0, noise, timesteps)
    level = (timesteps / 1000).reshape(-1, 1, 1, 1)
    torch.testing.assert_close(noisy - level * target, x0)
    assert torch.equal(noisy[0], x0[0]) and torch.equal(noisy[-1], noise[-1])


def test_a_flow_shifts_by_the_size_of_the_latents() -> None:
    ours = FlowSchedule(lambda size: float(size[0]))
    assert ours.timesteps(torch.tensor([0.5]), (1, 1)).item() == pytest.approx(500)
    assert ours.timesteps(torch.tensor([0.5]), (3, 1)).item() == pytest.approx(750)


def test_min_snr_means_nothing_for_a_flow() -> None:
    with pytest.raises(LikenessError, match="flow matching.*min_snr_gamma"):
        FlowSchedule(lambda size: 1.0).min_snr_weight(torch.zeros(2), 5.0)
