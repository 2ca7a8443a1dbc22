"""Measure a base made for portraits: its autoencoder, the faces it draws, and how different they are from each other.

    python scripts/evaluate_pocket_base.py --base pocket --out docs/pocket [--pictures 64]

Writes `evaluation.json` and `sheet.jpg`. What is real here are the pictures of the bundled cohort, which no base of ours
was trained on.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

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
from likeness.faces.embed import embedder
from likeness.faces.reference import embed_photo
from likeness.families import Family
from likeness.files import write_image, write_json
from likeness.images import tile


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


def dispersion(vectors: list[np.ndarray]) -> float:
    """Mean cosine distance between two different unit vectors of the list."""
    stacked = np.stack(vectors)
    pairs = (stacked @ stacked.T)[np.triu_indices(len(stacked), 1)]
    return float(1 - pairs.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=64)
    arguments = parser.parse_args()

    renderer = Renderer(resources.base(arguments.base))
    finder, recogniser = FaceFinder(), embedder()
    real = cohort_pictures(renderer.family.resolution)
    rebuilt = reconstruct(renderer.family, real)
    real_vectors = [embed_photo(picture, finder, recogniser) for picture in tqdm(real, "cohort")]
    rebuilt_vectors = [embed_photo(picture, finder, recogniser) for picture in tqdm(rebuilt, "rebuilt")]
    kept = [float(a @ b) for a, b in zip(real_vectors, rebuilt_vectors, strict=True) if a is not None and b is not None]

    styles = itertools.cycle(load_styles().values())
    jobs = [
        RenderJob(prompt.positive, prompt.negative, seed)
        for seed, style in zip(range(arguments.pictures), styles, strict=False)
        for prompt in (compose(style, {}, "a person"),)
    ]
    drawn = list(tqdm(renderer.stream(jobs), "drawing", len(jobs)))
    drawn_vectors = [embed_photo(picture, finder, recogniser) for picture in tqdm(drawn, "faces")]
    found = [vector for vector in drawn_vectors if vector is not None]
    # One portrait a person: the first of each of the cohort's folders.
    people = [vector for vector in real_vectors[::3] if vector is not None]

    write_json(
        arguments.out / "evaluation.json",
        {
            "base": arguments.base,
            "denoiser_sha256": renderer.family.sha256(),
            "recogniser": recogniser.id,
            "autoencoder": {
                "pictures": len(real),
                "psnr_db": float(np.mean([psnr(a, b) for a, b in zip(real, rebuilt, strict=True)])),
                "faces_in_originals": sum(vector is not None for vector in real_vectors) / len(real),
                "faces_in_rebuilt": sum(vector is not None for vector in rebuilt_vectors) / len(real),
                "recogniser_cosine_to_original": float(np.median(kept)) if kept else None,
            },
            "drawn": {
                "pictures": len(drawn),
                "faces": len(found) / len(drawn),
                "dispersion": dispersion(found) if len(found) > 1 else None,
                "dispersion_of_the_cohort": dispersion(people),
            },
        },
    )
    pairs = [picture for pair in zip(real[:16], rebuilt[:16], strict=True) for picture in pair]
    captions = ["original", "rebuilt"] * 16 + [f"seed {job.seed}" for job in jobs[:48]]
    write_image(
        arguments.out / "sheet.jpg", tile([*pairs, *drawn[:48]], captions[: 32 + len(drawn[:48])], 8, 160), quality=88
    )


if __name__ == "__main__":
    main()
