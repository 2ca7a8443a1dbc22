"""Every family from its portraits to the stock pipeline's picture, on a tiny random base in its true classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, DiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference.renderer import Renderer, RenderJob, Sampling
from likeness import adapter, randomness
from likeness.adapter import LoraSettings
from likeness.errors import LikenessError
from likeness.families import Family, load_family
from likeness.families.stable_diffusion_xl import StableDiffusionXL
from likeness.person import Person
from tests import tiny_families
from tests.likeness.test_adapter import info
from tests.training.made import make_person
from training.config import TrainConfig
from training.objective import ObjectiveSettings, losses
from training.rendering import render_latents
from training.run import train

SIDE, STEPS, SEED = tiny_families.SIDE, 2, 41
PROMPT, NEGATIVE = "a headshot of sks person, grey background", "blurred"
LORA = "pytorch_lora_weights.safetensors"

# What anybody would write to draw with diffusers alone: the shape of the first latents, and what else is said. Guidance
# is 3 everywhere, which Z-Image and Krea 2 count as 2.
STOCK: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "sd15": ((4, 8, 8), {"guidance_scale": 3.0, "negative_prompt": NEGATIVE}),
    "sdxl": ((4, 8, 8), {"guidance_scale": 3.0, "negative_prompt": NEGATIVE}),
    "flux2-klein": ((16, 4, 4), {"guidance_scale": 3.0}),
    "z-image": ((4, 8, 8), {"guidance_scale": 2.0, "negative_prompt": NEGATIVE}),
    "qwen-image": ((4, 8, 8), {"true_cfg_scale": 3.0, "negative_prompt": NEGATIVE}),
    "krea2": ((4, 8, 8), {"guidance_scale": 2.0, "negative_prompt": NEGATIVE}),
    "sd35": ((4, 8, 8), {"guidance_scale": 3.0, "negative_prompt": NEGATIVE}),
}
NAMES = list(STOCK)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny base, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("bases")

    def base(name: str) -> Path:
        return folder / name if (folder / name).exists() else tiny_families.make(name, folder / name)

    return base


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return make_person(tmp_path_factory.mktemp("people") / "zebulon", resolution=SIDE)


@pytest.fixture(scope="session")
def adapters(bases: Callable[[str], Path], person: Person) -> Callable[[str], Path]:
    """The folder of an adapter of a family's tiny base, trained when it is first asked for."""

    def made(name: str) -> Path:
        folder = person.adapters / name
        return folder if folder.exists() else train(config(bases(name), person, name))

    return made


def config(base: Path, person: Person, name: str, **changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "base": str(base),
        "person": str(person.folder),
        "name": name,
        "steps": 3,
        "batch_size": 2,
        "lora": {"rank": 2, "alpha": 3},
        "optim": {"lr": 0.1},
        "data": {"resolution": SIDE},
        "evaluation": {"every": 3},
        "samples": {"every": 3, "count": 1, "steps": STEPS},
    }
    return TrainConfig.parse(values | changes)


