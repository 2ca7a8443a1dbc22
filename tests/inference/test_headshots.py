"""Rendering for a person: what is written where, in which order, and what is left when it is interrupted."""

import json
import os
import resource
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference import audit, credentials, finish, headshots
from inference.headshots import RenderRequest
from inference.index import read_index
from inference.material import load_shots
from inference.ranking import Assessment
from inference.renderer import Renderer, Sampling
from inference.styles import find_style
from likeness import files
from likeness.errors import LikenessError
from likeness.gates import Failure, Gates
from likeness.person import Consent, Person

REQUEST = RenderRequest(style="office", count=3, seed=7, size=64, sampling=Sampling(steps=2))


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
    monkeypatch.setattr(headshots, "judge_of", lambda person, recogniser, trained: LikenessBySeed(*told))


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


@pytest.mark.parametrize(
    ("own", "asked", "worn"), [(True, None, True), (True, False, False), (False, True, True), (False, None, False)]
)
def test_glasses_are_worn_as_on_the_selfies_unless_asked_otherwise(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch, own: bool, asked: bool | None, worn: bool
) -> None:
    judged(monkeypatch, 0.1)
    assert renderer.info is not None
    renderer.info = renderer.info.model_copy(update={"glasses": own})
    _, shots = headshots.render(person, REQUEST.model_copy(update={"count": 1, "glasses": asked}), renderer)
    record = json.loads(shots[0].path.with_suffix(".json").read_text())
    assert record["prompt"].endswith(", wearing glasses") is worn


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ({}, True),
        ({"guidance_from": "base"}, False),
        ({"guidance_from": "base", "words_scale": 3.0}, True),
        ({"guidance_scale": 1.0}, False),
    ],
)
def test_the_record_tells_negative_words_only_where_they_took_part(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch, way: dict[str, object], told: bool
) -> None:
    judged(monkeypatch, 0.1)
    sampling = REQUEST.sampling.model_copy(update=way)
    _, shots = headshots.render(person, REQUEST.model_copy(update={"count": 1, "sampling": sampling}), renderer)
    assert bool(json.loads(shots[0].path.with_suffix(".json").read_text())["negative_prompt"]) is told


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


