import json
import shutil
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from PIL import ImageOps
from torch import Tensor

from likeness.errors import LikenessError
from likeness.families import Family, load_family
from likeness.person import Person
from training.cache import Encodings
from training.prepare import load_portraits


@pytest.fixture(scope="module")
def family(v_base: Path) -> Family:
    return load_family(str(v_base))


def rows_of(person: Person) -> Dataset:
    return load_portraits(person, 32)


@pytest.fixture
def calls(family: Family, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the encoders are asked for."""
    made: list[str] = []
    encode_image, encode_text = family.encode_image, family.encode_text

    def image(pixels: Tensor) -> tuple[Tensor, Tensor]:
        made.append("image")
        return encode_image(pixels)

    def text(prompts: list[str]) -> dict[str, Tensor]:
        made.extend(prompts)
        return encode_text(prompts)

    monkeypatch.setattr(family, "encode_image", image)
    monkeypatch.setattr(family, "encode_text", text)
    return made


def test_nothing_is_encoded_twice(family: Family, person: Person, calls: list[str]) -> None:
    row = rows_of(person)[0]
    first = Encodings(family, person.cache)
    examples = [first.portrait(row), first.portrait(row, flip=True)]
    texts = first.text(["one", "two", "one"])
    assert calls == ["image", "image", "one", "two"]

    again = Encodings(family, person.cache)
    found = [again.portrait(row), again.portrait(row, flip=True)]
    assert torch.equal(
        again.text(["one"]).stack(["one"])["encoder_hidden_states"][0], texts.stack(["one"])["encoder_hidden_states"][0]
    )
    assert len(calls) == 4
    assert all(
        torch.equal(a.mean, b.mean) and torch.equal(a.mask, b.mask) for a, b in zip(examples, found, strict=True)
    )


def test_changed_pixels_and_damaged_files_are_encoded_anew(family: Family, person: Person, calls: list[str]) -> None:
    row = dict(rows_of(person)[0])
    encodings = Encodings(family, person.cache)
    before = encodings.portrait(row)
    (path,) = (person.cache / "portraits").iterdir()
    path.write_bytes(path.read_bytes()[:40])
    assert torch.equal(encodings.portrait(row).mean, before.mean)
    row["image"] = row["image"].rotate(90)
    encodings.portrait(row)
    assert calls == ["image"] * 3
    assert len(list((person.cache / "portraits").iterdir())) == 2


@pytest.mark.parametrize(("part", "key"), [("vae", "scaling_factor"), ("text_encoder", "hidden_act")])
def test_what_another_configuration_made_is_encoded_anew(
    v_base: Path, person: Person, tmp_path: Path, part: str, key: str
) -> None:
    """The weights are the same: somebody corrected a base's scaling of latents, or a layer that is left out."""
    row, base = rows_of(person)[0], tmp_path / "base"
    shutil.copytree(v_base, base)
    record = base / part / "config.json"
    settings = json.loads(record.read_text())
    encoded = []
    for value in (settings[key], {"scaling_factor": 0.25, "hidden_act": "relu"}[key]):
        record.write_text(json.dumps(settings | {key: value}))
        encodings = Encodings(load_family(str(base)), person.cache)
        (text,) = encodings.text(["one"]).stack(["one"]).values()
        encoded.append(encodings.portrait(row).mean if part == "vae" else text)
    assert not torch.equal(*encoded)


def test_latents_are_the_encoders_and_the_mask_is_at_their_resolution(family: Family, person: Person) -> None:
    row = rows_of(person)[0]
    example = Encodings(family, person.cache).portrait(row)
    pixels = torch.tensor(list(row["image"].tobytes()), dtype=torch.float32).reshape(1, 32, 32, 3)
    mean, std = family.encode_image(pixels.permute(0, 3, 1, 2) / 127.5 - 1)
    torch.testing.assert_close(example.mean, mean[0])
    torch.testing.assert_close(example.std, std[0])
    expected = torch.zeros(1, 8, 8)
    expected[:, 2:4, 2:4] = 1
    torch.testing.assert_close(example.mask, expected)


def test_a_mirrored_portrait_is_another(family: Family, person: Person) -> None:
    encodings, row = Encodings(family, person.cache), rows_of(person)[0]
    plain, mirrored = encodings.portrait(row), encodings.portrait(row, flip=True)
    other = encodings.portrait(row | {name: ImageOps.mirror(row[name]) for name in ("image", "mask")})
    assert torch.equal(mirrored.mean, other.mean) and not torch.equal(mirrored.mean, plain.mean)
    assert torch.equal(mirrored.mask, plain.mask.flip(-1))
    assert plain.photo == mirrored.photo


def test_nothing_is_kept_of_who_was_forgotten_meanwhile(family: Family, person: Person) -> None:
    row = rows_of(person)[0]
    person.forget()
    with pytest.raises(LikenessError, match="no consent is recorded"):
        Encodings(family, person.cache, person.require_consent).portrait(row)
    assert not person.folder.exists()
