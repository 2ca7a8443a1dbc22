"""Selfies that the base looks at while it draws: as the stock pipeline does with `image=`, and never the held-out ones."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from diffusers import DiffusionPipeline
from PIL import Image, ImageFilter

from inference.references import choose
from inference.renderer import ReferencePhoto, Renderer, RenderJob, Sampling
from likeness import files, randomness, resources
from likeness.adapter_file import INFO_FILE, read_info
from likeness.errors import LikenessError
from likeness.selection import Selection
from tests.families.common import NAMES, PROMPT, SEED, SIDE, STEPS, STOCK
from tests.inference.people import make_person


def photo(number: int, width: int, height: int) -> ReferencePhoto:
    pixels = randomness.rng(0, "reference", number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return ReferencePhoto(Image.fromarray(pixels), f"{number:064d}")


@pytest.mark.parametrize("count", [1, 3])
def test_klein_draws_with_references_what_the_stock_pipeline_draws(
    count: int, bases: Callable[[str], Path], adapters: Callable[[str], Path]
) -> None:
    name, folder = "flux2-klein", adapters("flux2-klein")
    photos = [photo(0, 64, 64), photo(1, 80, 70), photo(2, 64, 96)][:count]
    stock = DiffusionPipeline.from_pretrained(bases(name))
    stock.load_lora_weights(folder)
    stock.set_progress_bar_config(disable=True)
    size = {"height": SIDE, "width": SIDE, "num_inference_steps": STEPS, "output_type": "np"}
    noise = randomness.normal(STOCK[name][0], SEED, "render")[None]
    theirs = stock(image=[p.image for p in photos], prompt=PROMPT, latents=noise, guidance_scale=3.0, **size).images[0]
    sampling, jobs = Sampling(steps=STEPS, guidance_scale=3.0, width=SIDE, height=SIDE), [RenderJob(PROMPT, "", SEED)]
    (ours,) = Renderer(str(bases(name)), folder, "cpu", references=photos).render(jobs, sampling)
    assert np.abs(np.asarray(ours, np.float32) / 255 - theirs).max() <= 1.5 / 255
    (alone,) = Renderer(str(bases(name)), folder, "cpu").render(jobs, sampling)
    assert np.abs(np.asarray(alone, np.float32) - np.asarray(ours, np.float32)).max() > 1


@pytest.mark.parametrize("name", [name for name in NAMES if name != "flux2-klein"])
def test_other_families_say_that_they_take_none(name: str, bases: Callable[[str], Path]) -> None:
    with pytest.raises(LikenessError, match=f"{name} takes no reference photos"):
        Renderer(str(bases(name)), None, "cpu", references=[photo(0, 64, 64)])


def test_the_sharpest_selfies_that_were_trained_on_are_shown(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path in sorted((resources.assets() / "cohort" / "p900000").glob("selfie_*.jpg"))[:5]:
        shutil.copyfile(path, source / path.name)
    first = source / "selfie_00.jpg"
    with Image.open(first) as sharp:
        sharp.filter(ImageFilter.GaussianBlur(4)).save(first, quality=95)
    person = make_person(tmp_path / "ana", source)
    trained = [files.sha256(path) for path in person.selfie_files()[:-2]]
    found = choose(person, person.adapters / "first", 4)
    assert sorted(photo.sha256 for photo in found) == sorted(trained), "the last two are held out"
    assert found[-1].sha256 == trained[0], "the blurred one comes last"
    assert all(photo.image.width == photo.image.height <= 384 for photo in found)
    assert [photo.sha256 for photo in choose(person, person.adapters / "first", 1)] == [found[0].sha256]
    record = person.adapters / "first" / INFO_FILE
    info = read_info(record.parent)
    assert info is not None
    selection = Selection(step=1, note="", photos=info.held_out[:1])
    files.write_json(record, info.model_copy(update={"selection": selection}).model_dump(mode="json"))
    again = [photo.sha256 for photo in choose(person, person.adapters / "first", 4)]
    assert sorted(again) == sorted(trained), "nor is one that chose the checkpoint shown"
