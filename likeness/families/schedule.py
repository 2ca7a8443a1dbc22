"""What a family is trained to predict: how noise is added, what the target is, how a timestep is weighted.

The trainer asks nothing of either kind but what `Schedule` says. Discrete diffusion as in DDPM (Ho et al. 2020, arXiv
2006.11239) with the epsilon objective or the v objective (Salimans and Ho 2022, arXiv 2202.00512). With
a = sqrt(alpha_bar_t) and s = sqrt(1 - alpha_bar_t):

    noisy = a x0 + s noise          v = a noise - s x0          snr = a^2 / s^2

Rectified flow (Liu et al. 2022, arXiv 2209.03003; Lipman et al. 2022, arXiv 2210.02747), with t from 0 (clean) to 1:

    noisy = (1 - t) x0 + t noise    target = noise - x0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from likeness.errors import LikenessError

Prediction = Literal["epsilon", "v_prediction"]

Kind = Literal["diffusion", "flow"]

Size = tuple[int, int]
"""Height and width of latents."""


class Schedule(Protocol):
    """Noise levels and the objective at each. Tensors are (B, ...), with timesteps (B,) as the denoiser counts them."""

    kind: ClassVar[Kind]

    @property
    def num_train_timesteps(self) -> int:
        """Timesteps lie in [0, num_train_timesteps], from clean to noise."""

    @property
    def guidance_rescale(self) -> float:
        """How much of guidance's over-exposure to take back, in [0, 1], where the base's own recipe does not say."""

    def timesteps(self, quantile: Tensor, size: Size) -> Tensor:
        """Timesteps at quantiles in [0, 1) of the training density for latents of that size."""

    def add_noise(self, x0: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser sees, in the dtype of `x0`."""

    def target(self, x0: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser should say of it."""

    def noise_to_x0(self, prediction: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """The clean latents that follow from what the denoiser said of `noisy`."""

    def signal(self, timesteps: Tensor) -> Tensor:
        """Share of the picture in the power of what the denoiser sees, (B,) float32 in [0, 1]: snr / (snr + 1)."""

    def min_snr_weight(self, timesteps: Tensor, gamma: float) -> Tensor:
        """Min-SNR-gamma loss weight (B,) float32. Raises LikenessError where the weighting means nothing."""


class DiscreteSchedule:
    """A table of alpha_bar over timesteps 0..T-1 and the objective that was trained on it.

    All tensors are (B, ...) with timesteps (B,) int64; the arithmetic is done in the dtype of `x0`.
    """

    kind: ClassVar[Kind] = "diffusion"

    def __init__(self, alphas_cumprod: Tensor, prediction_type: str) -> None:
        """Raises LikenessError for an unknown objective, or epsilon where the last step holds no signal at all."""
        if prediction_type not in ("epsilon", "v_prediction"):
            raise LikenessError(f"a base trained on '{prediction_type}' cannot be used", "Use an epsilon or v base")
        if prediction_type == "epsilon" and float(alphas_cumprod[-1]) <= 0:
            raise LikenessError(
                "the base's scheduler has zero terminal SNR with the epsilon objective, from which no picture follows",
                "Set prediction_type to v_prediction, or rescale_betas_zero_snr to false, in scheduler_config.json",
            )
        self.alphas_cumprod = alphas_cumprod.detach().to("cpu", torch.float32)
        self.prediction_type: Prediction = prediction_type  # type: ignore[assignment]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DiscreteSchedule:
        """The schedule that a diffusers scheduler config describes (betas, zero-SNR rescaling, objective)."""
        from diffusers import DDPMScheduler

        scheduler: Any = DDPMScheduler.from_config(dict(config))
        return cls(scheduler.alphas_cumprod, scheduler.config.prediction_type)

    @property
    def num_train_timesteps(self) -> int:
        return len(self.alphas_cumprod)

    @property
    def zero_terminal_snr(self) -> bool:
        """Whether the last timestep is pure noise (Lin et al. 2023, arXiv 2305.08891)."""
        return float(self.alphas_cumprod[-1]) <= 0

    @property
    def guidance_rescale(self) -> float:
        """0.7, as Lin et al. advise, where the terminal SNR is zero."""
        return 0.7 if self.zero_terminal_snr else 0.0

    def timesteps(self, quantile: Tensor, size: Size) -> Tensor:
        """Timesteps (int64) at quantiles in [0, 1) of the training density, which is uniform, whatever the size."""
        return (quantile * self.num_train_timesteps).long().clamp(0, self.num_train_timesteps - 1)

    def add_noise(self, x0: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        signal, sigma = self._coefficients(timesteps, x0)
        return signal * x0 + sigma * noise

    def target(self, x0: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser should say: the noise, or v."""
        if self.prediction_type == "epsilon":
            return noise
        signal, sigma = self._coefficients(timesteps, x0)
        return signal * noise - sigma * x0

    def noise_to_x0(self, prediction: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """The clean latents that follow from what the denoiser said of `noisy`."""
        signal, sigma = self._coefficients(timesteps, noisy)
        if self.prediction_type == "epsilon":
            return (noisy - sigma * prediction) / signal
        return signal * noisy - sigma * prediction

    def signal(self, timesteps: Tensor) -> Tensor:
        """alpha_bar, (B,) float32."""
        return self.alphas_cumprod.to(timesteps.device)[timesteps]

    def snr(self, timesteps: Tensor) -> Tensor:
        """alpha_bar / (1 - alpha_bar), (B,) float32; 0 at a zero terminal step."""
        alpha_bar = self.signal(timesteps)
        return alpha_bar / (1 - alpha_bar)

    def min_snr_weight(self, timesteps: Tensor, gamma: float) -> Tensor:
        """Min-SNR-gamma loss weight (Hang et al. 2023, arXiv 2303.09556), (B,) float32.

        In terms of the x0 loss the weight is min(snr, gamma); an epsilon loss is that of x0 times snr and a v loss
        that of x0 times snr + 1, hence the divisors.
        """
        snr = self.snr(timesteps)
        divisor = snr if self.prediction_type == "epsilon" else snr + 1
        return snr.clamp(max=gamma) / divisor

    def _coefficients(self, timesteps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha_bar) and sqrt(1 - alpha_bar), shaped (B, 1, ...) to multiply `like`, rounded to its dtype last."""
        alpha_bar = self.signal(timesteps.to(like.device)).reshape(-1, *[1] * (like.ndim - 1))
        return alpha_bar.sqrt().to(like.dtype), (1 - alpha_bar).sqrt().to(like.dtype)


class FlowSchedule:
    """A straight path from the picture to noise, trained more densely towards noise the larger the picture.

    The density is uniform in t shifted to s t / (1 + (s - 1) t) (Esser et al. 2024, arXiv 2403.03206, section 5.3.2).
    Timesteps (B,) are float32 and not rounded to whole ones.
    """

    kind: ClassVar[Kind] = "flow"
    guidance_rescale = 0.0

    def __init__(self, shift: Callable[[Size], float], num_train_timesteps: int = 1000) -> None:
        """`shift` gives s, above 0, for the size of latents; 1 leaves the density uniform."""
        self.shift = shift
        self.num_train_timesteps = num_train_timesteps

    def timesteps(self, quantile: Tensor, size: Size) -> Tensor:
        """Timesteps (float32) at quantiles in [0, 1) of the shifted density."""
        shift, level = self.shift(size), quantile.float()
        return shift * level / (1 + (shift - 1) * level) * self.num_train_timesteps

    def add_noise(self, x0: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        level = self._level(timesteps, x0)
        return (1 - level) * x0 + level * noise

    def target(self, x0: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The velocity from picture to noise, the same at every timestep."""
        return noise - x0

    def noise_to_x0(self, prediction: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """The clean latents that follow from a velocity."""
        return noisy - self._level(timesteps, noisy) * prediction

    def signal(self, timesteps: Tensor) -> Tensor:
        """(1 - t)^2 / ((1 - t)^2 + t^2), (B,) float32: unlike diffusion's, a flow's powers do not add up to 1."""
        level = timesteps.float() / self.num_train_timesteps
        return (1 - level).square() / ((1 - level).square() + level.square())

    def min_snr_weight(self, timesteps: Tensor, gamma: float) -> Tensor:
        """Raises LikenessError: the weighting balances epsilon's or v's share of each level, and a flow has neither."""
        raise LikenessError(
            "min-SNR weighting has no meaning for a base trained by flow matching",
            "Set objective.min_snr_gamma to null; objective.timesteps says which noise levels are trained",
        )

    def _level(self, timesteps: Tensor, like: Tensor) -> Tensor:
        """t in [0, 1], shaped (B, 1, ...) to multiply `like`."""
        level = (timesteps / self.num_train_timesteps).to(like.device, like.dtype)
        return level.reshape(-1, *[1] * (like.ndim - 1))
