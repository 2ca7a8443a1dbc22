"""A picture is a function of its seed and its words; and anybody can draw it again with plain diffusers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inference.renderer import Renderer, RenderJob, Sampling, checked_device, initial_latents
from inference.schedulers import SCHEDULERS
from likeness import adapter, files
from likeness.adapter import LoraSettings
from likeness.errors import LikenessError
from likeness.families import Family, Recipe, load_family
from tests.likeness.test_adapter import info, train_a_little
from tests.tiny import RESOLUTION, PredictionType, make_tiny_base

FEW = Sampling(steps=3)
PLAIN = Path(__file__).parents[1] / "plain_diffusers.py"
JOBS = [RenderJob(f"picture {number}", "bad", seed=10 + number) for number in range(5)]


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def base(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    prediction: PredictionType = request.param
    return make_tiny_base(tmp_path_factory.mktemp("base") / "tiny", prediction)


@pytest.fixture(scope="module")
def lora(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    family: Family = load_family(str(base))
    adapter.inject(family, LoraSettings(rank=2, alpha=3, text_encoder=True), seed=1)
    train_a_little(family)
    folder = tmp_path_factory.mktemp("lora") / "adapter"
    adapter.save(family, folder, info(family))
    return folder


@pytest.fixture(scope="module")
def renderer(base: Path, lora: Path) -> Renderer:
    return Renderer(str(base), lora, "cpu")


def difference(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of two pictures, in 1/255."""
    return int(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())


@pytest.mark.parametrize("scheduler", ["base", *SCHEDULERS])
def test_batches_do_not_change_pictures(renderer: Renderer, scheduler: str) -> None:
    sampling = FEW.model_copy(update={"scheduler": scheduler})
    alone = [renderer.render([job], sampling)[0] for job in JOBS]
    assert {image.size for image in alone} == {(RESOLUTION, RESOLUTION)}
    for batch, jobs in ((2, JOBS), (5, JOBS), (3, JOBS[::-1])):
        pictures = renderer.render(jobs, sampling, batch)
        for job, picture in zip(jobs, pictures, strict=True):
            assert difference(picture, alone[JOBS.index(job)]) <= 1
    assert difference(alone[0], alone[1]) > 3


def test_noise_that_is_put_back_is_the_pictures_own(renderer: Renderer) -> None:
    stirred = FEW.model_copy(update={"eta": 0.8, "scheduler": "ddim"})
    alone = [renderer.render([job], stirred)[0] for job in JOBS]
    for job, picture in zip(JOBS[::-1], renderer.render(JOBS[::-1], stirred, batch=3), strict=True):
        assert difference(picture, alone[JOBS.index(job)]) <= 1
    assert difference(alone[0], renderer.render(JOBS[:1], stirred.model_copy(update={"eta": 0.0}))[0]) > 3


def test_only_ddim_puts_noise_back() -> None:
    stirring = Recipe(eta=0.7)
    for scheduler, eta in ((None, 0.7), ("ddim", 0.7), ("dpm++", 0.0)):
        assert Sampling.parse({"scheduler": scheduler} if scheduler else {}).over(stirring).eta == eta
    assert Sampling(scheduler="euler", eta=0.5).over(stirring).eta == 0.5


def test_a_base_s_words_scale_goes_with_guidance_from_the_base() -> None:
    beside = Recipe(guidance_from="base", words_scale=3.0)
    assert Sampling().over(beside).words_scale == 3
    assert Sampling(guidance_from="words").over(beside).words_scale == 1
    assert Sampling().over(beside.model_copy(update={"guidance_from": "words"})).words_scale == 1
    assert Sampling(guidance_from="base").over(Recipe(words_scale=3.0)).words_scale == 3


def test_a_scheduler_that_cannot_put_noise_back_is_told(renderer: Renderer) -> None:
    with pytest.raises(LikenessError, match="EulerDiscreteScheduler knows no eta"):
        renderer.render(JOBS[:1], FEW.model_copy(update={"scheduler": "euler", "eta": 0.5}))


def test_what_was_drawn_before_does_not_matter(renderer: Renderer) -> None:
    first = renderer.render(JOBS[:1], FEW)[0]
    torch.rand(10)
    renderer.render(JOBS[1:], FEW)
    assert difference(renderer.render(JOBS[:1], FEW)[0], first) == 0


def test_seed_prompt_and_adapter_all_matter(renderer: Renderer, base: Path, lora: Path) -> None:
    def draw(by: Renderer, prompt: str, seed: int) -> Image.Image:
        return by.render([RenderJob(prompt, "", seed)], FEW)[0]

    one = draw(renderer, "a", 0)
    assert difference(one, draw(renderer, "a", 1)) > 3
    assert difference(one, draw(renderer, "something else", 0)) > 0
    assert difference(one, draw(Renderer(str(base), device="cpu"), "a", 0)) > 3
    half = Renderer(str(base), lora, "cpu", weight=0.5)
    assert difference(one, draw(half, "a", 0)) > 0


