"""New words are trained beside the adapter, alone in their tables, and read by plain diffusers and by our renderer."""

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
from likeness import randomness
from likeness.adapter import LoraSettings, read_info, weights_sha256
from likeness.errors import LikenessError
from likeness.families import load_family
from likeness.lora_export import export
from likeness.person import Person
from likeness.pivotal import EMBEDDINGS_FILE, PivotalSettings
from tests.families.common import LORA, NEGATIVE, SEED, SIDE, STEPS, STOCK, config
from training.model import DreamboothSettings, make_trainable
from training.run import train

CLIPS = {
    "sd15": {"clip_l": ("text_encoder", "tokenizer")},
    "sdxl": {"clip_l": ("text_encoder", "tokenizer"), "clip_g": ("text_encoder_2", "tokenizer_2")},
}
WORDS = ["<s0>", "<s1>"]
PROMPT = "a headshot of <s0><s1> person, grey background"
PIVOTAL: dict[str, Any] = {"pivotal": {"tokens": 2, "until": 0.5}, "optim": {"lr": 0.1, "token_lr": 0.3}, "steps": 4}


@pytest.fixture(scope="module")
def pivotal(bases: Callable[[str], Path], person: Person) -> Callable[[str], Path]:
    def made(name: str) -> Path:
        folder = person.adapters / f"{name}-words"
        return folder if folder.exists() else train(config(bases(name), person, folder.name, **PIVOTAL))

    return made


def load_words(pipe: Any, folder: Path, name: str) -> None:
    """What docs/families.md tells to write."""
    embeddings = load_file(folder / EMBEDDINGS_FILE)
    for key, (encoder, tokenizer) in CLIPS[name].items():
        parts = {"text_encoder": getattr(pipe, encoder), "tokenizer": getattr(pipe, tokenizer)}
        pipe.load_textual_inversion(embeddings[key], token=WORDS, **parts)


def drawn(pipe: Any, name: str) -> npt.NDArray[np.float32]:
    latents = randomness.normal(STOCK[name][0], SEED, "render")[None]
    pipe.set_progress_bar_config(disable=True)
    size = {"height": SIDE, "width": SIDE, "num_inference_steps": STEPS, "output_type": "np"}
    images = pipe(prompt=PROMPT, negative_prompt=NEGATIVE, latents=latents, guidance_scale=3.0, **size).images
    return np.asarray(images[0], np.float32)


def ours(base: Path, adapter: Path) -> npt.NDArray[np.float32]:
    sampling = Sampling(steps=STEPS, guidance_scale=3.0, width=SIDE, height=SIDE)
    (image,) = Renderer(str(base), adapter, "cpu").render([RenderJob(PROMPT, NEGATIVE, SEED)], sampling)
    return np.asarray(image, np.float32) / np.float32(255)


@pytest.mark.parametrize("name", CLIPS)
def test_plain_diffusers_draws_with_the_words_what_we_draw(
    name: str, bases: Callable[[str], Path], pivotal: Callable[[str], Path]
) -> None:
    folder = pivotal(name)
    info = read_info(folder)
    assert info is not None and info.tokens == WORDS and info.subject == "<s0><s1> person"
    stock = DiffusionPipeline.from_pretrained(bases(name))
    stock.load_lora_weights(folder)
    without = drawn(stock, name)
    load_words(stock, folder, name)
    picture = drawn(stock, name)
    assert np.abs(picture - without).max() > 0.01, "the words mean something"
    assert np.abs(ours(bases(name), folder) - picture).max() <= 1.5 / 255
    for encoder, tokenizer in CLIPS[name].values():
        before = load_file(bases(name) / encoder / "model.safetensors")
        (table,) = (rows for key, rows in before.items() if key.endswith("token_embedding.weight"))
        after = getattr(stock, encoder).get_input_embeddings().weight
        assert torch.equal(after[: len(table)], table) and len(after) == len(table) + 2
        assert getattr(stock, tokenizer).convert_tokens_to_ids(WORDS) == [len(table), len(table) + 1]


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("text_encoder", [False, True])
def test_no_other_row_learns(name: str, text_encoder: bool, bases: Callable[[str], Path]) -> None:
    family = load_family(str(bases(name)))
    lora, words = LoraSettings(rank=2, text_encoder=text_encoder), PivotalSettings(tokens=2)
    tables = {f: e.get_input_embeddings().weight.clone() for f, e in family.text_encoders.items()}  # type: ignore[operator]
    model = make_trainable(family, "lora", lora, DreamboothSettings(), 3, torch.float32, False, words)
    groups = model.parameter_groups()
    assert len(groups["tokens"]) == len(CLIPS[name]) and bool(groups["text"]) == text_encoder
    begun = [rows.detach().clone() for rows in groups["tokens"]]
    optimizer = torch.optim.AdamW(model.parameters_in_order(), lr=0.1)
    for _ in range(2):
        states = family.encode_text([PROMPT, "a photo of a person"])
        torch.stack([tensor.square().mean() for tensor in states.values()]).sum().backward()
        optimizer.step()
    for rows, old in zip(groups["tokens"], begun, strict=True):
        assert bool(((rows.detach() - old).abs().mean(dim=1) > 0.1).all()), "every row of the words moves"
    for folder, table in tables.items():
        inside = {key: value for key, value in family.text_encoders[folder].state_dict().items()}
        (now,) = (v for key, v in inside.items() if "token_embedding" in key and key.endswith("weight"))
        assert torch.equal(now[: len(table)], table)


