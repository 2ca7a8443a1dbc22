"""Train one part of the pocket base's autoencoder on, and nothing else: latents keep their meaning, adapters and the denoiser stay good.

The decoder learns on what the encoder gives and on what the denoiser makes of that (`pocket_base/softening.py`); the encoder, under
the decoder as it is, to give latents that are drawn more like the picture. Best from larger pictures than the base draws: at its own
size, a face is enlarged and soft.

accelerate launch scripts/refine_pocket_autoencoder.py --part decoder --config scripts/pocket_base/gpu.yaml \\
    --people FOLDER --work FOLDER --out likeness/assets/pocket vae.minutes=[0,0,0,0,30]

The configuration is the one that the base was made with. `--out` is the base to be refined; its autoencoder is replaced at the
end. The same command goes on where it was cut.
"""

from __future__ import annotations

from typing import get_args

import torch
from diffusers import AutoencoderKL

from likeness import files
from scripts.building import begin, command_line, finish_base
from scripts.pocket_base import pictures, vae
from scripts.pocket_base.settings import BaseSettings
from scripts.pocket_base.softening import Softening


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--part", choices=get_args(vae.Part), required=True)
    arguments = parser.parse_args()
    settings = BaseSettings.load(arguments.config, arguments.overrides)
    accelerator = begin(arguments.work, settings.mixed_precision, settings.seed)
    model = AutoencoderKL.from_pretrained(arguments.out / "vae", torch_dtype=torch.float32).to(accelerator.device)
    shots = pictures.find_shots(arguments.people)
    pixels = pictures.read_pixels(shots)
    softened = Softening(arguments.out, accelerator.device) if arguments.part == "decoder" else None
    state = arguments.work / f"{arguments.part}.pt"
    vae.refine(model, settings, shots, pixels, state, accelerator, arguments.part, softened)
    if accelerator.is_main_process:
        with files.new_folder(arguments.out / "vae") as new:
            model.to("cpu", torch.float16).save_pretrained(new)
        finish_base(arguments.out)


if __name__ == "__main__":
    main()
