"""The main job, for real: selfies in, headshots out, and they are measurably that person."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from inference.renderer import Renderer, RenderJob
from likeness import resources
from likeness.demo import PERSON, STYLES, demo

COUNT = 2
PLAIN = Path(__file__).parent / "plain_diffusers.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    demo(folder, COUNT, ["tracking.trackers=[]"], Console(quiet=True))
    return folder


@pytest.mark.slow
def test_the_headshots_are_liker_to_the_person_than_to_anyone_else(made: Path) -> None:
    report = json.loads((made / "report.json").read_text())
    headshots, without = report["headshots"], report["without adapter"]
    assert report["people"] >= 13
    assert report["held_out"]
    assert headshots["rank"] == 1
    assert headshots["likeness"] > without["likeness"] + 0.1
    assert headshots["faces"] >= 0.75


@pytest.mark.slow
def test_every_style_has_its_headshots_signed_and_explained(made: Path) -> None:
    pictures = sorted((made / "people" / PERSON / "headshots").glob("*/*.png"))
    assert len(pictures) == COUNT * len(STYLES)
    for path in pictures:
        record = json.loads(path.with_suffix(".json").read_text())
        assert record["style"] in STYLES
        assert Image.open(path).size == (512, 512)
    assert Image.open(made / "contact-sheet.jpg").width > 1000


def background(folder: Path) -> np.ndarray:
    """Mean colour of the upper corners of a folder's pictures, 0 to 255."""
    pictures = [np.asarray(Image.open(path).convert("RGB"), float) for path in folder.glob("*.png")]
    corners = [picture[:128, columns] for picture in pictures for columns in (slice(0, 80), slice(-80, None))]
    return np.mean([corner.mean(axis=(0, 1)) for corner in corners], axis=0)


@pytest.mark.slow
def test_a_style_shows_in_its_pictures(made: Path) -> None:
    """Backgrounds that differ by name differ in colour."""
    folders = {path.name.split("-", 2)[2]: path for path in (made / "people" / PERSON / "headshots").iterdir()}
    styles = ("black-and-white", "warm-studio", "outdoor", "creative", "medical")
    for one, other in itertools.combinations(styles, 2):
        assert np.abs(background(folders[one]) - background(folders[other])).max() > 20, (one, other)


@pytest.mark.slow
def test_black_and_white_is_what_it_says(made: Path) -> None:
    folders = {path.name.split("-", 2)[2]: path for path in (made / "people" / PERSON / "headshots").iterdir()}

    def colour(folder: Path) -> float:
        """Mean spread of the three channels, 0 to 255."""
        pictures = [np.asarray(Image.open(path).convert("RGB"), float) for path in folder.glob("*.png")]
        return float(np.mean([np.ptp(picture, axis=2).mean() for picture in pictures]))

    assert colour(folders["black-and-white"]) < colour(folders["creative"]) / 2


@pytest.mark.slow
def test_diffusers_alone_draws_the_same_headshot(made: Path, tmp_path: Path) -> None:
    person = made / "people" / PERSON
    record = json.loads(next((person / "headshots").glob("*corporate/0*.json")).read_text())
    renderer = Renderer(resources.base("pocket"), person / "adapters" / "pocket-lora", "cpu")
    (ours,) = renderer.render([RenderJob(record["prompt"], "", record["seed"], record["face_prompt"])])
    recipe = renderer.recipe
    assert record["face_corner"] is not None
    face = {"corner": record["face_corner"], "size": record["drawn_size"], "prompt": record["face_prompt"]}
    face |= {"strength": record["sampling"]["face_strength"]}
    arguments = [resources.base("pocket"), person / "adapters" / "pocket-lora", record["seed"], record["prompt"], ""]
    arguments += [recipe.steps, recipe.guidance_scale, recipe.guidance_rescale, recipe.eta, recipe.guidance_from]
    arguments += [recipe.words_scale, json.dumps(face), tmp_path / "theirs.png"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, str(PLAIN), *map(str, arguments)], check=True, cwd=tmp_path, env=environment)
    theirs = np.asarray(Image.open(tmp_path / "theirs.png").convert("RGB"), int)
    assert np.abs(theirs - np.asarray(ours, int)).max() <= 1


@pytest.mark.slow
def test_running_it_again_goes_on_from_what_is_there(made: Path) -> None:
    adapter = made / "people" / PERSON / "adapters" / "pocket-lora" / "pytorch_lora_weights.safetensors"
    before = adapter.stat().st_mtime_ns
    demo(made, 1, ["tracking.trackers=[]"], Console(quiet=True))
    assert adapter.stat().st_mtime_ns == before