def drawn(pipe: Any, name: str) -> npt.NDArray[np.float32]:
    """The stock pipeline's picture (SIDE, SIDE, 3) in [0, 1]."""
    shape, words = STOCK[name]
    latents = randomness.normal(shape, SEED, "render")[None]
    if hasattr(pipe, "_pack_latents") and name != "flux2-klein":  # which folds and packs them itself
        latents = pipe._pack_latents(latents, 1, *shape)
    pipe.set_progress_bar_config(disable=True)
    images = pipe(
        prompt=PROMPT, latents=latents, height=SIDE, width=SIDE, num_inference_steps=STEPS, output_type="np", **words
    ).images
    return np.asarray(images[0], np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_adapter_draws_the_same_in_the_stock_pipeline_and_in_ours(
    name: str, bases: Callable[[str], Path], adapters: Callable[[str], Path], person: Person
) -> None:
    folder = adapters(name)
    info = adapter.read_info(folder)
    assert info is not None and (info.family, info.steps, info.licence != "") == (name, 3, True)
    assert len(list((person.runs / name / "samples").iterdir())) == 1
    stock = DiffusionPipeline.from_pretrained(bases(name))
    without = drawn(stock, name)
    stock.load_lora_weights(folder)
    picture = drawn(stock, name)
    assert np.abs(picture - without).max() > 0.02
    renderer = Renderer(str(bases(name)), folder, "cpu")
    sampling = Sampling(steps=STEPS, guidance_scale=3.0, width=SIDE, height=SIDE)
    (ours,) = renderer.render([RenderJob(PROMPT, NEGATIVE, SEED)], sampling)
    assert np.abs(np.asarray(ours, np.float32) / 255 - picture).max() <= 1.5 / 255


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["dora-all", "attention", "dreambooth"])
def test_every_way_of_training_is_loaded_as_it_was_trained(
    name: str, how: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    family, stock = load_family(str(bases(name))), DiffusionPipeline.from_pretrained(bases(name))
    without = drawn(stock, name)
    if how == "dreambooth":
        adapter.unfreeze(family)
    else:
        targets: dict[str, Any] = {"targets": "all", "dora": True} if how == "dora-all" else {"targets": "attention"}
        adapter.inject(family, LoraSettings(rank=2, alpha=3, **targets), seed=1)
    for key, tensor in adapter.adapter_state(family).items():
        tensor += 0.3 * randomness.normal(tensor.shape, 5, "training", key)
    method: Any = "dreambooth" if how == "dreambooth" else "lora"
    adapter.save(family, tmp_path / "adapter", info(family, method))
    trained = drawn(family.pipeline(), name)
    if how == "dreambooth":
        adapter.load_into(stock, tmp_path / "adapter", str(bases(name)))
    else:
        stock.load_lora_weights(tmp_path / "adapter")
    np.testing.assert_allclose(drawn(stock, name), trained, rtol=0, atol=1e-3)
    assert np.abs(trained - without).max() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_in_low_precision_and_with_checkpointing(name: str, bases: Callable[[str], Path], person: Person) -> None:
    changes: dict[str, Any] = {"steps": 1, "mixed_precision": "bf16", "gradient_checkpointing": True}
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
    recipe = family.recipe.model_copy(update={"steps": STEPS, "guidance_scale": 3.0})
    noise = randomness.normal(STOCK[name][0], SEED, "render")[None]
    with torch.no_grad():
        wanted, unwanted = family.encode_text([PROMPT]), family.encode_text([negative])
        latents = render_latents(family, family.predict, wanted, unwanted, noise, recipe)
        pixels = family.decode_latents(latents)[0].permute(1, 2, 0)
    theirs = drawn(DiffusionPipeline.from_pretrained(bases(name)), name)
    np.testing.assert_allclose(pixels.numpy() / 2 + 0.5, theirs, rtol=0, atol=1e-3)


def sd15_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora.py."""
    latents = pipe.vae.encode(pixels).latent_dist.mode() * pipe.vae.config.scaling_factor
    noisy = DDPMScheduler.from_config(pipe.scheduler.config).add_noise(latents, noise, timesteps)
    text = pipe.encode_prompt(prompts, "cpu", 1, False)[0]
    return F.mse_loss(pipe.unet(noisy, timesteps, text).sample, noise)


def sdxl_loss(
    pipe: Any,
    pixels: Tensor,
    prompts: list[str],
    noise: Tensor,
    timesteps: Tensor,
    originals: list[tuple[int, int]] | None = None,
) -> Tensor:
    """train_dreambooth_lora_sdxl.py, for pictures that came in these sizes (the one that is trained) and were not cut."""
    latents = pipe.vae.encode(pixels).latent_dist.mode() * pipe.vae.config.scaling_factor
    noisy = DDPMScheduler.from_config(pipe.scheduler.config).add_noise(latents, noise, timesteps)
    text, _, pooled, _ = pipe.encode_prompt(prompts, device="cpu", do_classifier_free_guidance=False)
    corner, target = (0, 0), (pixels.shape[-2], pixels.shape[-1])
    framing = [[*original, *corner, *target] for original in originals or [target] * len(pixels)]
    added = {"time_ids": torch.tensor(framing), "text_embeds": pooled}
    said = pipe.unet(noisy, timesteps, text, added_cond_kwargs=added).sample
    return F.mse_loss(said.float(), noise.float())


def flux2_klein_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora_flux2_klein.py with its default weighting, none."""
    statistics = pipe.vae.bn.running_mean, (pipe.vae.bn.running_var + pipe.vae.config.batch_norm_eps).sqrt()
    mean, std = (values.reshape(1, -1, 1, 1) for values in statistics)
    latents = (pipe._patchify_latents(pipe.vae.encode(pixels).latent_dist.mode()) - mean) / std
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1)
    noisy = (1 - sigmas) * latents + sigmas * noise
    text, text_ids = pipe.encode_prompt(prompts)
    places = pipe._prepare_latent_ids(latents)
    said = pipe.transformer(
        hidden_states=pipe._pack_latents(noisy),
        timestep=timesteps / 1000,
        guidance=None,
        encoder_hidden_states=text,
        txt_ids=text_ids,
        img_ids=places,
        return_dict=False,
    )[0]
    errors = (pipe._unpack_latents_with_ids(said, places) - (noise - latents)) ** 2
    return errors.reshape(len(errors), -1).mean(1).mean()


