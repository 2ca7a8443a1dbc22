"""`likeness render` and `verify` as they are typed."""

import inspect
import json
import re
import shutil
from datetime import date
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from inference import commands, headshots
from inference.headshots import RenderRequest
from likeness import files, resources
from likeness.cli import app
from likeness.errors import LikenessError
from likeness.person import Consent, Person
from tests.tiny import make_tiny_base

SELFIES = sorted((resources.assets() / "cohort").glob("p900000/selfie_*.jpg"))


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, LikenessError):
        assert status == result.exception.exit_code
        return str(result.exception)
    assert result.exit_code == status, (result.output, result.exception)
    return result.output


def trained_on(person: Person, photos: list[Path]) -> None:
    path = person.adapter() / "adapter.json"
    trained = [files.sha256(photo) for photo in photos]
    files.write_json(path, json.loads(path.read_text()) | {"trained": trained})


def test_an_adapter_of_somebody_else_draws_nobody_in_a_person_s_name(person: Person, tmp_path: Path) -> None:
    """Nobody agrees to being drawn for somebody else; nor would any gate know the face."""
    other = Person.create(tmp_path / "people" / "ben", Consent(who="Ben", basis="self", when=date(2026, 11, 23)))
    shutil.copy(SELFIES[0], other.selfies)
    message = run("render", other.folder, "--adapter", person.adapter(), status=2)
    assert "none of this person's selfies" in message and not other.headshots.exists()
    trained_on(person, other.selfie_files())
    run("render", other.folder, "--adapter", person.adapter(), "--count", 1, "--steps", 1, "--max-oversample", 1)


def test_a_person_s_own_adapter_comes_before_a_folder_that_is_called_so(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first").mkdir()
    monkeypatch.chdir(tmp_path)
    run("render", person.folder, "--adapter", "first", "--count", 1, "--steps", 1, "--max-oversample", 1)
    assert "no adapter is in this folder" in run("render", person.folder, "--adapter", "./first", status=2)


def test_what_was_drawn_before_an_interruption_is_told(
    person: Person, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(headshots, "render", interrupted)
    assert f"is in {person.headshots}" in run("render", person.folder, status=130)


def test_render_and_verify(person: Person, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for selfie in SELFIES[:3]:
        person.selfies.mkdir(exist_ok=True)
        shutil.copy(selfie, person.selfies)
    trained_on(person, person.selfie_files())
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


def test_a_lora_file_made_elsewhere(
    person: Person, base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_file(load_file(person.adapter() / "pytorch_lora_weights.safetensors"), tmp_path / "mine.safetensors")
    arguments = ["--base", base, "--count", 1, "--steps", 2, "--size", 32]
    run("render", person.folder, "--adapter", tmp_path / "mine.safetensors", *arguments, "--subject", "sks person")
    assert "all of them choose" in caplog.text and "--subject" not in caplog.text
    (record,) = person.headshots.glob("*/000000*.json")
    assert json.loads(record.read_text())["adapter"] == "mine.safetensors"
    run("render", person.folder, "--adapter", tmp_path / "mine.safetensors", *arguments)
    assert "give them (--subject)" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--style", "studio-gray"], "no style 'studio-gray'"),
        (["--adapter", "second"], "no adapter 'second'.*first"),
        (["--adapter", "second.safetensors"], "second.safetensors: there is no such adapter"),
        (["--style", "mine.yml"], "mine.yml: cannot be read"),
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


@pytest.mark.parametrize(("option", "value"), [("--weight", "nan"), ("--weight", "inf"), ("--seed", 2**64)])
def test_numbers_that_draw_nothing_are_refused(person: Person, option: str, value: object) -> None:
    assert f"Invalid value for '{option}'" in run("render", person.folder, option, value, status=2)


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
