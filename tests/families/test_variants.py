"""Distilled relatives, in the base's place or stacked beneath the adapter, draw as plain diffusers draws with them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import numpy.typing as npt
import pytest
from diffusers import DiffusionPipeline, EulerDiscreteScheduler, LCMScheduler

from inference.renderer import Renderer, RenderJob, Sampling
from likeness import adapter, randomness
from likeness.adapter import LoraSettings
from likeness.errors import LikenessError
from likeness.families import FAMILIES, Recipe, family_named, load_family
from likeness.families.variant import Variant, find_variant
from tests import tiny_families
from tests.families.common import LORA, PROMPT, SEED, SIDE, STOCK
from tests.likeness.test_adapter import info

SIZE: dict[str, Any] = {"height": SIDE, "width": SIDE, "output_type": "np"}


def theirs(pipe: Any, name: str, **words: Any) -> npt.NDArray[np.float32]:
    pipe.set_progress_bar_config(disable=True)
    latents = randomness.normal(STOCK[name][0], SEED, "render")[None]
    return np.asarray(pipe(prompt=PROMPT, latents=latents, **SIZE, **words).images[0], np.float32)


def ours(renderer: Renderer) -> npt.NDArray[np.float32]:
    (image,) = renderer.render([RenderJob(PROMPT, "", SEED)], Sampling(width=SIDE, height=SIDE))
    return np.asarray(image, np.float32) / np.float32(255)


def stacked_lora(base: Path, folder: Path) -> Path:
    """A LoRA of another rank and other modules, as a distilled one is."""
    family = load_family(str(base))
    adapter.inject(family, LoraSettings(rank=3, alpha=3, targets="all"), seed=8)
    for key, tensor in adapter.adapter_state(family).items():
        tensor += 0.2 * randomness.normal(tensor.shape, 9, "distilled", key)
    adapter.save(family, folder, info(family))
    return Path(shutil.copyfile(folder / LORA, folder.parent / "distilled.safetensors"))


def test_a_relative_in_the_bases_place_draws_in_its_own_way(adapters: Callable[[str], Path], tmp_path: Path) -> None:
    name, folder = "flux2-klein", adapters("flux2-klein")
    relative = tiny_families.make(name, tmp_path / "distilled", seed=5)
    variant = find_variant(family_named(name), str(relative)).model_copy(update={"steps": 3, "guidance_scale": 1.0})
    renderer = Renderer("the adapter's base is not even looked for", folder, "cpu", variant=variant)
    stock = DiffusionPipeline.from_pretrained(relative)
    stock.load_lora_weights(folder)
    expected = theirs(stock, name, num_inference_steps=3, guidance_scale=1.0)
    assert np.abs(ours(renderer) - expected).max() <= 1.5 / 255
    assert renderer.base == str(relative)


@pytest.mark.parametrize("weight", [1.0, 0.6])
def test_a_lora_beneath_the_adapter_is_what_diffusers_stacks(
    weight: float, bases: Callable[[str], Path], adapters: Callable[[str], Path], tmp_path: Path
) -> None:
    name, folder = "sdxl", adapters("sdxl")
    file = stacked_lora(bases(name), tmp_path / "lora")
    yaml = tmp_path / "lightning.yaml"
    yaml.write_text(
        "lora: distilled.safetensors\nweight: 0.8\nsteps: 2\nguidance_scale: 1\nscheduler: euler-trailing\n"
    )
    renderer = Renderer(
        str(bases(name)), folder, "cpu", weight=weight, variant=find_variant(family_named(name), str(yaml))
    )
    assert renderer.recipe.guidance_from == "words"
    with pytest.raises(LikenessError, match="switched off by itself"):
        renderer.render([RenderJob(PROMPT, "", SEED)], Sampling(guidance_from="base", guidance_scale=2))
    stock = DiffusionPipeline.from_pretrained(bases(name))
    stock.load_lora_weights(file, adapter_name="distilled")
    stock.load_lora_weights(folder, adapter_name="person")
    stock.set_adapters(["distilled", "person"], [0.8, weight])
    stock.scheduler = EulerDiscreteScheduler.from_config(stock.scheduler.config, timestep_spacing="trailing")
    expected = theirs(stock, name, num_inference_steps=2, guidance_scale=1.0)
    assert np.abs(ours(renderer) - expected).max() <= 1.5 / 255
    stock.set_adapters(["person"], [weight])
    assert np.abs(theirs(stock, name, num_inference_steps=2, guidance_scale=1.0) - expected).max() > 0.02


def test_a_lora_alone_and_one_of_another_base(bases: Callable[[str], Path], tmp_path: Path) -> None:
    file = stacked_lora(bases("sdxl"), tmp_path / "lora")
    variant = Variant(lora=str(file), steps=2, guidance_scale=1.0)
    stock = DiffusionPipeline.from_pretrained(bases("sdxl"))
    stock.load_lora_weights(file)
    expected = theirs(stock, "sdxl", num_inference_steps=2, guidance_scale=1.0)
    assert np.abs(ours(Renderer(str(bases("sdxl")), None, "cpu", variant=variant)) - expected).max() <= 1.5 / 255
    with pytest.raises(LikenessError, match="would ignore|does not fit"):
        Renderer(str(bases("sd15")), None, "cpu", variant=variant)


def test_a_relative_that_is_drawn_with_new_noise_at_every_step(bases: Callable[[str], Path], tmp_path: Path) -> None:
    """As DMD2 is: at the timesteps of its authors' example, the noise being the picture's own in any batch."""
    known = family_named("sdxl").variants["dmd2"]
    file = stacked_lora(bases("sdxl"), tmp_path / "lora")
    renderer = Renderer(str(bases("sdxl")), None, "cpu", variant=known.model_copy(update={"lora": str(file)}))
    first = ours(renderer)
    assert renderer.pipe.scheduler.timesteps.tolist() == [999, 749, 499, 249]
    stock = DiffusionPipeline.from_pretrained(bases("sdxl"))
    stock.load_lora_weights(file)
    stock.scheduler = LCMScheduler.from_config(stock.scheduler.config)
    words: dict[str, Any] = {"timesteps": [999, 749, 499, 249], "guidance_scale": 1.0}
    expected = theirs(stock, "sdxl", generator=randomness.generator(SEED), **words)
    assert np.abs(first - expected).max() <= 1.5 / 255
    other = theirs(stock, "sdxl", generator=randomness.generator(SEED + 1), **words)
    assert np.abs(other - expected).max() > 0.02
    jobs = [RenderJob(PROMPT, "", seed) for seed in (SEED + 1, SEED)]
    second = renderer.render(jobs, Sampling(width=SIDE, height=SIDE))[1]
    assert np.abs(np.asarray(second, np.float32) / np.float32(255) - first).max() <= 1.5 / 255


def test_the_licence_of_a_lora_counts_too(
    bases: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file by the card beside it, of one on the Hub before it is fetched; a file of one's own without a card is one's own."""
    file = stacked_lora(bases("sdxl"), tmp_path / "lora")
    here, there = Variant(lora=str(file)), Variant(lora="some/loras/fast.safetensors")
    assert here.lora_licence == ""
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    asked: list[str] = []

    def glance(name: str, **_: Any) -> str:
        asked.append(name)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", glance)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: pytest.fail("fetched"))
    for variant in (here, there):
        with pytest.raises(
            LikenessError, match=r"licence of this LoRA, cc-by-nc-4.0, forbids commercial use.*--accept-l"
        ):
            Renderer(str(bases("sdxl")), None, "cpu", variant=variant)
    assert asked == ["some/loras"]
    Renderer(str(bases("sdxl")), None, "cpu", variant=here, accept_license=True)
    (tmp_path / "README.md").unlink()
    assert there.lora_licence == "none that its card names"