def z_image_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora_z_image.py with its default weighting, none."""
    shift, scale = pipe.vae.config.shift_factor, pipe.vae.config.scaling_factor
    latents = (pipe.vae.encode(pixels).latent_dist.mode() - shift) * scale
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1)
    noisy = (1 - sigmas) * latents + sigmas * noise
    text, _ = pipe.encode_prompt([*prompts], device="cpu", do_classifier_free_guidance=False)
    said = pipe.transformer(list(noisy.unsqueeze(2).unbind(0)), (1000 - timesteps) / 1000, text, return_dict=False)[0]
    errors = (-torch.stack(said).squeeze(2) - (noise - latents)) ** 2
    return errors.reshape(len(errors), -1).mean(1).mean()


def qwen_image_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora_qwen_image.py with its default weighting, none."""
    config = pipe.vae.config
    mean, std = (torch.tensor(of).view(1, -1, 1, 1, 1) for of in (config.latents_mean, config.latents_std))
    latents = (pipe.vae.encode(pixels.unsqueeze(2)).latent_dist.mode() - mean) * (1 / std)
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1, 1)
    noise = noise.unsqueeze(2)
    noisy = (1 - sigmas) * latents + sigmas * noise
    text, mask = pipe.encode_prompt(prompts)
    count, channels, _, height, width = noisy.shape
    said = pipe.transformer(
        hidden_states=pipe._pack_latents(noisy.permute(0, 2, 1, 3, 4), count, channels, height, width),
        encoder_hidden_states=text,
        encoder_hidden_states_mask=mask,
        timestep=timesteps / 1000,
        img_shapes=[[(1, height // 2, width // 2)]] * count,
        return_dict=False,
    )[0]
    said = pipe._unpack_latents(
        said, height * pipe.vae_scale_factor, width * pipe.vae_scale_factor, pipe.vae_scale_factor
    )
    errors = (said - (noise - latents)) ** 2
    return errors.reshape(len(errors), -1).mean(1).mean()


def krea2_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora_krea2.py with its default weighting, none."""
    config = pipe.vae.config
    mean, std = (torch.tensor(of).view(1, -1, 1, 1, 1) for of in (config.latents_mean, config.latents_std))
    latents = ((pipe.vae.encode(pixels.unsqueeze(2)).latent_dist.mode() - mean) / std)[:, :, 0]
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1)
    noisy, count = (1 - sigmas) * latents + sigmas * noise, len(latents)
    text, mask = pipe.encode_prompt(prompts)
    said = pipe.transformer(
        hidden_states=pipe._pack_latents(noisy, *noisy.shape),
        encoder_hidden_states=text,
        timestep=timesteps / 1000,
        position_ids=pipe.prepare_position_ids(text.shape[1], noisy.shape[2] // 2, noisy.shape[3] // 2, "cpu"),
        encoder_attention_mask=mask,
        return_dict=False,
    )[0]
    errors = (said - pipe._pack_latents(noise - latents, *noisy.shape)) ** 2
    return errors.reshape(count, -1).mean(1).mean()


def sd35_loss(pipe: Any, pixels: Tensor, prompts: list[str], noise: Tensor, timesteps: Tensor) -> Tensor:
    """train_dreambooth_lora_sd3.py with --weighting_scheme none and --precondition_outputs 0."""
    shift, scale = pipe.vae.config.shift_factor, pipe.vae.config.scaling_factor
    latents = (pipe.vae.encode(pixels).latent_dist.mode() - shift) * scale
    sigmas = (timesteps / 1000).reshape(-1, 1, 1, 1)
    text, _, pooled, _ = pipe.encode_prompt(prompts, prompts, prompts, do_classifier_free_guidance=False)
    said = pipe.transformer(
        hidden_states=(1 - sigmas) * latents + sigmas * noise,
        timestep=timesteps,
        encoder_hidden_states=text,
        pooled_projections=pooled,
        return_dict=False,
    )[0]
    errors = (said - (noise - latents)) ** 2
    return errors.reshape(len(errors), -1).mean(1).mean()


PUBLIC: dict[str, Callable[[Any, Tensor, list[str], Tensor, Tensor], Tensor]] = {
    "sd15": sd15_loss,
    "sdxl": sdxl_loss,
    "flux2-klein": flux2_klein_loss,
    "z-image": z_image_loss,
    "qwen-image": qwen_image_loss,
    "krea2": krea2_loss,
    "sd35": sd35_loss,
}


def batch(family: Family) -> tuple[Tensor, list[str], Tensor, Tensor]:
    """Pixels, prompts, noise and timesteps of three samples."""
    pixels = randomness.normal((3, 3, SIDE, SIDE), 1, "pixels").clamp(-1, 1)
    prompts = ["a photo of sks person", "", "a photo of sks person, head and shoulders, soft light"]
    noise = randomness.normal((3, *STOCK[family.name][0]), 1, "noise")
    timesteps = family.schedule.timesteps(torch.tensor([0.02, 0.5, 0.97]), (noise.shape[-2], noise.shape[-1]))
    return pixels, prompts, noise, timesteps


@torch.no_grad()
def our_loss(family: Family, originals: list[tuple[int, int]] | None = None) -> Tensor:
    pixels, prompts, noise, timesteps = batch(family)
    latents, _ = family.encode_image(pixels)
    noisy, target = (f(latents, noise, timesteps) for f in (family.schedule.add_noise, family.schedule.target))
    framing = family.framing(torch.tensor(originals)) if originals else {}
    said = family.predict(noisy, timesteps, family.encode_text(prompts) | framing)
    return losses(ObjectiveSettings(), family.schedule, said, target, timesteps, mask=None).total


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_batch_costs_what_diffusers_own_script_says(name: str, bases: Callable[[str], Path]) -> None:
    family, stock = load_family(str(bases(name))), DiffusionPipeline.from_pretrained(bases(name))
    expected = PUBLIC[name](stock, *batch(family))
    torch.testing.assert_close(our_loss(family), expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_sdxl_is_told_how_large_a_portrait_was(bases: Callable[[str], Path]) -> None:
    family, stock = load_family(str(bases("sdxl"))), DiffusionPipeline.from_pretrained(bases("sdxl"))
    originals = [(20, 16), (SIDE, SIDE), (70, 90)]
    expected = sdxl_loss(stock, *batch(family), originals)
    torch.testing.assert_close(our_loss(family, originals), expected, rtol=1e-5, atol=1e-6)
    assert not torch.isclose(our_loss(family), expected, rtol=1e-4)
    torch.testing.assert_close(our_loss(family, [(0, 0)] * 3), our_loss(family))


def test_training_tells_sdxl_how_large_each_portrait_was(
    bases: Callable[[str], Path], person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Tensor] = []
    predict = StableDiffusionXL.predict

    def heard(family: Family, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        told.append(conditioning["original_size"])
        return predict(family, noisy, timesteps, conditioning)  # type: ignore[arg-type]

    monkeypatch.setattr(StableDiffusionXL, "predict", heard)
    quiet: dict[str, Any] = {"evaluation": {"every": 0}, "samples": {"every": 0}}
    train(config(bases("sdxl"), person, "told", **quiet))
    sizes = {tuple(size) for sizes in told for size in sizes.tolist()}
    assert len(sizes) > 1 and sizes <= {(2 * SIDE // place, 2 * SIDE // place) for place in (1, 2, 3)}
    assert len(told) == 2 * 3, "the frozen prior is told too"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_an_adapter_of_another_family_is_refused(
    name: str, other: str, bases: Callable[[str], Path], adapters: Callable[[str], Path], tmp_path: Path
) -> None:
    """By its own word; and, where it says nothing of itself, by the keys that find no place."""
    if name == other:
        return
    pipe = load_family(str(bases(other))).pipeline()
    with pytest.raises(LikenessError, match=f"of the family {name}, and the base .* is of {other}"):
        adapter.load_into(pipe, adapters(name), str(bases(other)))
    silent = tmp_path / "silent.safetensors"
    save_file(load_file(adapters(name) / LORA), silent)
    with pytest.raises(LikenessError) as caught:
        adapter.load_into(pipe, silent, str(bases(other)))
    message = str(caught.value)
    assert "\n" not in message and (".lora_" in message or "unet." in message), message


@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_with_a_key_too_many_is_refused(
    name: str, bases: Callable[[str], Path], adapters: Callable[[str], Path], tmp_path: Path
) -> None:
    state = load_file(adapters(name) / LORA)
    key = next(key for key in state if ".lora_A." in key)
    stray = key.replace(".lora_A.", ".nowhere.lora_A.")
    save_file(state | {stray: state[key].clone()}, tmp_path / "stray.safetensors")
    with pytest.raises(LikenessError, match=f"ignore 1 tensors.*{stray}"):
        adapter.load_into(load_family(str(bases(name))).pipeline(), tmp_path / "stray.safetensors", str(bases(name)))


def test_kohyas_names_for_sdxl_find_their_modules(bases: Callable[[str], Path], tmp_path: Path) -> None:
    """It numbers the UNet's blocks as SDXL's first release did, and the text encoders from 1."""
    family = load_family(str(bases("sdxl")))
    pipe = family.pipeline()
    text = "text_model.encoder.layers.0.self_attn.q_proj"
    found = {
        "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q": (
            pipe.unet,
            "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
        ),
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj": (pipe.text_encoder, text),
        "lora_te2_text_model_encoder_layers_0_self_attn_q_proj": (pipe.text_encoder_2, text),
    }
    state: dict[str, Tensor] = {}
    for number, (key, (part, name)) in enumerate(found.items()):
        short = name if hasattr(part, "text_model") else name.removeprefix("text_model.")
        out, into = part.get_submodule(short).weight.shape
        state[f"{key}.lora_down.weight"] = randomness.normal((2, into), number, "down")
        state[f"{key}.lora_up.weight"] = randomness.normal((out, 2), number, "up")
        state[f"{key}.alpha"] = torch.tensor(0.5 + number)
        found[key] = (part, short)
    save_file(state, tmp_path / "kohya.safetensors")
    assert adapter.load_into(pipe, tmp_path / "kohya.safetensors", str(bases("sdxl"))) is None
    for number, (key, (part, name)) in enumerate(found.items()):
        expected = (0.5 + number) / 2 * state[f"{key}.lora_up.weight"] @ state[f"{key}.lora_down.weight"]
        change = part.get_submodule(name).get_delta_weight("likeness")
        torch.testing.assert_close(change, expected, rtol=1e-5, atol=1e-6)


FLOWS = [name for name in NAMES if name not in ("sd15", "sdxl")]


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective": {"min_snr_gamma": 5}}, "min-SNR weighting has no meaning"),
        ({"lora": {"text_encoder": True}}, "load no LoRA of a text encoder"),
        ({"data": {"resolution": SIDE + 2}}, "not a size of this base"),
    ],
)
def test_what_a_flow_cannot_do_is_refused(
    name: str, changes: dict[str, Any], said: str, bases: Callable[[str], Path], person: Person
) -> None:
    with pytest.raises(LikenessError, match=said):
        train(config(bases(name), person, "refused", **changes))
    assert not (person.runs / "refused").exists()


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_is_drawn_by_its_own_scheduler(name: str, bases: Callable[[str], Path]) -> None:
    renderer, size = Renderer(str(bases(name)), None, "cpu"), {"width": SIDE, "height": SIDE}
    for changes, said in (
        ({"scheduler": "ddim"}, "its own scheduler alone"),
        ({"guidance_rescale": 0.5}, "guidance_resc"),
    ):
        with pytest.raises(LikenessError, match=said):
            renderer.render([RenderJob(PROMPT, "", 0)], Sampling.parse({**size, **changes}))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_base_cannot_read_is_told(name: str, bases: Callable[[str], Path]) -> None:
    family: Family = load_family(str(bases(name)))
    assert family.unread(PROMPT) == ""
    assert family.unread("a" * 1200 + "bcd").endswith("abcd")