def test_the_words_begin_near_the_first_one_and_stand_still_after_the_pivot(
    bases: Callable[[str], Path], person: Person
) -> None:
    early: dict[str, Any] = {**PIVOTAL, "pivotal": {"tokens": 2, "until": 0.25}}
    one = train(config(bases("sd15"), person, "one-step", **{**early, "steps": 4}))
    first = load_file(one / EMBEDDINGS_FILE)["clip_l"]
    frozen = train(config(bases("sd15"), person, "no-step", **{**early, "optim": {"lr": 0.1, "token_lr": 1e-12}}))
    begun = load_file(frozen / EMBEDDINGS_FILE)["clip_l"]
    # Adam's first step is the learning rate, whatever the gradient: so one step of four was taken.
    assert 0.25 < float((first - begun).abs().max()) <= 0.3 + 1e-6
    family = load_family(str(bases("sd15")))
    table: Any = family.text_encoders["text_encoder"].get_input_embeddings().weight  # type: ignore[operator]
    letters = family.tokenizers["tokenizer"]("person", add_special_tokens=False).input_ids
    assert float((begun - table[letters].mean(0)).abs().max()) < 0.6 * float(table.std())
    assert not torch.equal(begun[0], begun[1])


def test_a_resumed_run_is_the_same_run(bases: Callable[[str], Path], person: Person) -> None:
    changes: dict[str, Any] = {**PIVOTAL, "pivotal": {"tokens": 2, "until": 1.0}}
    for steps in (2, 4):
        resumed = train(config(bases("sdxl"), person, "resumed-words", **{**changes, "steps": steps}))
    straight = train(config(bases("sdxl"), person, "straight-words", **changes))
    for file in (LORA, EMBEDDINGS_FILE):
        one, other = load_file(resumed / file), load_file(straight / file)
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_words_beside_a_lora_of_the_text_encoder(bases: Callable[[str], Path], person: Person) -> None:
    changes = {**PIVOTAL, "lora": {"rank": 2, "text_encoder": True}}
    folder = train(config(bases("sd15"), person, "words-and-text", **changes))
    assert not [key for key in load_file(folder / LORA) if "token" in key]
    stock = DiffusionPipeline.from_pretrained(bases("sd15"))
    stock.load_lora_weights(folder)
    load_words(stock, folder, "sd15")
    assert np.abs(ours(bases("sd15"), folder) - drawn(stock, "sd15")).max() <= 1.5 / 255


def test_an_exported_adapter_keeps_its_words(
    bases: Callable[[str], Path], pivotal: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = pivotal("sdxl")
    out = export(folder, "kohya", tmp_path / "ana.safetensors")
    beside = tmp_path / "ana-embeddings.safetensors"
    assert set(load_file(beside)) == {"clip_l", "clip_g"}, "the keys that ComfyUI looks up"
    assert np.abs(ours(bases("sdxl"), out) - ours(bases("sdxl"), folder)).max() <= 1 / 255
    whole = weights_sha256(out)
    beside.unlink()
    assert weights_sha256(out) != whole
    with pytest.raises(LikenessError, match="embeddings is not there"):
        Renderer(str(bases("sdxl")), out, "cpu")


def test_where_new_words_would_not_be_read_they_are_refused(bases: Callable[[str], Path], person: Person) -> None:
    with pytest.raises(LikenessError, match="load no embeddings of new words"):
        train(config(bases("sd35"), person, "refused", **PIVOTAL))
    with pytest.raises(LikenessError, match="trained beside a LoRA"):
        config(bases("sd15"), person, "refused", pivotal={"tokens": 1}, method="dreambooth")
