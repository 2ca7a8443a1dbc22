"""What a batch costs by diffusers' example scripts, written out with the stock pipelines' own methods."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from torch import Tensor


def sd15_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora.py."""
    latents = pipe.vae.encode(pixels).latent_dist.mode() * pipe.vae.config.scaling_factor
    noisy = DDPMScheduler.from_config(pipe.scheduler.config).add_noise(latents, noise, timesteps)
    text = pipe.encode_prompt(prompts, "cpu", 1, False)[0]
    return F.mse_loss(pipe.unet(noisy, timesteps, text).sample, noise)


def sdxl_loss(
    pipe: Any,
    pixels: Tensor,
    prompts: list[str],
    noise: Tensor,
    timesteps: Tensor,
    originals: list[tuple[int, int]] | None = None,
) -> Tensor:
    """train_dreambooth_lora_sdxl.py, for pictures that came in these sizes (the one that is trained) and were not cut."""
    latents = pipe.vae.encode(pixels).latent_dist.mode() * pipe.vae.config.scaling_factor
    noisy = DDPMScheduler.from_config(pipe.scheduler.config).add_noise(latents, noise, timesteps)
    text, _, pooled, _ = pipe.encode_prompt(prompts, device="cpu", do_classifier_free_guidance=False)
    corner, target = (0, 0), (pixels.shape[-2], pixels.shape[-1])
    framing = [[*original, *corner, *target] for original in originals or [target] * len(pixels)]
    added = {"time_ids": torch.tensor(framing), "text_embeds": pooled}
    said = pipe.unet(noisy, timesteps, text, added_cond_kwargs=added).sample
    return F.mse_loss(said.float(), noise.float())


def flux2_klein_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora_flux2_klein.py with its default weighting, none."""
    statistics = pipe.vae.bn.running_mean, (pipe.vae.bn.running_var + pipe.vae.config.batch_norm_eps).sqrt()
    mean, std = (values.reshape(1, -1, 1, 1) for values in statistics)
    latents = (pipe._patchify_latents(pipe.vae.encode(pixels).latent_dist.mode()) - mean) / std
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1)
    noisy = (1 - sigmas) * latents + sigmas * noise
    text, text_ids = pipe.encode_prompt(prompts)
    places = pipe._prepare_latent_ids(latents)
    said = pipe.transformer(
        hidden_states=pipe._pack_latents(noisy),
        timestep=timesteps / 1000,
        guidance=None,
        encoder_hidden_states=text,
        txt_ids=text_ids,
        img_ids=places,
        return_dict=False,
    )[0]
    errors = (pipe._unpack_latents_with_ids(said, places) - (noise - latents)) ** 2
    return errors.reshape(len(errors), -1).mean(1).mean()


def z_image_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora_z_image.py with its default weighting, none."""
    shift, scale = pipe.vae.config.shift_factor, pipe.vae.config.scaling_factor
    latents = (pipe.vae.encode(pixels).latent_dist.mode() - shift) * scale
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1)
    noisy = (1 - sigmas) * latents + sigmas * noise
    text, _ = pipe.encode_prompt([*prompts], device="cpu", do_classifier_free_guidance=False)
    said = pipe.transformer(list(noisy.unsqueeze(2).unbind(0)), (1000 - timesteps) / 1000, text, return_dict=False)[0]
    errors = (-torch.stack(said).squeeze(2) - (noise - latents)) ** 2
    return errors.reshape(len(errors), -1).mean(1).mean()


