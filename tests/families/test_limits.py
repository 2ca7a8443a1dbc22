"""What a family cannot do is said before anything is begun."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.renderer import Renderer, RenderJob, Sampling
from likeness import randomness
from likeness.errors import LikenessError
from likeness.families import Family, load_family
from likeness.person import Person
from tests.families.common import FLOWS, NAMES, PROMPT, READERS, SIDE, config
from training.run import train


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective": {"min_snr_gamma": 5}}, "min-SNR weighting has no meaning"),
        ({"data": {"resolution": SIDE + 2}}, "not a size of this base"),
    ],
)
def test_what_a_flow_cannot_do_is_refused(
    name: str, changes: dict[str, Any], said: str, bases: Callable[[str], Path], person: Person
) -> None:
    with pytest.raises(LikenessError, match=said):
        train(config(bases(name), person, "refused", **changes))
    assert not (person.runs / "refused").exists()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in READERS])
def test_a_text_encoder_whose_lora_no_pipeline_loads_is_not_trained(
    name: str, bases: Callable[[str], Path], person: Person
) -> None:
    with pytest.raises(LikenessError, match="load no LoRA of a text encoder"):
        train(config(bases(name), person, "refused", lora={"text_encoder": True}))
    assert not (person.runs / "refused").exists()
    # Should diffusers learn it, the refusal is to go.
    assert load_family(str(bases(name))).pipeline()._lora_loadable_modules == ["transformer"]


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_is_drawn_by_its_own_scheduler(name: str, bases: Callable[[str], Path]) -> None:
    renderer, size = Renderer(str(bases(name)), None, "cpu"), {"width": SIDE, "height": SIDE}
    for changes, said in (
        ({"scheduler": "ddim"}, "its own scheduler alone"),
        ({"guidance_rescale": 0.5}, "guidance_resc"),
        ({"eta": 0.5}, "eta"),
    ):
        with pytest.raises(LikenessError, match=said):
            renderer.render([RenderJob(PROMPT, "", 0)], Sampling.parse({**size, **changes}))


def test_one_step_of_a_scheduler_that_ends_before_the_picture_is_refused(bases: Callable[[str], Path]) -> None:
    """Qwen-Image's stretches its noise levels to a last one, and of one level that makes no number: a black picture."""
    base, size = str(bases("qwen-image")), {"width": SIDE, "height": SIDE}
    with pytest.raises(LikenessError, match="cannot be drawn in a single step"):
        Renderer(base, None, "cpu").render([RenderJob(PROMPT, "", 0)], Sampling.parse({**size, "steps": 1}))
    family = load_family(base)
    with pytest.raises(LikenessError, match="cannot be drawn in a single step"):
        family.set_timesteps(family.parts["scheduler"], 1, torch.zeros(1, *family.latent_shape(SIDE, SIDE)))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_base_cannot_read_is_told(name: str, bases: Callable[[str], Path]) -> None:
    family: Family = load_family(str(bases(name)))
    assert family.unread(PROMPT) == ""
    assert family.unread("a" * 1200 + "bcd").endswith("abcd")


def test_a_picture_that_aura_flow_has_no_places_for_is_refused(bases: Callable[[str], Path]) -> None:
    family = load_family(str(bases("aura-flow")))
    assert family.latent_shape(2 * SIDE, SIDE) == (4, 16, 8)
    with pytest.raises(LikenessError, match="72 x 32 px is too large for this base.*at most 64 px"):
        family.latent_shape(SIDE, 2 * SIDE + 8)