def test_guidance_away_from_the_base(renderer: Renderer, base: Path, lora: Path) -> None:
    """One strength further than the adapter goes, at any strength of it; and the renderer is as it was."""
    from_base = FEW.model_copy(update={"guidance_from": "base", "guidance_rescale": 0.0})
    before = renderer.render(JOBS, FEW)
    one, three = (renderer.render(JOBS, from_base.model_copy(update={"guidance_scale": scale})) for scale in (1.0, 3.0))
    unguided = renderer.render(JOBS, FEW.model_copy(update={"guidance_scale": 1.0}))
    assert [difference(*pair) for pair in zip(one, unguided, strict=True)] == [0] * len(JOBS)
    assert all(difference(*pair) > 3 for pair in zip(three, one, strict=True))
    assert [difference(*pair) for pair in zip(renderer.render(JOBS, FEW), before, strict=True)] == [0] * len(JOBS)
    nobody = Renderer(str(base), lora, "cpu", weight=0.0)
    alone = Renderer(str(base), None, "cpu").render(JOBS[:1], FEW.model_copy(update={"guidance_scale": 1.0}))
    assert difference(nobody.render(JOBS[:1], from_base)[0], alone[0]) <= 1


def test_where_nothing_can_be_switched_off_words_guide(base: Path, tmp_path: Path) -> None:
    own = tmp_path / "base"
    shutil.copytree(base, own)
    files.write_json(own / "recipe.json", {"steps": 2, "guidance_scale": 2.0, "guidance_from": "base"})
    family = load_family(str(own))
    adapter.unfreeze(family)
    adapter.save(family, tmp_path / "whole", info(family).model_copy(update={"method": "dreambooth"}))
    for weights in (None, tmp_path / "whole"):
        renderer = Renderer(str(own), weights, "cpu")
        assert renderer.recipe.guidance_from == "words"
        renderer.render(JOBS[:1])
        with pytest.raises(LikenessError, match="takes a LoRA that can be switched off"):
            renderer.render(JOBS[:1], Sampling(guidance_from="base"))
        with pytest.raises(LikenessError, match="words_scale goes with guidance away from the base"):
            renderer.render(JOBS[:1], Sampling(words_scale=3))


def test_sizes(renderer: Renderer) -> None:
    wide = renderer.render(JOBS[:1], Sampling(steps=2, width=48, height=32))[0]
    assert wide.size == (48, 32)
    with pytest.raises(LikenessError, match="33 x 32 px is not a size"):
        renderer.render(JOBS[:1], Sampling(steps=2, width=33))


@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:7", "mps", "meta", "cpu:1"])
def test_a_device_that_is_not_here_is_said_before_the_base_is_loaded(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(LikenessError, match=f"no device '{device}' here. There are: cpu"):
        Renderer("a base that is not even looked for", None, device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert checked_device("cuda:1") == "cuda:1"
    with pytest.raises(LikenessError, match="There are: cuda, cpu"):
        checked_device("cuda:2")


def test_an_adapter_or_base_that_is_not_there(base: Path, tmp_path: Path) -> None:
    with pytest.raises(LikenessError, match="no such adapter"):
        Renderer(str(base), tmp_path / "nothing", "cpu")
    with pytest.raises(LikenessError, match="no base model"):
        Renderer(str(tmp_path / "nothing"), None, "cpu")


@pytest.mark.parametrize(
    ("eta", "guidance_from", "words"),
    [(0.0, "words", 1.0), (0.7, "words", 1.0), (0.0, "base", 1.0), (0.0, "base", 3.0)],
)
@pytest.mark.parametrize("base", ["v_prediction"], indirect=True)
def test_a_script_with_diffusers_alone_draws_the_same_picture(
    renderer: Renderer, base: Path, lora: Path, tmp_path: Path, eta: float, guidance_from: str, words: float
) -> None:
    # The rescaling is of a guidance that the script leaves to the pipeline.
    rescale = {} if guidance_from == "words" else {"guidance_rescale": 0.0}
    sampling = FEW.model_copy(update={"eta": eta, "guidance_from": guidance_from, "words_scale": words, **rescale})
    job = RenderJob("a headshot of sks person, grey studio background", "blurry", seed=41)
    ours = renderer.render([JOBS[0], job], sampling)[1]
    recipe = sampling.over(renderer.family.recipe)
    arguments = [base, lora, job.seed, job.prompt, job.negative]
    arguments += [recipe.steps, recipe.guidance_scale, recipe.guidance_rescale, recipe.eta, guidance_from]
    arguments += [words, "null", tmp_path / "theirs.png"]
    subprocess.run(
        [sys.executable, str(PLAIN), *map(str, arguments)],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    assert difference(Image.open(tmp_path / "theirs.png"), ours) <= 1


def test_initial_latents_are_standard_normal() -> None:
    latents = initial_latents(3, (4, 64, 64))
    assert abs(float(latents.mean())) < 0.03 and abs(float(latents.std()) - 1) < 0.03
    assert torch.equal(latents, initial_latents(3, (4, 64, 64)))


def test_a_gpu_that_is_too_small_is_told_what_takes_less(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = Renderer(str(base), device="cpu")

    def full(**given: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(renderer, "pipe", full)
    with pytest.raises(LikenessError, match="memory is full.*--offload"):
        renderer.render([RenderJob("a person", "", 0)])