def test_a_monochrome_style_is_turned_grey(person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Rec. 601 luma, from the picture that the same prompt and seed give in colour."""
    grey, coloured = (
        find_style("black-and-white"),
        find_style("black-and-white").model_copy(update={"monochrome": False}),
    )
    found = []
    for style in (grey, coloured):
        judged(monkeypatch, 0.9)
        monkeypatch.setattr(headshots, "find_style", lambda name, style=style: style)
        _, (shot,) = headshots.render(person, REQUEST.model_copy(update={"count": 1}), renderer)
        found.append(np.asarray(Image.open(shot.path).convert("RGB"), float))
        assert json.loads(shot.path.with_suffix(".json").read_text())["turned_grey"] is style.monochrome
    luma = found[1] @ [0.299, 0.587, 0.114]
    assert np.abs(found[0] - luma[..., None]).max() <= 1
    assert np.ptp(found[1], axis=2).max() > 5


@pytest.mark.parametrize(
    ("drawn", "written", "seen"), [(256, 128, 256), (256, 512, 512), (256, 8192, 1024), (2048, 4096, 2048)]
)
def test_gates_look_neither_at_less_than_was_drawn_nor_at_more_than_tells(drawn: int, written: int, seen: int) -> None:
    """On pocket's pictures, written at 128 px, three of four good ones had no texture; at 8192 px a look takes minutes."""
    assert headshots._judged(drawn, written) == seen


def test_a_picture_passes_whatever_the_size_of_its_file(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Eye(LikenessBySeed):
        def assess(self, image: Image.Image) -> Assessment:
            assert image.size == (32, 32)
            return super().assess(image)

    request = REQUEST.model_copy(update={"count": 1, "size": 16})
    _, (shot,) = headshots.render(person, request, renderer, judge=Eye(0.5))  # type: ignore[arg-type]
    assert Image.open(shot.path).size == (16, 16)


def test_gates_are_the_base_s_own_unless_told(person: Person, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_json(base / "recipe.json", {"steps": 2, "gates": {"texture": "warn"}})
    try:
        renderer = Renderer(str(base), person.adapter(), "cpu")
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
    consent = Consent(who="nobody", basis="self", when=date.today())
    ben, cy = (Person.create(person.folder.parent / name, consent) for name in ("ben", "cy"))
    shutil.copytree(person.adapters / "first", cy.adapters / "second")
    for _ in range(2):  # a second time the judge would have nothing more to tell
        audit.render_missing([cy, ben, person], "first", 2)
    assert not cy.headshots.exists()
    (folder,) = person.headshots.iterdir()
    whole = read_index(folder / "headshots.json")
    replace(whole, headshots=whole.headshots[:1]).write(folder)  # killed after the first
    judged(monkeypatch, 0.4, 0.5)
    audit.render_missing([person], "first", 2)
    again = [read_index(one / "headshots.json") for one in sorted(person.headshots.iterdir())]
    assert [one.complete for one in again] == [False, True]
    shutil.rmtree(sorted(person.headshots.iterdir())[1])
    whole.write(folder)
    (folder,) = person.headshots.iterdir()
    assert len(read_index(folder / "headshots.json").headshots) == 2


def test_an_index_that_is_none_is_one_line(tmp_path: Path) -> None:
    shot = '{"file": "%s", "seed": 0, "passes": true, "likeness": 1, "raw": 1, "failures": [], "measured": true}'
    index = '{"style": "a", "adapter_sha256": null, "asked": 1, "gates": {}, "not_kept": [], "headshots": [SHOT]}'
    index = index.replace("SHOT", shot)
    (tmp_path / "headshots.json").write_text(index % "a.png")
    assert read_index(tmp_path / "headshots.json").headshots[0].file == "a.png"
    for text in ("[]", "{", '{"style": "office"}', index % "../../somebody/a.png"):
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


def test_a_render_that_was_killed_has_told_what_it_drew(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SIGKILL nothing more is written: then the index is there already, and a certificate finds the pictures."""
    judged(monkeypatch, 0.1, 0.3, 0.2)
    monkeypatch.setattr(headshots, "_keep_best", lambda writer, done: ([], writer.index(done)))
    headshots.render(person, REQUEST, renderer, person.adapters / "first")
    (folder,) = person.headshots.iterdir()
    assert [one.seed for one in read_index(folder / "headshots.json").headshots] == [8, 9, 7]
    found = load_shots(person, person.adapters / "first")
    assert [shot.path.stem for shot in found] == ["000008", "000009", "000007"]


def test_a_picture_that_is_thrown_away_meanwhile_is_not_missed(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, 0.4, 0.9, 0.1)

    def throw_away(done: int, total: int) -> None:
        if done == 3:
            next(person.headshots.glob("*/000008.png")).unlink()

    folder, shots = headshots.render(person, REQUEST, renderer, progress=throw_away)
    assert [shot.seed for shot in shots] == [7, 9]
    assert [shot.file for shot in read_index(folder / "headshots.json").headshots] == ["000007.png", "000009.png"]
    assert (folder / "sheet.jpg").is_file()


def test_a_thousand_headshots_are_a_sheet_too(tmp_path: Path) -> None:
    """With few files open at a time, and no higher than a JPEG can be, whatever is written below."""
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    remarks = tuple(Failure("skin", f"a long remark of what is wrong, the {number}th", 1, 0) for number in range(3))
    shot = headshots.Headshot(tmp_path / "one.png", 0, Assessment(0.5, 0.5, remarks), False)
    opened = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else set()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, opened), default=64) + 32, limit[1]))
    try:
        sheet = headshots._sheet([shot] * 1000, Gates())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert len(finish.encode(sheet, ".jpg", None)) > 100_000 and sheet.height < 20_000


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

    monkeypatch.setattr(headshots, "_signer", lambda: None)
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


def test_who_is_forgotten_meanwhile_does_not_come_back(
    person: Person, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, 0.1, 0.2, 0.3)
    with pytest.raises(LikenessError, match="no consent is recorded"):
        headshots.render(person, REQUEST, renderer, None, lambda done, total: shutil.rmtree(person.folder))
    assert not person.folder.exists()
