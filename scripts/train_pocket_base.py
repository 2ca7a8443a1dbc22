"""Train the pocket base from rendered people and save it in diffusers layout.

    accelerate launch scripts/train_pocket_base.py --config scripts/pocket_base/cpu.yaml \
        --people FOLDER [--people FOLDER ...] --work FOLDER --out FOLDER

Three stages, each kept in --work and skipped or continued when run again: autoencoder, latents, denoiser.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from likeness import files
from likeness.families.recipe import RECIPE_FILE
from scripts.building import begin, command_line, finish_base
from scripts.pocket_base import denoiser, pictures, text, vae
from scripts.pocket_base.pictures import Shot
from scripts.pocket_base.settings import BaseSettings


def train_vae(
    settings: BaseSettings, shots: list[Shot], pixels: torch.Tensor, work: Path, accelerator: Accelerator
) -> None:
    """Makes the autoencoder in `work`, all processes together."""
    trained = vae.train(settings, shots, pixels, work, accelerator)
    if accelerator.is_main_process:
        with files.new_folder(work / "vae") as new:
            trained.save_pretrained(new)
    accelerator.wait_for_everyone()


def latents_of(settings: BaseSettings, people: list[Path], work: Path, accelerator: Accelerator) -> dict:
    """{"latents": unscaled (N, C, h, w) float16, "captions": [N], "scaling_factor"} of all views, made once."""
    kept = work / "latents.pt"
    if _lacks(kept, accelerator):
        lacks_vae = _lacks(work / "vae", accelerator)
        if lacks_vae or accelerator.is_main_process:  # gigabytes, which the others need for the autoencoder alone
            shots = pictures.find_shots(people)
            pixels = pictures.read_pixels(shots)
        if lacks_vae:
            train_vae(settings, shots, pixels, work, accelerator)
        if accelerator.is_main_process:
            model = AutoencoderKL.from_pretrained(work / "vae", torch_dtype=torch.float32).to(accelerator.device).eval()
            made, captions = denoiser.encode_views(model, shots, pixels, settings, accelerator.device)
            part = kept.with_suffix(".tmp")
            torch.save({"latents": made, "captions": captions, "scaling_factor": model.config.scaling_factor}, part)
            part.replace(kept)
        accelerator.wait_for_everyone()
    return torch.load(kept, weights_only=True)


def _lacks(path: Path, accelerator: Accelerator) -> bool:
    """Whether it is not there yet: the same answer to all processes, of which none makes it before all have looked."""
    lacks = not path.exists()
    accelerator.wait_for_everyone()
    return lacks


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument(
        "--start", type=Path, help="a base to go on from: its autoencoder as it is, its denoiser trained on"
    )
    arguments = parser.parse_args()
    settings = BaseSettings.load(arguments.config, arguments.overrides)
    accelerator = begin(arguments.work, settings.mixed_precision, settings.seed)
    if arguments.start is not None and accelerator.is_main_process and not (arguments.work / "vae").exists():
        with files.new_folder(arguments.work / "vae") as new:
            shutil.copytree(arguments.start / "vae", new, dirs_exist_ok=True)
    accelerator.wait_for_everyone()
    data = latents_of(settings, arguments.people, arguments.work, accelerator)
    autoencoder = AutoencoderKL.from_pretrained(arguments.work / "vae", torch_dtype=torch.float32)
    autoencoder.register_to_config(scaling_factor=data["scaling_factor"])
    vae.settle_posterior(autoencoder)
    finish(settings, data, autoencoder, arguments, accelerator)


def models_of(
    settings: BaseSettings, data: dict, arguments: argparse.Namespace
) -> tuple[CLIPTokenizer, CLIPTextModel, UNet2DConditionModel]:
    """Tokenizer, text encoder and denoiser: those of `--start`, else new ones."""
    start, config = arguments.start, settings.denoiser
    if start is not None:
        text_encoder = CLIPTextModel.from_pretrained(start / "text_encoder", dtype=torch.float32)
        unet = UNet2DConditionModel.from_pretrained(start / "unet", torch_dtype=torch.float32)
        old = CLIPTokenizer.from_pretrained(start / "tokenizer")
        return text.learn_words(old, text_encoder, data["captions"], arguments.work / "tokenizer"), text_encoder, unet
    tokenizer = text.make_tokenizer(data["captions"], config, arguments.work / "tokenizer")
    _, channels, _, side = data["latents"].shape
    return tokenizer, text.build_text_encoder(tokenizer, config), denoiser.build_denoiser(config, channels, side)


def finish(
    settings: BaseSettings,
    data: dict,
    autoencoder: AutoencoderKL,
    arguments: argparse.Namespace,
    accelerator: Accelerator,
) -> None:
    """The last stage: train the denoiser and write the base."""
    tokenizer, text_encoder, unet = models_of(settings, data, arguments)

    def tokens(prompts: list[str]) -> torch.Tensor:
        length = tokenizer.model_max_length
        return tokenizer(
            prompts, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).input_ids

    latents = data["latents"] * data["scaling_factor"]
    denoiser.train(
        settings, unet, text_encoder, latents, tokens(data["captions"]), tokens([""])[0], arguments.work, accelerator
    )
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=denoiser.build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    if accelerator.is_main_process:
        pipeline.to("cpu", torch.float16).save_pretrained(arguments.out)
        # transformers loads in the type that is written here, diffusers in float32: one pipeline, one type.
        config = arguments.out / "text_encoder" / "config.json"
        files.write_json(config, json.loads(config.read_text(encoding="utf-8")) | {"dtype": "float32"})
        files.write_json(arguments.out / RECIPE_FILE, settings.recipe.model_dump(exclude_unset=True))
        finish_base(arguments.out)


if __name__ == "__main__":
    main()
