"""Rendering for a person: what is written where, in which order, and what is left when it is interrupted."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from typer.testing import CliRunner

from inference import audit, credentials, headshots
from inference.headshots import RenderRequest
from inference.index import read_index
from inference.ranking import Assessment, Judge, best_first, judge_of
from inference.renderer import Renderer, Sampling
from likeness import adapter, files, resources
from likeness.adapter import LoraSettings
from likeness.cli import app
from likeness.errors import LikenessError
from likeness.faces import FaceFinder, Reference, embedder
from likeness.families import load_family
from likeness.gates import Failure, Gates
from likeness.person import Consent, Person
from tests.likeness.test_adapter import info, train_a_little
from tests.plants import lightened as lighten
from tests.tiny import make_tiny_base

CONSENT = Consent(who="Ana", basis="self", when=date(2026, 11, 23))
REQUEST = RenderRequest(style="office", count=3, seed=7, size=64, sampling=Sampling(steps=2))
COHORT = resources.assets() / "cohort"
SELFIES = sorted(COHORT.glob("p900000/selfie_*.jpg"))
OTHERS = sorted(COHORT.glob("p90000[1-4]/headshot_00.jpg"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("base") / "tiny", "v_prediction")


@pytest.fixture
def person(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    person = Person.create(tmp_path / "people" / "ana", CONSENT)
    family = load_family(str(base))
    adapter.inject(family, LoraSettings(rank=2), seed=1)
    train_a_little(family)
    adapter.save(family, person.adapters / "first", info(family))
    yield person


@pytest.fixture
def renderer(base: Path, person: Person) -> Renderer:
    return Renderer(str(base), person.adapter(), "cpu")


NO_FACE = Failure("faults", "no face", 0, 1)
PLASTIC = Failure("texture", "fine texture of the skin", -4.2, -3.0)
MOLE = Failure("marks", "moles and marks kept", -3.5, -3.0)


class LikenessBySeed:
    """Stands in for the judge: the likeness of a picture, or what is wrong with it, is told in the order of asking."""

    def __init__(self, *told: float | Failure | None) -> None:
        self._told = iter(told)

    def assess(self, image: Image.Image) -> Assessment:
        told = next(self._told)
        if isinstance(told, Failure):
            return Assessment(0.5, 0.5, (told,), measured=True)
        return Assessment(told, told, () if told is not None else (NO_FACE,), measured=True)


def judged(monkeypatch: pytest.MonkeyPatch, *told: float | Failure | None) -> None:
    monkeypatch.setattr(headshots, "judge_of", lambda person, recogniser, held_out: LikenessBySeed(*told))


def test_headshots_are_ranked_written_and_explained(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, 0.4, 0.1, 0.9)
    ticks: list[tuple[int, int]] = []
    request = REQUEST.model_copy(update={"choices": {"outfit": "a red scarf"}})
    folder, shots = headshots.render(
        person, request, renderer, person.adapter(), lambda done, total: ticks.append((done, total))
    )
    assert [shot.seed for shot in shots] == [9, 7, 8] and ticks == [(1, 3), (2, 3), (3, 3)]
    assert folder.parent == person.headshots and folder.name.endswith("-office")
    names = {path.name for path in folder.iterdir()}
    pictures = {f"00000{seed}{suffix}" for seed in (7, 8, 9) for suffix in (".png", ".json")}
    assert names == pictures | {"sheet.jpg", "headshots.json"}
    assert Image.open(shots[0].path).size == (64, 64)
    assert [shot.file for shot in read_index(folder / "headshots.json").headshots] == [
        "000009.png", "000007.png", "000008.png"
    ]  # fmt: skip

    record = json.loads(shots[0].path.with_suffix(".json").read_text())
    assert record["seed"] == 9 and "sks person" in record["prompt"] and "a red scarf" in record["prompt"]
    assert record["base_sha256"] == renderer.family.sha256() and record["adapter"] == "first"
    assert record["adapter_sha256"] == files.sha256(person.adapter() / "pytorch_lora_weights.safetensors")
    assert record["sampling"]["steps"] == 2 and record["assessment"]["likeness"] == 0.9
    assert {"likeness", "torch", "diffusers"} <= set(record["versions"])
    assert str(person.folder.parent.parent) not in json.dumps(record)


def test_what_the_record_says_draws_the_same_picture(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, 0.1, 0.2, 0.3, 0.4)
    request = REQUEST.model_copy(update={"size": None})
    _, shots = headshots.render(person, request, renderer)
    again = request.model_copy(update={"seed": shots[0].seed, "count": 1})
    _, one = headshots.render(person, again, renderer)
    difference = [abs(a - b) for a, b in zip(_pixels(one[0].path), _pixels(shots[0].path), strict=True)]
    assert max(difference) <= 1


def _pixels(path: Path) -> bytes:
    return Image.open(path).convert("RGB").tobytes()


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_every_picture_and_the_sheet_say_that_a_machine_drew_them(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    pytest.importorskip("c2pa")
    judged(monkeypatch, 0.1)
    request = REQUEST.model_copy(update={"format": format, "count": 1})
    folder, shots = headshots.render(person, request, renderer)
    for path in (shots[0].path, folder / "sheet.jpg"):
        assert credentials.verify(path).state == "trusted"


def test_more_candidates_than_are_kept(person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, 0.1, 0.8, None, 0.7)
    request = REQUEST.model_copy(update={"count": 2, "oversample": 2.0})
    folder, shots = headshots.render(person, request, renderer)
    assert [shot.seed for shot in shots] == [8, 10]
    assert sorted(path.name for path in folder.glob("*.png")) == ["000008.png", "000010.png"]
    assert not (folder / "000007.json").exists()


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_candidates_are_drawn_until_enough_pass(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    judged(monkeypatch, 0.4, None, PLASTIC, 0.9, MOLE, 0.7, 0.8)
    ticks: list[tuple[int, int]] = []
    request = REQUEST.model_copy(update={"batch": batch})
    folder, shots = headshots.render(
        person, request, renderer, progress=lambda done, total: ticks.append((done, total))
    )
    assert [shot.seed for shot in shots] == [10, 11, 7] and all(shot.passes for shot in shots)
    assert ticks == [(1, 3), (2, 4), (3, 5), (4, 5), (5, 5)]
    index = read_index(folder / "headshots.json")
    assert (index.asked, index.passed, len(index.candidates), index.shortfall()) == (3, 3, 5, "")
    assert [(one.seed, one.file, one.passes) for one in index.not_kept] == [(8, None, False), (9, None, False)]
    assert index.not_kept[1].assessment.failures == (PLASTIC,)
    assert sorted(path.name for path in folder.glob("*.png")) == ["000007.png", "000010.png", "000011.png"]


def test_when_too_few_pass_it_is_said_and_shown(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    judged(monkeypatch, PLASTIC, None, 0.4, PLASTIC, None, PLASTIC)
    request = REQUEST.model_copy(update={"max_oversample": 2.0, "keep_rejected": True})
    folder, shots = headshots.render(person, request, renderer)
    assert [(shot.seed, shot.passes) for shot in shots] == [(9, True), (7, False), (10, False)]
    assert [shot.path.name for shot in shots][1] == "000007-not-passing.png"
    assert "1 of 3 headshots pass, of 6 candidates" in caplog.text and "fine texture of the skin (3)" in caplog.text
    assert len(list(folder.glob("*-not-passing.png"))) == 5
    record = json.loads((folder / "000007-not-passing.json").read_text())
    assert record["passes"] is False and record["assessment"]["failures"][0]["limit"] == -3.0


def test_a_gate_can_be_told_to_warn_only(person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, PLASTIC, None, 0.9, MOLE, 0.8)
    request = REQUEST.model_copy(update={"gates": {"texture": "warn", "marks": "off"}})
    folder, shots = headshots.render(person, request, renderer)
    assert [(shot.seed, shot.passes) for shot in shots] == [(9, True), (7, True), (10, True)]
    gates = read_index(folder / "headshots.json").gates
    assert gates.remarks([PLASTIC, MOLE, NO_FACE]) == "DOES NOT PASS: no face. note: fine texture of the skin"


def test_gates_are_the_base_s_own_unless_told(
    person: Person, base: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_json(base / "recipe.json", {"steps": 2, "gates": {"texture": "warn"}})
    try:
        judged(monkeypatch, PLASTIC, 0.9, 0.8)
        _, shots = headshots.render(person, REQUEST, renderer)
        assert all(shot.passes for shot in shots)
        judged(monkeypatch, PLASTIC, 0.9, 0.8, 0.7)
        _, shots = headshots.render(person, REQUEST.model_copy(update={"gates": {"texture": "reject"}}), renderer)
        assert [shot.seed for shot in shots] == [8, 9, 10]
        assert "gates" not in json.loads(shots[0].path.with_suffix(".json").read_text())["sampling"]
    finally:
        (base / "recipe.json").unlink()


def test_an_audit_draws_only_for_who_has_none(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, 0.4, 0.5)
    people = [person, Person.create(person.folder.parent / "ben", CONSENT)]
    for _ in range(2):  # a second time the judge would have nothing more to tell
        audit.render_missing(people, None, 2)
    (folder,) = person.headshots.iterdir()
    assert len(read_index(folder / "headshots.json").headshots) == 2


def test_an_index_that_is_none_is_one_line(tmp_path: Path) -> None:
    for text in ("[]", "{", '{"style": "office"}'):
        (tmp_path / "headshots.json").write_text(text)
        with pytest.raises(LikenessError, match="no index or record"):
            read_index(tmp_path / "headshots.json")


def test_an_interruption_keeps_what_was_drawn(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, 0.1, 0.2, 0.3)

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        headshots.render(person, REQUEST, renderer, progress=interrupt)
    (folder,) = person.headshots.iterdir()
    assert len(list(folder.glob("0*.png"))) == 2 and len(read_index(folder / "headshots.json").headshots) == 2


def test_without_consent_nothing_is_drawn(person: Person, renderer: Renderer) -> None:
    (person.folder / "consent.json").unlink()
    with pytest.raises(LikenessError, match="likeness person create"):
        headshots.render(person, REQUEST, renderer)
    assert not person.headshots.exists()


def test_a_folder_that_cannot_be_written_is_one_line(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(LikenessError, match="headshots: .*read-only file system.*another") as caught:
        headshots.render(person, REQUEST, renderer)
    assert "\n" not in str(caught.value)


def test_a_disk_that_fills_up_leaves_whole_files(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, 0.1, 0.2, 0.3)
    write, allowed = files.write_bytes, 3

    def fill(path: Path, data: bytes) -> None:
        nonlocal allowed
        allowed -= path.parent.parent == person.headshots
        if allowed < 0:
            raise LikenessError("cannot be written: no space left on device", "Free some space", path)
        write(path, data)

    monkeypatch.setattr(files, "write_bytes", fill)
    with pytest.raises(LikenessError, match="no space left"):
        headshots.render(person, REQUEST, renderer)
    (folder,) = person.headshots.iterdir()
    assert [path.name for path in folder.glob("*.png")] == ["000007.png"]
    Image.open(folder / "000007.png").load()
    assert {path.suffix for path in folder.glob("000008*")} == set() and not list(folder.glob(".*"))


@pytest.fixture(scope="module")
def judge() -> Judge:
    finder, recognise = FaceFinder(), embedder()
    return Judge(Reference.of(SELFIES[:5], finder, recognise), finder, recognise)


class TestJudge:
    def test_photographs_that_were_held_out_do_not_choose(self, person: Person) -> None:
        for path in SELFIES[:6]:
            shutil.copy(path, person.selfies)
        held_out = {files.sha256(path) for path in SELFIES[:2]}
        everything = judge_of(person, "dlib", set()).reference
        chosen_by = judge_of(person, "dlib", held_out).reference
        assert everything is not None and chosen_by is not None
        assert len(chosen_by.embeddings) == len(everything.embeddings) - 2

    def test_the_person_is_liker_than_others(self, judge: Judge) -> None:
        own = [judge.assess(Image.open(path)) for path in COHORT.glob("p900000/headshot_*.jpg")]
        others = [judge.assess(Image.open(path)) for path in OTHERS]
        assert all(shot.faults == () for shot in own)
        own_likeness = [shot.likeness for shot in own if shot.likeness is not None]
        other_likeness = [shot.likeness for shot in others if shot.likeness is not None]
        assert len(own_likeness) == 3 and min(own_likeness) > max(other_likeness)

    def test_faults(self, judge: Judge) -> None:
        photo = Image.open(SELFIES[0])
        assert judge.assess(Image.new("RGB", (256, 256), "grey")).faults == ("no face",)
        pair = Image.new("RGB", (2 * photo.width, photo.height))
        pair.paste(photo, (0, 0))
        pair.paste(Image.open(OTHERS[0]).resize(photo.size), (photo.width, 0))
        assert "several faces" in judge.assess(pair).faults
        face = FaceFinder().find(np.asarray(photo))[0]
        cut = photo.crop((round(face.centre[0] - 0.15 * face.size), 0, photo.width, photo.height))
        assert judge.assess(cut).faults in (("cut off",), ("no face",))

    def test_what_the_gates_find_on_real_pictures(self, person: Person) -> None:
        for path in SELFIES[:8]:
            shutil.copy(path, person.selfies)
        judge = judge_of(person, "dlib", set())
        own = judge.assess(Image.open(COHORT / "p900000" / "headshot_00.jpg"))
        assert own.measured and not {"faults", "copying", "setting", "skin"} & {one.gate for one in own.failures}
        copied = judge.assess(ImageOps.mirror(Image.open(SELFIES[2])))
        assert {"copying", "setting"} <= {failure.gate for failure in copied.failures}
        stranger = judge.assess(Image.open(OTHERS[0]))
        assert "likeness" in {failure.gate for failure in stranger.failures}
        rgb = np.asarray(Image.open(COHORT / "p900000" / "headshot_00.jpg").convert("RGB"))
        lightened = judge.assess(Image.fromarray(lighten(rgb, judge.finder.find(rgb)[0], 30)))
        assert "skin" in {failure.gate for failure in lightened.failures}
        drifts = [failure for failure in lightened.failures if failure.gate == "skin"]
        assert all(abs(drift.value) > abs(drift.limit) == 3.0 for drift in drifts)

    def test_order(self) -> None:
        shots = [Assessment(0.2, 0), Assessment(0.9, 0, (NO_FACE,)), Assessment(None, None, (NO_FACE, PLASTIC))]
        shots += [Assessment(0.7, 0, (MOLE,)), Assessment(0.2, 0)]
        assert best_first(shots) == [3, 0, 4, 1, 2]
        assert best_first(shots, Gates(faults="warn", texture="off")) == [1, 3, 0, 4, 2]


class TestCommands:
    def run(self, *arguments: object, status: int = 0) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if isinstance(result.exception, LikenessError):
            assert status == result.exception.exit_code
            return str(result.exception)
        assert result.exit_code == status, (result.output, result.exception)
        return result.output

    def test_render_and_verify(self, person: Person, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for selfie in SELFIES[:3]:
            person.selfies.mkdir(exist_ok=True)
            shutil.copy(selfie, person.selfies)
        output = self.run(
            *("render", person.folder, "--style", "office", "--count", 2, "--steps", 2, "--size", 64),
            *("--outfit", "a red scarf", "--device", "cpu", "--format", "jpeg", "--gate", "faults=warn"),
        )
        (folder,) = person.headshots.iterdir()
        assert f"Contact sheet: {folder / 'sheet.jpg'}" in output and len(list(folder.glob("0*.jpg"))) == 2
        assert "trusted" in self.run("verify", folder / "000000.jpg")
        data = bytearray((folder / "000000.jpg").read_bytes())
        data[-20] ^= 1
        (folder / "000000.jpg").write_bytes(data)
        assert "invalid: changed" in self.run("verify", folder / "000000.jpg", status=1)

    def test_a_lora_file_made_elsewhere(self, person: Person, base: Path, tmp_path: Path) -> None:
        shutil.copy(person.adapter() / "pytorch_lora_weights.safetensors", tmp_path / "mine.safetensors")
        arguments = ["--base", base, "--subject", "sks person", "--count", 1, "--steps", 2, "--size", 32]
        self.run("render", person.folder, "--adapter", tmp_path / "mine.safetensors", *arguments)
        (record,) = person.headshots.glob("*/000000*.json")
        assert json.loads(record.read_text())["adapter"] == "mine.safetensors"

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            (["--style", "studio-gray"], "no style 'studio-gray'"),
            (["--adapter", "second"], "no adapter 'second'.*first"),
            (["--base", "nowhere"], "no base model 'nowhere'"),
            (["--format", "gif"], "format is 'gif'"),
            (["--scheduler", "magic"], "sampling.scheduler is 'magic'"),
            (["--gate", "texture"], "'texture' is no gate's mode"),
            (["--gate", "beauty=reject"], "gates.beauty"),
            (["--gate", "texture=maybe"], "gates.texture is 'maybe'"),
        ],
    )
    def test_wrong_arguments_are_one_line(self, person: Person, arguments: list[str], match: str) -> None:
        message = self.run("render", person.folder, "--steps", 2, *arguments, status=2)
        assert re.search(match, message) and "\n" not in message
        assert not person.headshots.exists()

    def test_an_adapter_of_another_family_is_one_line(self, person: Person) -> None:
        path = person.adapter() / "adapter.json"
        files.write_json(path, json.loads(path.read_text()) | {"family": "sdxl"})
        message = self.run("render", person.folder, status=2)
        assert "of the family sdxl" in message and not person.headshots.exists()

    def test_without_consent(self, person: Person) -> None:
        (person.folder / "consent.json").unlink()
        assert "no consent is recorded" in self.run("render", person.folder, status=2)

    def test_styles(self) -> None:
        assert "studio-grey" in self.run("styles")