def rewritten(file: Path, **changes: Any) -> None:
    """A JSON file with changed values."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_distilled_klein_is_drawn_without_guidance_alone(bases: Callable[[str], Path], tmp_path: Path) -> None:
    """Its pipeline would ignore any, and the record would say that there was some."""
    base = shutil.copytree(bases("flux2-klein"), tmp_path / "distilled")
    rewritten(base / "model_index.json", is_distilled=True)
    renderer, size = Renderer(str(base), None, "cpu"), {"width": SIDE, "height": SIDE}
    assert renderer.recipe.guidance_scale == 1
    renderer.render([RenderJob(PROMPT, "", 0)], Sampling.parse({**size, "steps": 1}))
    with pytest.raises(LikenessError, match="distilled, and its pipeline ignores guidance"):
        renderer.render([RenderJob(PROMPT, "", 0)], Sampling.parse({**size, "steps": 1, "guidance_scale": 3}))


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
@pytest.mark.parametrize(
    "kind", ["EDMDPMSolverMultistepScheduler", "EDMEulerScheduler", "FlowMatchEulerDiscreteScheduler"]
)
def test_a_base_whose_noise_is_no_table_of_betas_is_refused(
    name: str, kind: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    """Playground 2.5 is one. Its scheduler says epsilon, too, and means another formula."""
    base = shutil.copytree(bases(name), tmp_path / "edm")
    rewritten(base / "model_index.json", scheduler=["diffusers", kind])
    (base / "scheduler" / "scheduler_config.json").write_text(json.dumps({"_class_name": kind}))
    with pytest.raises(LikenessError, match=f"scheduler is a {kind}, and {name} knows .*betas"):
        load_family(str(base))


def test_latents_with_statistics_of_each_channel_are_those_of_the_stock_pipeline(
    bases: Callable[[str], Path], tmp_path: Path
) -> None:
    base = shutil.copytree(bases("sdxl"), tmp_path / "playground")
    mean, std = [-1.6574, 1.886, -1.383, 2.5155], [8.4927, 5.9022, 6.5498, 5.2299]
    rewritten(base / "vae" / "config.json", latents_mean=mean, latents_std=std, scaling_factor=0.5)
    family = load_family(str(base))
    pixels = randomness.normal((1, 3, SIDE, SIDE), 1, "pixels").clamp(-1, 1)
    shift, scale = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    with torch.no_grad():
        posterior = family.parts["vae"].encode(pixels).latent_dist
        latents, deviation = family.encode_image(pixels)
        torch.testing.assert_close(latents, (posterior.mean - shift) * 0.5 / scale)
        torch.testing.assert_close(deviation, posterior.std * 0.5 / scale)
        # The pipeline decodes what it is handed after its last step.
        given: dict[str, Any] = {"callback_on_step_end": lambda *_: {"latents": latents}, "output_type": "pt"}
        theirs = family.pipeline()(PROMPT, num_inference_steps=1, height=SIDE, width=SIDE, **given).images
        torch.testing.assert_close(family.decode_latents(latents), 2 * theirs - 1, rtol=1e-4, atol=1e-5)


def test_a_qwen_image_that_is_told_its_guidance_is_refused(bases: Callable[[str], Path], tmp_path: Path) -> None:
    base = shutil.copytree(bases("qwen-image"), tmp_path / "distilled")
    rewritten(base / "transformer" / "config.json", guidance_embeds=True)
    with pytest.raises(LikenessError, match="guidance_embeds.*undistilled"):
        load_family(str(base))


@pytest.mark.parametrize("name", NAMES)
def test_a_tokenizer_with_missing_files_is_refused(name: str, bases: Callable[[str], Path], tmp_path: Path) -> None:
    """transformers would make one to which all prompts are alike, or one that fills up on the other side."""
    for missing in ("tokenizer.json", "tokenizer_config.json"):
        copy = tmp_path / missing
        shutil.copytree(bases(name), copy)
        (copy / "tokenizer" / missing).unlink()
        with pytest.raises(LikenessError, match="tokenizer"):
            load_family(str(copy))


@pytest.mark.parametrize("name", ["flux2-klein", "z-image"])
def test_a_missing_chat_template_is_told(name: str, bases: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(bases(name), tmp_path / "base")
    (tmp_path / "base" / "tokenizer" / "chat_template.jinja").unlink()
    with pytest.raises(LikenessError, match="lacks its chat template"):
        load_family(str(tmp_path / "base")).encode_text(["a headshot"])
