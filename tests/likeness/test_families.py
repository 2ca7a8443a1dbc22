"""A family's steps are those of the stock pipeline; and what is said when a base cannot be had."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from likeness import files
from likeness.errors import LikenessError
from likeness.families import DiscreteSchedule, Family, load_family, source
from likeness.families.stable_diffusion import StableDiffusion
from tests.tiny import RESOLUTION, make_tiny_base

PROMPTS = ["a photo of a person", "", "a headshot of a person, grey studio background, " + "and more words " * 20]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("base") / "tiny", "v_prediction")


@pytest.fixture(scope="module")
def family(base: Path) -> Family:
    return load_family(str(base))


@pytest.fixture(scope="module")
def stock(base: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(base)


def test_a_base_says_what_it_is(family: Family, base: Path) -> None:
    assert isinstance(family, StableDiffusion) and family.name == "sd15"
    assert family.resolution == RESOLUTION and family.latent_shape(64, 32) == (4, 16, 8)
    assert isinstance(family.schedule, DiscreteSchedule)
    assert family.schedule.zero_terminal_snr and family.schedule.prediction_type == "v_prediction"
    expected = files.sha256(base / "unet" / "diffusion_pytorch_model.safetensors")
    assert StableDiffusion.hash(str(base)) == family.sha256() == expected
    assert not any(parameter.requires_grad for parameter in family.denoiser.parameters())


def test_text_is_encoded_as_the_stock_pipeline_does(family: Family, stock: StableDiffusionPipeline) -> None:
    ours = family.encode_text(PROMPTS)
    theirs, _ = stock.encode_prompt(PROMPTS, "cpu", 1, False)
    assert set(ours) == {"encoder_hidden_states"}
    assert torch.equal(ours["encoder_hidden_states"], theirs)


def test_text_length_is_the_tokenizers(tmp_path: Path) -> None:
    short = load_family(str(make_tiny_base(tmp_path / "short", text_length=32)))
    assert short.encode_text(PROMPTS)["encoder_hidden_states"].shape == (3, 32, 16)
    assert short.unread("abc") == ""
    assert short.unread("a" * 30 + "bcd") == "bcd"


def test_pictures_are_encoded_and_decoded_as_the_stock_pipeline_does(
    family: Family, stock: StableDiffusionPipeline
) -> None:
    pixels = torch.rand(2, 3, RESOLUTION, RESOLUTION, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, std = family.encode_image(pixels)
    posterior = stock.vae.encode(pixels).latent_dist
    torch.testing.assert_close((mean, std), (posterior.mean * 0.5, posterior.std * 0.5), rtol=0, atol=1e-5)
    assert mean.shape[1:] == family.latent_shape(RESOLUTION, RESOLUTION)
    theirs = stock.image_processor.postprocess(stock.vae.decode(mean / 0.5).sample, output_type="pt")
    torch.testing.assert_close(family.decode_latents(mean) / 2 + 0.5, theirs, rtol=0, atol=1e-5)


def test_prediction_is_the_denoisers(family: Family, stock: StableDiffusionPipeline) -> None:
    noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    steps = torch.tensor([10, 900])
    text = family.encode_text(PROMPTS[:2])
    theirs = stock.unet(noisy, steps, text["encoder_hidden_states"]).sample
    assert torch.equal(family.predict(noisy, steps, text), theirs)


def test_the_pipeline_has_the_same_modules_and_its_own_scheduler(family: Family) -> None:
    pipe = family.pipeline()
    assert pipe.unet is family.denoiser and pipe.scheduler is not family.parts["scheduler"]
    assert pipe.safety_checker is None and pipe.feature_extractor is None
    assert isinstance(pipe("a person", num_inference_steps=2).images[0], Image.Image)


def test_a_family_can_be_saved_and_loaded_again(family: Family, tmp_path: Path) -> None:
    family.pipeline().save_pretrained(tmp_path / "copy")
    again = load_family(str(tmp_path / "copy"))
    for ours, theirs in zip(family.denoiser.parameters(), again.denoiser.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_freed_encoders_are_gone_and_say_so(base: Path) -> None:
    family = load_family(str(base))
    family.free_encoders()
    assert family.text_encoders == {}
    with pytest.raises(LikenessError, match="text_encoder was freed"):
        family.encode_text(["a"])
    with pytest.raises(LikenessError, match="vae was freed"):
        family.decode_latents(torch.zeros(1, 4, 8, 8))
    assert family.latent_shape(32, 32) == (4, 8, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("variant", [None, "fp16"])
def test_half_precision_weights_load_in_the_dtype_asked_for(
    tmp_path: Path, dtype: torch.dtype, variant: str | None
) -> None:
    base = make_tiny_base(tmp_path / "half", dtype=torch.float16, variant=variant)
    family = load_family(str(base), dtype)
    for module in (family.denoiser, family.vae, *family.text_encoders.values()):
        assert {parameter.dtype for parameter in module.parameters()} == {dtype}


def test_the_recipe_and_licence_come_with_the_base_where_it_has_them(base: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(base, own)
    assert load_family(str(own)).licence == "creativeml-openrail-m"
    usual = StableDiffusion.default_recipe.model_dump()
    assert load_family(str(own)).recipe.model_dump() == usual | {"guidance_rescale": 0.7}  # for its zero terminal SNR
    (own / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A base\n")
    files.write_json(own / "recipe.json", {"steps": 12, "guidance_scale": 2.5})
    family = load_family(str(own))
    assert family.licence == "apache-2.0" and family.recipe.steps == 12


def test_a_size_that_does_not_divide_is_refused(family: Family) -> None:
    with pytest.raises(LikenessError, match="33 x 32 px.*multiples of 8"):
        family.latent_shape(32, 33)


class TestBasesThatCannotBeHad:
    def test_absent(self, tmp_path: Path) -> None:
        with pytest.raises(LikenessError, match="no base model"):
            load_family(str(tmp_path / "nowhere"))

    def test_on_the_hub_but_unreachable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from diffusers import DiffusionPipeline

        asked = []

        def unreachable(name: str, **options: object) -> str:
            asked.append((name, options["revision"], options["variant"]))
            raise OSError("the Hub cannot be reached\nand a long story")

        monkeypatch.setattr(DiffusionPipeline, "download", unreachable)
        with pytest.raises(LikenessError, match=r"some/base: .*cannot be reached\. Check") as caught:
            load_family("some/base", revision="abc", dtype=torch.float16)
        assert asked == [("some/base", "abc", "fp16"), ("some/base", "abc", None)]
        assert "\n" not in str(caught.value)

    def test_from_the_hub_without_the_variant(self, monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
        from diffusers import DiffusionPipeline

        def only_full_precision(name: str, **options: object) -> str:
            if options["variant"]:
                raise ValueError("no such modeling files")
            return str(base)

        monkeypatch.setattr(DiffusionPipeline, "download", only_full_precision)
        assert load_family("some/base", dtype=torch.float16).denoiser.dtype == torch.float16

    def test_of_an_unknown_kind(self, base: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        shutil.copytree(base, other)
        index = json.loads((other / "model_index.json").read_text())
        (other / "model_index.json").write_text(json.dumps(index | {"_class_name": "OtherPipeline"}))
        with pytest.raises(LikenessError, match="OtherPipeline are not supported"):
            load_family(str(other))
        with pytest.raises(LikenessError, match="a OtherPipeline, not a StableDiffusionPipeline"):
            StableDiffusion.load(str(other))

    def test_of_a_kind_that_an_older_diffusers_does_not_know(self, base: Path) -> None:
        dtypes = {"default": torch.float32}
        with pytest.raises(LikenessError, match=r"diffusers [\d.]+ does not know .*TomorrowPipeline.*diffusers>=0\.39"):
            source.load_parts(base, "TomorrowPipeline", dtypes, "cpu")

    @pytest.mark.parametrize("damage", ["missing", "truncated", "index"])
    def test_damaged(self, base: Path, tmp_path: Path, damage: str) -> None:
        other = tmp_path / "other"
        shutil.copytree(base, other)
        weights = other / "unet" / "diffusion_pytorch_model.safetensors"
        if damage == "missing":
            weights.unlink()
        elif damage == "truncated":
            weights.write_bytes(weights.read_bytes()[:1000])
        else:
            (other / "model_index.json").write_text("{")
        with pytest.raises(LikenessError, match="anew") as caught:
            load_family(str(other))
        assert "\n" not in str(caught.value)
