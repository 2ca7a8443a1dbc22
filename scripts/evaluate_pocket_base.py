"""Measure a base made for portraits: its autoencoder, the faces it draws, whether they are what was asked for, how different
they are from each other, their tones of skin, and whether training pictures come back.

    python scripts/evaluate_pocket_base.py --base pocket --out docs/pocket [--people FOLDER] [--pictures 256] [--tones 1000]

Writes `evaluation.json` and `sheet.jpg`. What is real here are the pictures of the bundled cohort, which no base of ours
was trained on. `--people` is the folder of rendered people that the base was trained on, for copies.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from inference.prompts import Prompt, compose
from inference.renderer import Renderer, RenderJob
from inference.styles import load_styles
from likeness import resources
from likeness.faces import FaceFinder
from likeness.faces.arrays import Floats
from likeness.faces.embed import embedder
from likeness.faces.reference import embed_photo
from likeness.faces.skin import read_skin
from likeness.families import Family
from likeness.files import write_image, write_json
from likeness.sheets import tile
from scripts.pocket_base import pictures, prompted, tones

Look = Callable[[list[Image.Image]], list[Floats | None]]


def cohort_pictures(size: int) -> tuple[list[Image.Image], list[dict[str, Any]]]:
    """The cohort's studio portraits at `size` px, and who is on each."""
    pictures, people = [], []
    for folder in resources.cohort_folders():
        who = json.loads((folder / "person.json").read_text(encoding="utf-8"))["identity"]
        for path in sorted(folder.glob("headshot_*.jpg")):
            pictures.append(Image.open(path).convert("RGB").resize((size, size), Image.Resampling.LANCZOS))
            people.append(who)
    return pictures, people


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


def dispersion(vectors: list[Floats | None], people: Sequence[int] | None = None) -> float | None:
    """Mean cosine distance between unit vectors of two different people; None when fewer than two have a face.

    people: who is on each picture; without, somebody else on each.
    """
    found = [vector for vector in vectors if vector is not None]
    if len(found) < 2:
        return None
    whose = [who for who, vector in zip(people or range(len(vectors)), vectors, strict=True) if vector is not None]
    stacked, numbers = np.stack(found), np.array(whose)
    pairs = (stacked @ stacked.T)[numbers[:, None] != numbers]
    return float(1 - pairs.mean())


