"""Every family from its portraits to the stock pipeline's picture, on a tiny random base in its true classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file

from inference.renderer import Renderer, RenderJob, Sampling
from likeness import adapter, randomness
from likeness.adapter import LoraSettings
from likeness.errors import LikenessError
from likeness.families import load_family
from likeness.person import Person
from tests.families.common import (
    LORA,
    NAMES,
    NEGATIVE,
    PROMPT,
    READERS,
    SEED,
    SIDE,
    STEPS,
    TALL,
    config,
    drawn,
    latent_shape,
)
from tests.likeness.test_adapter import info
from training.cache import Encodings
from training.class_images import class_portraits
from training.model import DreamboothSettings, make_trainable
from training.rendering import render_latents
from training.run import train

QUIET: dict[str, Any] = {"evaluation": {"every": 0}, "samples": {"every": 0}}
WAYS: dict[str, dict[str, Any]] = {
    "dora-all": {"lora": {"rank": 2, "alpha": 3, "targets": "all", "dora": True}},
    "attention": {"lora": {"rank": 2, "alpha": 3, "targets": "attention"}},
    "dreambooth": {"method": "dreambooth", "optim": {"lr": 0.003}},
}


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_adapter_draws_the_same_in_the_stock_pipeline_and_in_ours(
    name: str, bases: Callable[[str], Path], adapters: Callable[[str], Path], person: Person
) -> None:
    folder = adapters(name)
    info = adapter.read_info(folder)
    assert info is not None and (info.family, info.steps, info.licence != "") == (name, 3, True)
    assert len(list((person.runs / name / "samples").iterdir())) == 1
    stock = DiffusionPipeline.from_pretrained(bases(name))
    without = drawn(stock, name, TALL)
    stock.load_lora_weights(folder)
    picture = drawn(stock, name, TALL)
    assert picture.shape[:2] == (TALL, SIDE) and np.abs(picture - without).max() > 0.02
    assert np.abs(ours(bases(name), folder) - picture).max() <= 1.5 / 255


@pytest.mark.parametrize("name", NAMES)
def test_guidance_away_from_the_base_is_that_of_anybodys_hook(
    name: str, bases: Callable[[str], Path], adapters: Callable[[str], Path]
) -> None:
    """In the stock pipeline without its own guidance, and while the adapter is trained."""
    folder = adapters(name)
    stock = DiffusionPipeline.from_pretrained(bases(name))
    stock.load_lora_weights(folder)
    denoiser = getattr(stock, "transformer", None) or stock.unet

    def hook(module: Any, arguments: Any, options: Any, output: Any) -> Any:
        stock.disable_lora()
        alone = module.forward(*arguments, **options)[0]
        stock.enable_lora()
        pairs = list(zip(output[0], alone, strict=True))
        joined = [3.0 * own - 2.0 * base for own, base in pairs]
        return (joined if isinstance(output[0], list) else torch.stack(joined),)

    unguided = drawn(stock, name, TALL, guided=False)
    denoiser.register_forward_hook(hook, with_kwargs=True)
    theirs = drawn(stock, name, TALL, guided=False)
    assert np.abs(theirs - unguided).max() > 0.01
    assert np.abs(ours(bases(name), folder, guidance_from="base") - theirs).max() <= 1.5 / 255

    family = load_family(str(bases(name)))
    family.pipeline().load_lora_weights(folder)
    recipe = family.recipe.model_copy(update={"steps": STEPS, "guidance_scale": 3.0, "guidance_from": "base"})
    noise = randomness.normal(latent_shape(name, TALL), SEED, "render")[None]
    with torch.no_grad():
        latents = render_latents(family, family.predict, family.encode_text([PROMPT]), {}, noise, recipe, [SEED])
        pixels = family.decode_latents(latents)[0].permute(1, 2, 0)
    np.testing.assert_allclose(pixels.numpy() / 2 + 0.5, theirs, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_words_lead_the_base_beside_that(
    name: str, bases: Callable[[str], Path], adapters: Callable[[str], Path]
) -> None:
    """A formula of three predictions, in the stock pipeline and while the adapter is trained; or the renderer refuses."""
    folder, family = adapters(name), load_family(str(bases(name)))
    how: dict[str, Any] = {"guidance_from": "base", "words_scale": 2.5}
    if not family.unwanted_first:
        with pytest.raises(LikenessError, match=f"by words together is not offered for {name}"):
            ours(bases(name), folder, **how)
        return
    stock = DiffusionPipeline.from_pretrained(bases(name))
    stock.load_lora_weights(folder)

    def hook(module: Any, arguments: Any, options: Any, output: Any) -> Any:
        stock.disable_lora()
        unwanted, wanted = module.forward(*arguments, **options)[0].chunk(2)
        stock.enable_lora()
        led = unwanted + 2.5 * (wanted - unwanted) + 3.0 * (output[0].chunk(2)[1] - wanted)
        return (torch.cat([led, led]),)

    stock.unet.register_forward_hook(hook, with_kwargs=True)
    theirs = drawn(stock, name, TALL)  # guided from one prediction to the same, which is that prediction
    drawn_ours = ours(bases(name), folder, **how)
    assert np.abs(drawn_ours - theirs).max() <= 1.5 / 255
    assert np.abs(drawn_ours - ours(bases(name), folder, guidance_from="base")).max() > 0.01

    family.pipeline().load_lora_weights(folder)
    recipe = family.recipe.model_copy(update={"steps": STEPS, "guidance_scale": 3.0, **how})
    noise = randomness.normal(latent_shape(name, TALL), SEED, "render")[None]
    positive, negative = family.encode_text([PROMPT]), family.encode_text([NEGATIVE])
    with torch.no_grad():
        latents = render_latents(family, family.predict, positive, negative, noise, recipe, [SEED])
        pixels = family.decode_latents(latents)[0].permute(1, 2, 0)
    np.testing.assert_allclose(pixels.numpy() / 2 + 0.5, theirs, rtol=0, atol=1e-3)


def ours(base: Path, folder: Path, **how: Any) -> npt.NDArray[np.float32]:
    """Our renderer's picture (TALL, SIDE, 3) in [0, 1]."""
    sampling = Sampling(steps=STEPS, guidance_scale=3.0, width=SIDE, height=TALL, **how)
    (image,) = Renderer(str(base), folder, "cpu").render([RenderJob(PROMPT, NEGATIVE, SEED)], sampling)
    return np.asarray(np.asarray(image, np.float32) / 255, np.float32)


