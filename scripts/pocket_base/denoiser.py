"""Train the pocket base's denoiser and text encoder on the latents of shown pictures.

v-prediction (Salimans & Ho 2022, arXiv:2202.00512) on a schedule with zero terminal SNR (Lin et al. 2023,
arXiv:2305.08891). Every noise level weighs the same, and levels are drawn from a normal density in log SNR, as Karras et al.
(2022, arXiv:2206.00364) do: most samples go to where structure is decided.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm
from transformers import CLIPTextModel

from .fit import fit, generator
from .pictures import Shot, View, caption, show
from .settings import BaseSettings, DenoiserSettings


def build_scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def build_denoiser(settings: DenoiserSettings, latent_channels: int, latent_size: int) -> UNet2DConditionModel:
    down = ["CrossAttnDownBlock2D" if looks else "DownBlock2D" for looks in settings.attention]
    up = ["CrossAttnUpBlock2D" if looks else "UpBlock2D" for looks in reversed(settings.attention)]
    return UNet2DConditionModel(
        sample_size=latent_size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=settings.channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        layers_per_block=settings.layers_per_block,
        cross_attention_dim=settings.text_width,
        # diffusers calls the number of heads "attention_head_dim" here (diffusers issue 2011).
        attention_head_dim=settings.heads,
    )


def noise_levels(mean: float, std: float) -> Tensor:
    """Cumulative probability (T,) of the timesteps 0..T-1: normal in log SNR, and a 50th at no signal at all."""
    alphas = build_scheduler().alphas_cumprod.double()
    snr = alphas / (1 - alphas)
    logs = snr[:-1].log()
    widths = -torch.gradient(logs)[0]
    density = torch.exp(-0.5 * ((logs - mean) / std) ** 2) * widths
    chances = torch.cat([0.98 * density / density.sum(), torch.tensor([0.02], dtype=torch.float64)])
    return chances.cumsum(0)


@torch.no_grad()
def encode_views(
    vae: AutoencoderKL, shots: list[Shot], pixels: Tensor, settings: BaseSettings, device: torch.device
) -> tuple[Tensor, list[str]]:
    """Latent means (N * views, C, h, w), float16, and a caption for each; the scaling factor is set on `vae` from them."""
    latents, captions, batch = [], [], 32
    for first in tqdm(range(0, len(shots), batch), "encoding", disable=None):
        shown, whole = [], pixels[first : first + batch].to(device)
        for index, shot in enumerate(shots[first : first + batch], first):
            for number in range(settings.denoiser.views):
                rng = np.random.default_rng([settings.seed, 2, index, number])
                view = View.draw(shot, rng)
                shown.append(show(whole[index - first], view, settings.size))
                captions.append(caption(shot, view, rng))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            latents.append(vae.encode(torch.stack(shown)).latent_dist.mean.half().cpu())
    stacked = torch.cat(latents)
    if vae.config.scaling_factor == 1.0:  # an autoencoder that a denoiser was trained on keeps its factor
        vae.register_to_config(scaling_factor=float(1 / stacked[:: len(stacked) // 5000 or 1].float().std()))
    return stacked, captions


class Denoising(torch.nn.Module):
    """Denoiser and text encoder as one module from latents to loss, which is what data parallelism wants."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder
        self.scheduler = build_scheduler()

    def forward(self, latents: Tensor, tokens: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Mean v loss of scaled latents (B, C, h, w) under captions (B, L)."""
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        target = self.scheduler.get_velocity(latents, noise, timesteps)
        # torch's fused attention on the CPU is slow backwards in bfloat16: 1.4 times a whole step of this denoiser.
        plain = latents.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        with sdpa_kernel(SDPBackend.MATH) if plain else nullcontext():
            made = self.unet(noisy, timesteps, self.text_encoder(tokens)[0]).sample.float()
        return (made - target).pow(2).mean()


def train(
    settings: BaseSettings,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    latents: Tensor,
    tokens: Tensor,
    empty: Tensor,
    out: Path,
    accelerator: Accelerator,
) -> None:
    """Train both models in place on SCALED latents (N, C, h, w) and token ids (N, L); `out/denoiser_state.pt` lets a later call go on."""
    config, device = settings.denoiser, accelerator.device
    levels = noise_levels(config.log_snr_mean, config.log_snr_std).to(device)
    latents, tokens, empty = latents.half().to(device), tokens.to(device), empty.to(device)
    batch, strata = config.batch, torch.arange(config.batch, device=device)

    def loss_of(model: torch.nn.Module, rng: np.random.Generator) -> Tensor:
        source = generator(rng, device)
        chosen = torch.randint(len(latents), (batch,), generator=source, device=device)
        dropped = torch.rand(batch, 1, generator=source, device=device) < config.caption_dropout
        words = torch.where(dropped, empty, tokens[chosen])
        noise = torch.randn(batch, *latents.shape[1:], generator=source, device=device)
        # Stratified timesteps: each batch covers the whole range, which calms the loss of a small batch.
        places = (strata + torch.rand(batch, generator=source, device=device)).double() / batch
        timesteps = torch.searchsorted(levels, places).clamp(max=len(levels) - 1)
        return model(latents[chosen].float(), words, noise, timesteps)

    model = Denoising(unet.to(memory_format=torch.channels_last), text_encoder).to(device)
    fit(model, loss_of, config, settings.seed, out / "denoiser_state.pt", accelerator, ema_decay=0.9995)