def qwen_image_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora_qwen_image.py with its default weighting, none."""
    config = pipe.vae.config
    mean, std = (torch.tensor(of).view(1, -1, 1, 1, 1) for of in (config.latents_mean, config.latents_std))
    latents = (pipe.vae.encode(pixels.unsqueeze(2)).latent_dist.mode() - mean) * (1 / std)
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1, 1)
    noise = noise.unsqueeze(2)
    noisy = (1 - sigmas) * latents + sigmas * noise
    text, mask = pipe.encode_prompt(prompts)
    count, channels, _, height, width = noisy.shape
    said = pipe.transformer(
        hidden_states=pipe._pack_latents(noisy.permute(0, 2, 1, 3, 4), count, channels, height, width),
        encoder_hidden_states=text,
        encoder_hidden_states_mask=mask,
        timestep=timesteps / 1000,
        img_shapes=[[(1, height // 2, width // 2)]] * count,
        return_dict=False,
    )[0]
    said = pipe._unpack_latents(
        said, height * pipe.vae_scale_factor, width * pipe.vae_scale_factor, pipe.vae_scale_factor
    )
    errors = (said - (noise - latents)) ** 2
    return errors.reshape(len(errors), -1).mean(1).mean()


def krea2_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora_krea2.py with its default weighting, none."""
    config = pipe.vae.config
    mean, std = (torch.tensor(of).view(1, -1, 1, 1, 1) for of in (config.latents_mean, config.latents_std))
    latents = ((pipe.vae.encode(pixels.unsqueeze(2)).latent_dist.mode() - mean) / std)[:, :, 0]
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1)
    noisy, count = (1 - sigmas) * latents + sigmas * noise, len(latents)
    text, mask = pipe.encode_prompt(prompts)
    said = pipe.transformer(
        hidden_states=pipe._pack_latents(noisy, *noisy.shape),
        encoder_hidden_states=text,
        timestep=timesteps / 1000,
        position_ids=pipe.prepare_position_ids(text.shape[1], noisy.shape[2] // 2, noisy.shape[3] // 2, "cpu"),
        encoder_attention_mask=mask,
        return_dict=False,
    )[0]
    errors = (said - pipe._pack_latents(noise - latents, *noisy.shape)) ** 2
    return errors.reshape(count, -1).mean(1).mean()


def sd35_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora_sd3.py with --weighting_scheme none and --precondition_outputs 0."""
    shift, scale = pipe.vae.config.shift_factor, pipe.vae.config.scaling_factor
    latents = (pipe.vae.encode(pixels).latent_dist.mode() - shift) * scale
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1)
    text, _, pooled, _ = pipe.encode_prompt(prompts, prompts, prompts, do_classifier_free_guidance=False)
    said = pipe.transformer(
        hidden_states=(1 - sigmas) * latents + sigmas * noise,
        timestep=timesteps,
        encoder_hidden_states=text,
        pooled_projections=pooled,
        return_dict=False,
    )[0]
    errors = (said - (noise - latents)) ** 2
    return errors.reshape(len(errors), -1).mean(1).mean()


def lumina2_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora_lumina2.py with its default weighting, none; it reads an empty prompt as the pipeline does."""
    config = pipe.vae.config
    latents = (pipe.vae.encode(pixels).latent_dist.mode() - config.shift_factor) * config.scaling_factor
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1)
    noisy = (1 - sigmas) * latents + sigmas * noise
    read = [pipe.encode_prompt(p, False)[:2] if p else pipe._get_gemma_prompt_embeds(p) for p in prompts]
    said = pipe.transformer(
        hidden_states=noisy,
        encoder_hidden_states=torch.cat([states for states, _ in read]),
        encoder_attention_mask=torch.cat([mask for _, mask in read]),
        timestep=1 - timesteps / 1000,
        return_dict=False,
    )[0]
    errors = (said - (latents - noise)) ** 2
    return errors.reshape(len(errors), -1).mean(1).mean()


def aura_flow_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """diffusers has no script for it: train_dreambooth_lora_sd3.py with no weighting, around this pipeline's own call."""
    latents = pipe.vae.encode(pixels).latent_dist.mode() * pipe.vae.config.scaling_factor
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1)
    text = pipe.encode_prompt(prompts, do_classifier_free_guidance=False)[0]
    said = pipe.transformer(
        (1 - sigmas) * latents + sigmas * noise,
        encoder_hidden_states=text,
        timestep=timesteps / 1000,
        return_dict=False,
    )[0]
    errors = (said - (noise - latents)) ** 2
    return errors.reshape(len(errors), -1).mean(1).mean()


def cogview4_loss(
    pipe: Any,
    pixels: Tensor,
    prompts: list[str],
    noise: Tensor,
    timesteps: Tensor,
    originals: list[tuple[int, int]] | None = None,
) -> Tensor:
    """The objective of train_control_cogview4.py with no weighting, without its control picture: there is no script for LoRA.

    It tells the time before the shift. Prompts are read one by one, as drawing does, where the script fills up a batch.
    """
    latents = pipe.vae.encode(pixels).latent_dist.mode() * pipe.vae.config.scaling_factor
    levels = (timesteps / 1000).reshape(-1, 1, 1, 1)
    noisy, target = (1 - levels) * latents + levels * noise, noise - latents
    mu = (noisy.shape[-2] * noisy.shape[-1] / 4 / 256) ** 0.5 * 0.75 + 0.25
    times = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    shifted = pipe.scheduler.time_shift(mu, 1.0, times)
    told = torch.from_numpy(np.interp(levels.flatten(), shifted, times) * 1000).float()
    size, corner = torch.tensor([[pixels.shape[-2], pixels.shape[-1]]]).float(), torch.zeros(1, 2)
    errors = []
    for n, prompt in enumerate(prompts):
        said = pipe.transformer(
            hidden_states=noisy[n : n + 1],
            encoder_hidden_states=pipe.encode_prompt(prompt, do_classifier_free_guidance=False)[0],
            timestep=told[n : n + 1],
            original_size=torch.tensor([originals[n]]).float() if originals else size,
            target_size=size,
            crop_coords=corner,
            return_dict=False,
        )[0]
        errors.append(((said - target[n]) ** 2).mean())
    return torch.stack(errors).mean()


PUBLIC: dict[str, Callable[[Any, Tensor, list[str], Tensor, Tensor], Tensor]] = {
    "sd15": sd15_loss,
    "sdxl": sdxl_loss,
    "flux2-klein": flux2_klein_loss,
    "z-image": z_image_loss,
    "qwen-image": qwen_image_loss,
    "krea2": krea2_loss,
    "sd35": sd35_loss,
    "lumina2": lumina2_loss,
    "aura-flow": aura_flow_loss,
    "cogview4": cogview4_loss,
}
