"""`likeness render` and `verify` as they are typed."""

import inspect
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inference import commands
from inference.headshots import RenderRequest
from likeness import files, resources
from likeness.cli import app
from likeness.errors import LikenessError
from likeness.person import Person
from tests.tiny import make_tiny_base

SELFIES = sorted((resources.assets() / "cohort").glob("p900000/selfie_*.jpg"))


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, LikenessError):
        assert status == result.exception.exit_code
        return str(result.exception)
    assert result.exit_code == status, (result.output, result.exception)
    return result.output


def test_render_and_verify(person: Person, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for selfie in SELFIES[:3]:
        person.selfies.mkdir(exist_ok=True)
        shutil.copy(selfie, person.selfies)
    output = run(
        *("render", person.folder, "--style", "office", "--count", 2, "--steps", 2, "--size", 64),
        *("--outfit", "a red scarf", "--device", "cpu", "--format", "jpeg", "--gate", "faults=warn"),
    )
    (folder,) = person.headshots.iterdir()
    assert f"Contact sheet: {folder / 'sheet.jpg'}" in output and len(list(folder.glob("0*.jpg"))) == 2
    assert "trusted" in run("verify", folder / "000000.jpg")
    data = bytearray((folder / "000000.jpg").read_bytes())
    data[-20] ^= 1
    (folder / "000000.jpg").write_bytes(data)
    assert "invalid: changed" in run("verify", folder / "000000.jpg", status=1)


def test_what_is_not_given_is_as_a_request_has_it() -> None:
    """The command cannot ask the request itself: for `--help` that would load torch."""
    options, request = inspect.signature(commands.render).parameters, RenderRequest()
    shared = options.keys() & RenderRequest.model_fields.keys()
    assert {"batch", "count", "oversample", "max_oversample", "size", "format"} <= shared
    assert {name: options[name].default for name in shared} == {name: getattr(request, name) for name in shared}


def test_a_picture_tells_which_variant_drew_it(person: Person, tmp_path: Path) -> None:
    relative = make_tiny_base(tmp_path / "distilled", "v_prediction", seed=3)
    run("render", person.folder, "--count", 1, "--steps", 2, "--size", 32, "--device", "cpu", "--variant", relative)
    (record,) = (json.loads(path.read_text()) for path in person.headshots.glob("*/000000*.json"))
    assert record["variant"] == {"kind": "base"} and record["base"] == "distilled" and record["references_sha256"] == []
    assert str(tmp_path) not in json.dumps(record)


def test_a_picture_may_be_taller_than_wide(person: Person) -> None:
    """As the portraits of an adapter that was trained with data.shape=portrait."""
    run("render", person.folder, "--count", 1, "--steps", 2, "--size", 160, "--device", "cpu", "--shape", "64x80")
    (record,) = (json.loads(path.read_text()) for path in person.headshots.glob("*/000000*.json"))
    assert (record["drawn_size"], record["size"]) == ([64, 80], [128, 160])
    for shape, words in (("64x83", "83"), ("tall", "'tall' is no shape"), ("64", "'64' is no shape")):
        assert words in run("render", person.folder, "--device", "cpu", "--shape", shape, status=2)


def test_a_lora_file_made_elsewhere(person: Person, base: Path, tmp_path: Path) -> None:
    shutil.copy(person.adapter() / "pytorch_lora_weights.safetensors", tmp_path / "mine.safetensors")
    arguments = ["--base", base, "--subject", "sks person", "--count", 1, "--steps", 2, "--size", 32]
    run("render", person.folder, "--adapter", tmp_path / "mine.safetensors", *arguments)
    (record,) = person.headshots.glob("*/000000*.json")
    assert json.loads(record.read_text())["adapter"] == "mine.safetensors"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--style", "studio-gray"], "no style 'studio-gray'"),
        (["--adapter", "second"], "no adapter 'second'.*first"),
        (["--base", "nowhere"], "no base model 'nowhere'"),
        (["--format", "gif"], "format is 'gif'"),
        (["--fast"], "no fast variant of sd15"),
        (["--variant", "lightning"], "no variant 'lightning'.*a base's folder"),
        (["--variant", "a/b", "--base", "pocket"], "Give --base or --variant"),
        (["--references", 2], "sd15 takes no reference photos"),
        (["--scheduler", "magic"], "sampling.scheduler is 'magic'"),
        (["--gate", "texture"], "'texture' is no gate's mode"),
        (["--gate", "beauty=reject"], "gates.beauty"),
        (["--gate", "texture=maybe"], "gates.texture is 'maybe'"),
    ],
)
def test_wrong_arguments_are_one_line(person: Person, arguments: list[str], match: str) -> None:
    message = run("render", person.folder, "--steps", 2, *arguments, status=2)
    assert re.search(match, message) and "\n" not in message
    assert not person.headshots.exists()


def test_an_adapter_of_another_family_is_one_line(person: Person) -> None:
    path = person.adapter() / "adapter.json"
    files.write_json(path, json.loads(path.read_text()) | {"family": "sdxl"})
    message = run("render", person.folder, status=2)
    assert "of the family sdxl" in message and not person.headshots.exists()


def test_without_consent(person: Person) -> None:
    (person.folder / "consent.json").unlink()
    assert "no consent is recorded" in run("render", person.folder, status=2)


def test_styles() -> None:
    assert "studio-grey" in run("styles")
