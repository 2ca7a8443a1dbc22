"""A base in one file is the base that it was packed from, and says what is wrong where it is none."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from likeness import licences, resources
from likeness.errors import LikenessError
from likeness.families import family_class, licence_of, load_family, single_file
from likeness.person import Person
from tests import tiny_families
from tests.families import checkpoint
from tests.families.common import LORA, config, drawn
from training.run import train


@pytest.fixture
def xl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A tiny SDXL with a text encoder deep enough for its kind to be told by it."""
    true = tiny_families.parts.clip_with_summary

    def deep(width: int) -> Any:
        from transformers import CLIPTextModelWithProjection

        shallow = true(width).config
        shallow.num_hidden_layers = 11
        return CLIPTextModelWithProjection(shallow).eval()

    monkeypatch.setattr(tiny_families.parts, "clip_with_summary", deep)
    return tiny_families.make("sdxl", tmp_path / "tiny-xl")


def packed(base: Path, file: Path, monkeypatch: pytest.MonkeyPatch, metadata: dict[str, str] | None = None) -> Path:
    """The base as one file, whose configuration comes from the base itself."""
    kinds = {kind: (pipeline, str(base), rest) for kind, (pipeline, _, rest) in single_file._KINDS.items()}
    monkeypatch.setattr(single_file, "_KINDS", kinds)
    return checkpoint.save(DiffusionPipeline.from_pretrained(base), file, metadata)


def same_picture(base: Path, file: Path, name: str) -> None:
    family = load_family(str(file))
    assert family.name == name and family.folder == file.with_suffix("")
    np.testing.assert_array_equal(drawn(family.pipeline(), name), drawn(DiffusionPipeline.from_pretrained(base), name))


def test_stable_diffusion_in_one_file(
    bases: Callable[[str], Path], person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = bases("sd15")
    file = packed(base, tmp_path / "portraits.safetensors", monkeypatch)
    same_picture(base, file, "sd15")
    trained = [load_file(train(config(b, person, n)) / LORA) for b, n in ((base, "folder"), (file, "one-file"))]
    assert all(torch.equal(trained[0][key], trained[1][key]) for key in trained[0])
    made = (file.with_suffix("") / single_file.RECORD).stat().st_mtime_ns
    family_class(str(file))
    assert (file.with_suffix("") / single_file.RECORD).stat().st_mtime_ns == made  # once


def test_stable_diffusion_xl_in_one_file(xl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = packed(xl, tmp_path / "portraits.safetensors", monkeypatch, {"modelspec.license": "Somebody's own: terms"})
    same_picture(xl, file, "sdxl")
    assert licence_of(str(file)) == "Somebody's own: terms"
    with pytest.raises(LikenessError, match="none of those known to be open"):
        licences.check(licence_of(str(file)), False, str(file))


def test_another_file_of_the_name_is_unpacked_anew(
    bases: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = packed(bases("sd15"), tmp_path / "portraits.safetensors", monkeypatch)
    weights = load_file(single_file.unpacked(file) / "unet" / "diffusion_pytorch_model.safetensors")
    changed = {key: tensor + 1 for key, tensor in load_file(file).items()}
    save_file(changed, file)
    os.utime(file, ns=(1, 1))
    anew = load_file(single_file.unpacked(file) / "unet" / "diffusion_pytorch_model.safetensors")
    torch.testing.assert_close(anew["conv_in.weight"], weights["conv_in.weight"] + 1)


def test_what_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    lora, damaged, pickle = tmp_path / "lora.safetensors", tmp_path / "damaged.safetensors", tmp_path / "old.ckpt"
    save_file({"lora_unet_down.lora_up.weight": torch.zeros(2, 2)}, lora)
    save_file({"model.diffusion_model.a": torch.zeros(1), "v_pred": torch.zeros(1)}, tmp_path / "v.safetensors")
    damaged.write_bytes(b"damaged")
    pickle.touch()
    for file, said in (
        (lora, "no whole checkpoint of Stable Diffusion 1.5 or XL"),
        (damaged, "no safetensors file, or a damaged one"),
        (tmp_path / "v.safetensors", "predicts v"),
    ):
        with pytest.raises(LikenessError, match=said):
            load_family(str(file))
        assert not file.with_suffix("").exists()
    with pytest.raises(LikenessError, match="a pickle can run code"):
        resources.base(str(pickle))


def test_a_folder_in_the_way_stays(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "mine.safetensors")
    (tmp_path / "mine").mkdir()
    with pytest.raises(LikenessError, match="holds something else. Rename one of them"):
        single_file.unpacked(tmp_path / "mine.safetensors")


def test_without_the_configuration_it_says_where_that_comes_from(
    bases: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = packed(bases("sd15"), tmp_path / "portraits.safetensors", monkeypatch)
    with pytest.raises(LikenessError, match="comes from .*nowhere: connect once"):
        single_file.unpacked(file, str(tmp_path / "nowhere"))
