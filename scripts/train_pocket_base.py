"""Train the pocket base from rendered people and save it in diffusers layout.

    accelerate launch scripts/train_pocket_base.py --config scripts/pocket_base/cpu.yaml \
        --people FOLDER [--people FOLDER ...] --work FOLDER --out FOLDER

Three stages, each kept in --work and skipped or continued when run again: autoencoder, latents, denoiser.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL, StableDiffusionPipeline

from likeness import files
from likeness.families.base import RECIPE_FILE
from scripts.pocket_base import denoiser, pictures, text, vae
from scripts.pocket_base.settings import BaseSettings


def train_vae(settings: BaseSettings, pixels: torch.Tensor, work: Path, accelerator: Accelerator) -> AutoencoderKL:
    folder = work / "vae"
    if not folder.exists():
        vae.train(settings, pixels, work, accelerator).save_pretrained(folder)
    return AutoencoderKL.from_pretrained(folder).to(accelerator.device).eval()


def latents_of(
    settings: BaseSettings, model: AutoencoderKL, people: list[Path], work: Path, device: torch.device
) -> dict:
    """{"latents": unscaled (N, C, h, w) float16, "captions": [N], "scaling_factor"} of all views, made once."""
    kept = work / "latents.pt"
    if not kept.exists():
        shots = pictures.find_shots(people)
        made, captions = denoiser.encode_views(
            model, shots, pictures.read_pixels(shots, settings.size), settings, device
        )
        torch.save({"latents": made, "captions": captions, "scaling_factor": model.config.scaling_factor}, kept)
    return torch.load(kept, weights_only=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--people", type=Path, action="append", required=True, help="folder of rendered people")
    parser.add_argument("--work", type=Path, required=True, help="where the stages are kept")
    parser.add_argument("--out", type=Path, required=True, help="the finished base")
    parser.add_argument("overrides", nargs="*", help="settings as key=value")
    arguments = parser.parse_args()
    settings = BaseSettings.load(arguments.config, arguments.overrides)
    accelerator = Accelerator(mixed_precision=settings.mixed_precision)
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)

    pixels = torch.empty(0)
    if not (arguments.work / "vae").exists():
        pixels = pictures.read_pixels(pictures.find_shots(arguments.people), settings.size)
    autoencoder = train_vae(settings, pixels, arguments.work, accelerator)
    data = latents_of(settings, autoencoder, arguments.people, arguments.work, accelerator.device)
    autoencoder.register_to_config(scaling_factor=data["scaling_factor"])
    save(settings, data, autoencoder, arguments, accelerator)


def save(
    settings: BaseSettings,
    data: dict,
    autoencoder: AutoencoderKL,
    arguments: argparse.Namespace,
    accelerator: Accelerator,
) -> None:
    """The last stage: train the denoiser and write the base."""
    tokenizer = text.make_tokenizer(data["captions"], settings.denoiser, arguments.work / "tokenizer")

    def tokens(prompts: list[str]) -> torch.Tensor:
        length = tokenizer.model_max_length
        return tokenizer(
            prompts, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).input_ids

    unet, text_encoder = denoiser.train(
        settings,
        data["latents"] * data["scaling_factor"],
        tokens(data["captions"]),
        tokens([""])[0],
        text.build_text_encoder(tokenizer, settings.denoiser),
        arguments.work,
        accelerator,
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
        files.write_json(arguments.out / RECIPE_FILE, settings.recipe.model_dump())
        shipped = sorted(
            path for path in arguments.out.rglob("*") if path.is_file() and path.suffix in (".json", ".safetensors")
        )
        lines = [f"{files.sha256(path)}  {path.relative_to(arguments.out).as_posix()}\n" for path in shipped]
        files.write_text(arguments.out / "SHA256SUMS", "".join(lines))


if __name__ == "__main__":
    main()