def test_an_adapter_that_the_relative_has_no_place_for_is_refused(
    adapters: Callable[[str], Path], bases: Callable[[str], Path]
) -> None:
    with pytest.raises(LikenessError, match="of the family sdxl"):
        Renderer("pocket", adapters("sdxl"), "cpu", variant=Variant(base=str(bases("sd15"))))


def test_variants_are_found_by_name_file_or_folder(tmp_path: Path) -> None:
    klein, old = family_named("flux2-klein"), family_named("sd15")
    assert find_variant(klein, "fast") is find_variant(klein, "distilled") is klein.variants["distilled"]
    assert find_variant(old, str(tmp_path)) == Variant(base=str(tmp_path))
    assert find_variant(old, "somebody/turbo").base == "somebody/turbo"
    for family, name, said in ((old, "fast", "no fast variant of sd15"), (klein, "quick", "distilled, distilled-9b")):
        with pytest.raises(LikenessError, match=said):
            find_variant(family, name)
    with pytest.raises(LikenessError, match="either base or lora"):
        Variant.parse({"base": "a", "lora": "b"})
    with pytest.raises(LikenessError, match="owner/name/file"):
        Variant(lora="nowhere.safetensors").lora_file()


@pytest.mark.parametrize(("width", "variant"), [(7680, "distilled"), (12288, "distilled-9b")])
def test_the_fast_variant_is_that_of_the_bases_size(
    width: int, variant: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    klein = family_named("flux2-klein")
    base = shutil.copytree(bases("flux2-klein"), tmp_path / "base")
    file = base / "transformer" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"joint_attention_dim": width}))
    assert find_variant(klein, "fast", str(base)) is klein.variants[variant]


def test_where_the_size_is_not_known_a_fast_variant_is_named_before_it_is_fetched(
    bases: Callable[[str], Path], tmp_path: Path
) -> None:
    klein = family_named("flux2-klein")
    for base, said in (
        (bases("flux2-klein"), "for a base of this size"),
        (tmp_path / "gone", "cannot be told without"),
    ):
        with pytest.raises(LikenessError, match=f"{said}.*--variant distilled or --variant distilled-9b"):
            find_variant(klein, "fast", str(base))
    # Where there is one size, the base is not looked for.
    z_image = family_named("z-image")
    assert find_variant(z_image, "fast", str(tmp_path / "gone")) is z_image.variants["turbo"]


def test_krea_2_is_drawn_as_its_publisher_advises(bases: Callable[[str], Path], tmp_path: Path) -> None:
    """github.com/krea-ai/krea-2, README: --steps 52 --cfg 3.5 for Raw, --steps 8 --cfg 0.0 for Turbo, counted from 0."""
    name, latents = "krea2", randomness.normal(STOCK["krea2"][0], SEED, "render")[None]
    turbo = shutil.copytree(bases(name), tmp_path / "turbo")
    file = turbo / "model_index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"is_distilled": True}))
    for base, steps, cfg in ((bases(name), 52, 3.5), (turbo, 8, 0.0)):
        family = load_family(str(base))
        told = family.pipeline_arguments(family.recipe, [PROMPT], [""], latents)
        assert (told["num_inference_steps"], told["guidance_scale"]) == (steps, cfg)


def test_every_named_variant_says_how_it_is_drawn() -> None:
    for family in FAMILIES:
        for variant in family.variants.values():
            recipe = variant.over(Recipe(eta=0.5, guidance_from="base"))
            assert recipe.steps <= 8 and recipe.guidance_scale == 1.0 and recipe.eta == 0
            assert recipe.guidance_from == "words"
            assert Sampling.parse({"scheduler": recipe.scheduler}).scheduler == recipe.scheduler
