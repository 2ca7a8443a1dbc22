"""The base that is shipped is the one that was measured, and needs no network."""

from __future__ import annotations

import torch

from likeness import resources
from tests.shipped import recorded

FOLDER = resources.assets() / "pocket"
LIMIT = 64 * 1024 * 1024


def test_files_are_those_recorded() -> None:
    assert sum(path.stat().st_size for path in recorded(FOLDER)) <= LIMIT


def test_plain_diffusers_loads_and_draws_offline() -> None:
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(FOLDER, local_files_only=True)
    assert {part.dtype for part in (pipe.unet, pipe.vae, pipe.text_encoder)} == {torch.float32}
    pipe.set_progress_bar_config(disable=True)
    size = pipe.unet.config.sample_size * pipe.vae_scale_factor
    picture = pipe("a headshot of a person, grey studio background", num_inference_steps=2, guidance_scale=2.0).images[
        0
    ]
    assert picture.size == (size, size)


def test_any_text_can_be_written() -> None:
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(FOLDER / "tokenizer")
    text = "zürich 漢字 🙂 zqx!"
    assert "".join(tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True).split()) == "".join(
        text.split()
    )
