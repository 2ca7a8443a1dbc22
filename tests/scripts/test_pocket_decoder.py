"""What the pocket base's decoder is refined by: texture wherever its grains lie, and latents as a denoiser gives them."""

from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch.nn.functional import avg_pool2d

from scripts.pocket_base.softening import NOISED, Softening
from scripts.pocket_base.texture import PERIODS, WINDOW, texture_error, weave
from tests import tiny

SIDE = 96


def noise(seed: int, strength: float = 0.1) -> torch.Tensor:
    return strength * torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_grains_elsewhere_are_no_error_and_missing_ones_are() -> None:
    ones = torch.ones(2, 1, SIDE, SIDE)
    real, other = noise(1), noise(2)
    smooth = avg_pool2d(real, 3, stride=1, padding=1)
    elsewhere = float(texture_error(other, real, ones))
    assert (other - real).square().mean() > (smooth - real).square().mean()
    assert elsewhere < 0.25
    assert float(texture_error(smooth, real, ones)) > 0.4
    assert float(texture_error(2 * other, real, ones)) > 0.7
    # In parts of the real texture: a fainter one counts as much.
    assert float(texture_error(other / 4, real / 4, ones)) == pytest.approx(elsewhere, abs=0.06)


def test_it_is_looked_for_where_the_weights_are() -> None:
    weights = torch.zeros(2, 1, SIDE, SIDE)
    weights[..., : SIDE // 2, :] = 2.0
    real, half = noise(1), noise(1)
    half[..., SIDE // 2 + WINDOW :, :] = 0
    at = [float(texture_error(half, real, one)) for one in (weights, weights.flip(2))]
    # What comes back is compared everywhere, weights or not.
    assert at[1] > at[0] + 0.4


@pytest.mark.parametrize("period", PERIODS)
def test_a_texture_that_comes_back_is_a_weave(period: int) -> None:
    tile = noise(3)[..., :period, :period]
    tiled = tile.tile(1, 1, SIDE // period, SIDE // period)
    assert weave(noise(2)).mean((0, 1)).tolist() == pytest.approx([1, 1, 1, 1], abs=0.35)
    found = weave(tiled).mean((0, 1))
    at = PERIODS.index(period)
    # All of it comes back with its own period and its multiples.
    for place, each in enumerate(PERIODS[at:], at):
        assert float(found[place]) == pytest.approx((2 * WINDOW / each) ** 2, rel=0.01)
    ones = torch.ones(2, 1, SIDE, SIDE)
    assert float(texture_error(tiled, noise(1), ones)) > 3 * float(texture_error(noise(2), noise(1), ones))


def test_every_second_latent_is_what_the_denoiser_makes_of_it(tmp_path: Path) -> None:
    base = tiny.make_tiny_base(tmp_path / "base", prediction_type="v_prediction")
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    scheduler = DDIMScheduler.from_pretrained(base / "scheduler", clip_sample=False)
    scheduler.set_timesteps(scheduler.config.num_train_timesteps)
    soft = Softening(base, torch.device("cpu"))
    shape = (4, unet.config.in_channels, 8, 8)
    latents, extra = torch.randn(shape), torch.randn(shape)
    torch.manual_seed(3)
    made = soft(latents, extra)
    torch.manual_seed(3)
    timesteps = torch.randint(*NOISED, (4,))
    assert torch.equal(made[::2], latents[::2])
    for row in (1, 3):
        at = timesteps[row]
        noisy = scheduler.add_noise(latents[row : row + 1] * soft.scale, extra[row : row + 1], at[None])
        with torch.no_grad():
            velocity = unet(noisy, at, soft.nothing).sample
        wanted = scheduler.step(velocity, int(at), noisy).pred_original_sample / soft.scale
        torch.testing.assert_close(made[row : row + 1], wanted, rtol=1e-4, atol=1e-4)
