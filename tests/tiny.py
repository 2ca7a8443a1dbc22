"""A tiny random Stable Diffusion base in the true classes and the true folder layout, made offline in about a second.

It draws nothing sensible; it is for everything that must hold whatever the weights are: loading, encoding, LoRA
injection, saving, rendering, seeds. Sizes: 32 px pictures, latents (4, 8, 8) (VAE factor 4), text of 77 tokens
(or `text_length`), one token a letter.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

RESOLUTION = 32
TEXT_WIDTH = 16

PredictionType = Literal["epsilon", "v_prediction"]


def make_tiny_base(
    folder: Path,
    prediction_type: PredictionType = "epsilon",
    seed: int = 0,
    text_length: int = 77,
    dtype: torch.dtype = torch.float32,
    variant: str | None = None,
) -> Path:
    """Write the base to `folder` and return it. The same seed gives the same weights.

    `dtype` and `variant` (such as "fp16") say how the weights are stored, for tests of loading.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline: Any = StableDiffusionPipeline(
            vae=_vae(),
            text_encoder=_text_encoder(text_length),
            tokenizer=_tokenizer(text_length),
            unet=_unet(),
            scheduler=_scheduler(prediction_type),
            safety_checker=None,  # type: ignore[arg-type]
            feature_extractor=None,  # type: ignore[arg-type]
            requires_safety_checker=False,
        )
    pipeline.to(dtype).save_pretrained(folder, variant=variant)
    return Path(folder)


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=RESOLUTION // 4,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=4,
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(8, 8, 8),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=4,
        sample_size=RESOLUTION,
        scaling_factor=0.5,
    )


def _text_encoder(text_length: int) -> CLIPTextModel:
    vocabulary = _vocabulary()
    config = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=text_length,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
        pad_token_id=vocabulary["<|endoftext|>"],
    )
    return CLIPTextModel(config).eval()


def _vocabulary() -> dict[str, int]:
    letters = sorted(ByteLevel.alphabet())
    words = letters + [f"{letter}</w>" for letter in letters] + ["<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}


def _tokenizer(text_length: int) -> CLIPTokenizer:
    """CLIP's byte-level BPE without a single merge: one token a letter, so any text can be read."""
    return CLIPTokenizer(vocab=_vocabulary(), merges=[], model_max_length=text_length)


def _scheduler(prediction_type: PredictionType) -> PNDMScheduler | DDIMScheduler:
    """As Stable Diffusion 1.5 ships (epsilon), or zero terminal SNR (v), which is what pocket does."""
    betas: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    if prediction_type == "epsilon":
        return PNDMScheduler(**betas, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    return DDIMScheduler(
        **betas,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=True,
    )