def measure_autoencoder(family: Family, look: Look) -> tuple[dict[str, Any], list[Image.Image]]:
    """Figures of the cohort's portraits through the autoencoder; originals and rebuilt pictures by turns."""
    real, people = cohort_pictures(family.resolution)
    rebuilt = reconstruct(family, real)
    before, after = look(real), look(rebuilt)
    kept = [float(a @ b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    figures = {
        "pictures": len(real),
        "psnr_db": float(np.mean([psnr(a, b) for a, b in zip(real, rebuilt, strict=True)])),
        "faces_in_originals": share(before),
        "faces_in_rebuilt": share(after),
        "recogniser_cosine_to_original": float(np.median(kept)) if kept else None,
        "dispersion_of_the_cohort": dispersion(before, [who["number"] for who in people]),
    }
    return figures, [picture for pair in zip(real, rebuilt, strict=True) for picture in pair]


def asked(count: int) -> list[Prompt]:
    """Prompts of all styles with options chosen at random, every fourth with glasses."""
    prompts, rng = [], np.random.default_rng(0)
    for number, style in enumerate(itertools.islice(itertools.cycle(load_styles().values()), count)):
        choices = {name: str(rng.choice(slot.options)) for name, slot in style.slots.items() if slot.options}
        prompt = compose(style, choices, "a person")
        words = prompt.positive + (", wearing glasses" if number % 4 == 3 else "")
        prompts.append(Prompt(words, prompt.negative, prompt.slots))
    return prompts


def measure_drawn(
    renderer: Renderer, count: int, finder: FaceFinder, look: Look
) -> tuple[dict[str, Any], list[Image.Image]]:
    """Figures of `count` pictures of "a person", and the pictures: faces, their dispersion, what was asked for and found."""
    prompts = asked(count)
    jobs = [RenderJob(prompt.positive, prompt.negative, seed) for seed, prompt in enumerate(prompts)]
    drawn = list(tqdm(renderer.stream(jobs), "drawing", len(jobs)))
    vectors = look(drawn)
    wanted = [
        prompted.Asked(picture, prompt.positive, prompt.slots, "glasses" in prompt.positive)
        for picture, prompt in zip(drawn, prompts, strict=True)
    ]
    follows = prompted.measure(wanted, renderer.family, finder)
    figures = {"pictures": count, "faces": share(vectors), "dispersion": dispersion(vectors), "follows": follows}
    return figures, drawn


def skin(picture: Image.Image, finder: FaceFinder) -> Floats | None:
    """log2 of linear red, green, blue (3,) of the skin; None without a face."""
    rgb = np.asarray(picture)
    faces = finder.find(rgb)
    return read_skin(rgb, faces[0]).skin if faces else None


def measure_tones(renderer: Renderer, count: int, finder: FaceFinder) -> dict[str, Any]:
    """Shares of the world's ten tones of skin among `count` pictures of "a person", and of the cohort read in the same way.

    A tone is read by the cohort's true ones (`pocket_base/tones.py`), with the error that is given: neighbouring ones are taken for
    each other.
    """
    real, people = cohort_pictures(renderer.family.resolution)
    read = [
        (colour, who)
        for picture, who in zip(real, people, strict=True)
        if (colour := skin(picture, finder)) is not None
    ]
    known = np.array([colour for colour, _ in read])
    truth, numbers = (np.array([who[name] for _, who in read], np.float64) for name in ("skin_tone", "number"))
    reader = tones.ToneReader(known, truth)
    jobs = [RenderJob("a headshot of a person", "", 10_000 + seed) for seed in range(count)]
    drawn = tqdm(renderer.stream(jobs, batch=8), "tones", count)
    colours = np.array([colour for picture in drawn if (colour := skin(picture, finder)) is not None])
    return {
        "pictures": count,
        "error_of_the_reading": tones.error_of_reading(known, truth, numbers),
        "shares": tones.shares(reader.read(colours)),
        "shares_of_the_cohort": tones.shares(reader.read(known)),
        "true_shares_of_the_cohort": tones.shares(truth),
    }


def measure_copies(drawn: list[Image.Image], people: Path) -> dict[str, Any]:
    """How far pictures are from the nearest training picture, beside how far held-out portraits are from it.

    Root mean square difference of 32 x 32 px thumbnails, 0 to 255, over both mirrorings; training pictures are framed around the
    face as the base saw them, once as head and shoulders and once close.
    """
    shots = pictures.find_shots([people])
    views = [pictures.View.framed(shot, close) for shot in shots for close in (False, True)]
    sources = [shot for shot in shots for _ in range(2)]
    known = np.stack([_thumbnail(_shown(s.path, v)) for s, v in tqdm(zip(sources, views, strict=True), "training")])
    held_out = pictures.find_shots([resources.assets() / "cohort"], words=False)
    portraits = [_shown(shot.path, pictures.View.framed(shot, False)) for shot in held_out]

    squares = (known**2).sum(axis=1)

    def nearest(made: list[Image.Image]) -> dict[str, float]:
        found = []
        for picture in made:
            sides = [_thumbnail(side) for side in (picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))]
            # |a - b|^2 = |a|^2 - 2ab + |b|^2: one product of matrices.
            apart = min(float((squares - 2 * known @ one + one @ one).min()) for one in sides)
            found.append(np.sqrt(max(0.0, apart) / known.shape[1]))
        return {name: float(np.quantile(found, q)) for name, q in (("least", 0), ("5%", 0.05), ("median", 0.5))}

    return {"training_pictures": len(shots), "drawn": nearest(drawn), "held_out_portraits": nearest(portraits)}


def _shown(path: Path, view: pictures.View) -> Image.Image:
    with Image.open(path) as picture:
        side = picture.width
        box = (view.left * side, view.top * side, (view.left + view.side) * side, (view.top + view.side) * side)
        return picture.convert("RGB").resize((128, 128), Image.Resampling.BILINEAR, box=box)


def _thumbnail(picture: Image.Image) -> Floats:
    return np.asarray(picture.convert("RGB").resize((32, 32), Image.Resampling.BOX), np.float32).ravel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=Path, help="rendered people that the base was trained on")
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument(
        "--tones", type=int, default=1000, help="pictures to read tones of skin from; 0 leaves them out"
    )
    arguments = parser.parse_args()
    renderer = Renderer(resources.base(arguments.base))
    finder, recogniser = FaceFinder(), embedder()

    def look(pictures: list[Image.Image]) -> list[Floats | None]:
        return [embed_photo(picture, finder, recogniser) for picture in tqdm(pictures, "faces")]

    autoencoder, pairs = measure_autoencoder(renderer.family, look)
    figures, drawn = measure_drawn(renderer, arguments.pictures, finder, look)
    found: dict[str, Any] = {"denoiser_sha256": renderer.family.sha256(), "recogniser": recogniser.id}
    found |= {"autoencoder": autoencoder, "drawn": figures}
    if arguments.tones:
        found["skin_tones"] = measure_tones(renderer, arguments.tones, finder)
    if arguments.people:
        found["copies"] = measure_copies(drawn, arguments.people)
    write_json(arguments.out / "evaluation.json", found)
    tiles, captions = [*pairs[:32], *drawn[:64]], ["original", "rebuilt"] * 16 + ["drawn"] * len(drawn[:64])
    write_image(arguments.out / "sheet.jpg", tile(tiles, captions, 8, 160), quality=88)


if __name__ == "__main__":
    main()