@pytest.mark.parametrize("name", READERS)
def test_text_encoders_that_learn_are_loaded_by_the_stock_pipeline(
    name: str, bases: Callable[[str], Path], person: Person
) -> None:
    """The CLIPs alone."""
    folder = train(config(bases(name), person, f"{name}-text", lora={"rank": 2, "alpha": 3, "text_encoder": True}))
    stock = DiffusionPipeline.from_pretrained(bases(name))
    stock.load_lora_weights(folder)
    picture = drawn(stock, name, TALL)
    state = load_file(folder / LORA)
    clips = {key.partition(".")[0] for key in state if key.startswith("text_encoder")}
    assert clips == {part for part in stock._lora_loadable_modules if part.startswith("text_encoder")}
    for clip in clips:
        assert any(tensor.any() for key, tensor in state.items() if key.startswith(f"{clip}.") and ".lora_B." in key)
    assert np.abs(ours(bases(name), folder) - picture).max() <= 1.5 / 255
    for clip in clips:
        getattr(stock, clip).disable_adapters()
    assert np.abs(drawn(stock, name, TALL) - picture).max() > 0.01


def test_t5_stands_still_beside_clips_that_learn(bases: Callable[[str], Path]) -> None:
    """In training mode it would drop out, so that a prompt would never read twice the same."""
    family = load_family(str(bases("sd35")))
    lora = LoraSettings(rank=2, text_encoder=True)
    model = make_trainable(family, "lora", lora, DreamboothSettings(), 0, torch.bfloat16, True)
    assert {name: encoder.training for name, encoder in family.text_encoders.items()} == {
        "text_encoder": True,
        "text_encoder_2": True,
        "text_encoder_3": False,
    }
    read = [family.encode_text([PROMPT])["encoder_hidden_states"] for _ in range(2)]
    assert torch.equal(*read) and read[0].requires_grad
    assert len(model.parameter_groups()["text"]) == 2 * 2 * 3 * 4


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("dora", [False, True])
def test_what_the_text_encoders_learnt_is_drawn_as_it_was_trained(
    name: str, dora: bool, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    family, stock = load_family(str(bases(name))), DiffusionPipeline.from_pretrained(bases(name))
    adapter.inject(family, LoraSettings(rank=2, alpha=3, text_encoder=True, dora=dora), seed=1)
    for key, tensor in adapter.adapter_state(family).items():
        tensor += 0.3 * randomness.normal(tensor.shape, 5, "training", key)
    adapter.save(family, tmp_path / "adapter", info(family))
    stock.load_lora_weights(tmp_path / "adapter")
    np.testing.assert_allclose(drawn(stock, name), drawn(family.pipeline(), name), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_the_same_beside_one_of_a_longer_prompt(name: str, bases: Callable[[str], Path]) -> None:
    renderer, sampling = Renderer(str(bases(name)), None, "cpu"), Sampling(steps=STEPS, width=SIDE, height=SIDE)
    jobs = [RenderJob("a", NEGATIVE, SEED), RenderJob(PROMPT, 3 * NEGATIVE, SEED)]
    together = renderer.render(jobs, sampling)
    for job, picture in zip(jobs, together, strict=True):
        (alone,) = renderer.render([job], sampling)
        assert np.abs(np.asarray(alone, np.int16) - np.asarray(picture, np.int16)).max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_a_batch_are_decoded_one_after_the_other(name: str, bases: Callable[[str], Path]) -> None:
    """As the memory plan has it; and so a picture's pixels are the same in any batch whose latents are."""
    renderer, decoded = Renderer(str(bases(name)), None, "cpu"), []
    renderer.pipe.vae.decoder.register_forward_pre_hook(lambda _, given: decoded.append(len(given[0])))
    renderer.render([RenderJob(PROMPT, "", seed) for seed in range(3)], Sampling(width=SIDE, height=SIDE, steps=2))
    assert decoded == [1, 1, 1]


@pytest.mark.parametrize("name", ["flux2-klein", "z-image"])
def test_an_autoencoder_decodes_what_was_drawn_in_another_type(name: str, bases: Callable[[str], Path]) -> None:
    """As with LLM.int8, which leaves text encoder and denoiser in float32 on a base in bfloat16."""
    family = load_family(str(bases(name)))
    family.vae.bfloat16()
    assert np.isfinite(drawn(family.pipeline(), name)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", WAYS)
def test_every_way_of_training_is_loaded_as_it_was_trained(
    name: str, how: str, bases: Callable[[str], Path], person: Person
) -> None:
    stock = DiffusionPipeline.from_pretrained(bases(name))
    without = drawn(stock, name, TALL)
    folder = train(config(bases(name), person, f"{name}-{how}", **QUIET, **WAYS[how]))
    if how == "dreambooth":
        adapter.load_into(stock, folder, str(bases(name)))
    else:
        stock.load_lora_weights(folder)
    picture = drawn(stock, name, TALL)
    assert np.abs(picture - without).max() > 0.01
    assert np.abs(ours(bases(name), folder) - picture).max() <= 1.5 / 255


@pytest.mark.parametrize("name", NAMES)
def test_in_low_precision_and_with_checkpointing(name: str, bases: Callable[[str], Path], person: Person) -> None:
    lora = {"rank": 2, "alpha": 3, "text_encoder": name in READERS}
    changes: dict[str, Any] = {"steps": 1, "mixed_precision": "bf16", "gradient_checkpointing": True, "lora": lora}
    folder = train(config(bases(name), person, f"{name}-bf16", **changes))
    moved = [tensor for key, tensor in load_file(folder / LORA).items() if ".lora_B." in key]
    assert all(torch.isfinite(tensor).all() for tensor in moved) and any(tensor.any() for tensor in moved)
    renderer = Renderer(str(bases(name)), folder, "cpu", torch.bfloat16)
    sampling = Sampling(steps=STEPS, width=SIDE, height=SIDE)
    (image,) = renderer.render([RenderJob(PROMPT, NEGATIVE, SEED)], sampling)
    assert np.asarray(image).std() > 1


@pytest.mark.parametrize("name", NAMES)
def test_pictures_during_training_are_those_of_the_stock_pipeline(name: str, bases: Callable[[str], Path]) -> None:
    family = load_family(str(bases(name)))
    negative = NEGATIVE if family.default_recipe.negative else ""
    # Three steps, because the first and the last are hardly shifted.
    recipe = family.recipe.model_copy(update={"steps": 3, "guidance_scale": 3.0})
    noise = randomness.normal(latent_shape(name, TALL), SEED, "render")[None]
    with torch.no_grad():
        wanted, unwanted = family.encode_text([PROMPT]), family.encode_text([negative])
        latents = render_latents(family, family.predict, wanted, unwanted, noise, recipe, [SEED])
        pixels = family.decode_latents(latents)[0].permute(1, 2, 0)
    theirs = drawn(DiffusionPipeline.from_pretrained(bases(name)), name, TALL, steps=3)
    np.testing.assert_allclose(pixels.numpy() / 2 + 0.5, theirs, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_class_pictures_of_a_base_in_low_precision_are_nearly_those_of_the_whole_one(
    name: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    """A LoRA's run on a GPU keeps the base so; nothing casts for the denoiser before it is trained."""

    def drawn_in(frozen: torch.dtype) -> torch.Tensor:
        family = load_family(str(bases(name)), frozen=frozen)
        with torch.no_grad():
            found = class_portraits(family, Encodings(family, tmp_path), ["a person"], 1, (SIDE, SIDE), SEED)
        return found.photos[0][0].mean

    whole, low = drawn_in(torch.float32), drawn_in(torch.bfloat16)
    assert low.dtype == torch.float32
    assert 0 < (low - whole).abs().mean() < 0.02 * whole.std(), "the one is not taken for the other"
