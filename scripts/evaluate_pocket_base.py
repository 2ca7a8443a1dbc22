"""Measure a base made for portraits: its autoencoder, the faces it draws, and how different they are from each other.

    python scripts/evaluate_pocket_base.py --base pocket --out docs/pocket [--pictures 64]

Writes `evaluation.json` and `sheet.jpg`. What is real here are the pictures of the bundled cohort, which no base of ours
was trained on.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from inference.prompts import compose
from inference.renderer import Renderer, RenderJob
from inference.styles import load_styles
from likeness import resources
from likeness.faces import FaceFinder
from likeness.faces.arrays import Floats
from likeness.faces.embed import embedder
from likeness.faces.reference import embed_photo
from likeness.families import Family
from likeness.files import write_image, write_json
from likeness.images import tile

Look = Callable[[list[Image.Image]], list[Floats | None]]


def cohort_pictures(size: int) -> list[Image.Image]:
    """The cohort's studio portraits at `size` px."""
    paths = sorted((resources.assets() / "cohort").glob("*/headshot_*.jpg"))
    return [Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BOX) for path in paths]


@torch.inference_mode()
def reconstruct(family: Family, pictures: list[Image.Image]) -> list[Image.Image]:
    """Each picture through the autoencoder and back (the posterior's mean)."""
    made = []
    for picture in pictures:
        pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        out = family.decode_latents(family.encode_image(pixels)[0])[0]
        made.append(Image.fromarray(((out.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()))
    return made


def psnr(a: Image.Image, b: Image.Image) -> float:
    """Peak signal to noise ratio in dB of two 8-bit pictures."""
    error = np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)
    return float(10 * np.log10(255**2 / error))


def share(vectors: list[Floats | None]) -> float:
    """Share of the pictures with a face."""
    return sum(vector is not None for vector in vectors) / len(vectors)


def dispersion(vectors: list[Floats | None]) -> float | None:
    """Mean cosine distance between two different unit vectors; None when fewer than two pictures have a face."""
    found = [vector for vector in vectors if vector is not None]
    if len(found) < 2:
        return None
    stacked = np.stack(found)
    pairs = (stacked @ stacked.T)[np.triu_indices(len(stacked), 1)]
    return float(1 - pairs.mean())


def measure_autoencoder(family: Family, look: Look) -> tuple[dict[str, Any], list[Image.Image]]:
    """Figures of the cohort's portraits through the autoencoder; originals and rebuilt pictures by turns."""
    real = cohort_pictures(family.resolution)
    rebuilt = reconstruct(family, real)
    before, after = look(real), look(rebuilt)
    kept = [float(a @ b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    figures = {
        "pictures": len(real),
        "psnr_db": float(np.mean([psnr(a, b) for a, b in zip(real, rebuilt, strict=True)])),
        "faces_in_originals": share(before),
        "faces_in_rebuilt": share(after),
        "recogniser_cosine_to_original": float(np.median(kept)) if kept else None,
        # One portrait a person: the first of each of the cohort's folders.
        "dispersion_of_the_cohort": dispersion(before[::3]),
    }
    return figures, [picture for pair in zip(real, rebuilt, strict=True) for picture in pair]


def measure_drawn(renderer: Renderer, count: int, look: Look) -> tuple[dict[str, Any], list[Image.Image]]:
    """Figures of `count` pictures of "a person" in all styles, and the pictures."""
    styles = itertools.islice(itertools.cycle(load_styles().values()), count)
    prompts = [compose(style, {}, "a person") for style in styles]
    jobs = [RenderJob(prompt.positive, prompt.negative, seed) for seed, prompt in enumerate(prompts)]
    drawn = list(tqdm(renderer.stream(jobs), "drawing", len(jobs)))
    found = look(drawn)
    return {"pictures": count, "faces": share(found), "dispersion": dispersion(found)}, drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=64)
    arguments = parser.parse_args()
    renderer = Renderer(resources.base(arguments.base))
    finder, recogniser = FaceFinder(), embedder()

    def look(pictures: list[Image.Image]) -> list[Floats | None]:
        return [embed_photo(picture, finder, recogniser) for picture in tqdm(pictures, "faces")]

    autoencoder, pairs = measure_autoencoder(renderer.family, look)
    figures, drawn = measure_drawn(renderer, arguments.pictures, look)
    about = {"denoiser_sha256": renderer.family.sha256(), "recogniser": recogniser.id}
    write_json(arguments.out / "evaluation.json", about | {"autoencoder": autoencoder, "drawn": figures})
    tiles, captions = [*pairs[:32], *drawn[:48]], ["original", "rebuilt"] * 16 + ["drawn"] * len(drawn[:48])
    write_image(arguments.out / "sheet.jpg", tile(tiles, captions, 8, 160), quality=88)


if __name__ == "__main__":
    main()
