"""The certificate of a person whose headshots are good, copied, a stranger's and empty, as the command writes it."""

import itertools
import json
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from inference import certificate
from inference.charts import bars, strips
from inference.index import read_record
from inference.material import Shot, load_selfies, load_shots
from likeness import resources
from likeness.adapter_file import LORA_FILE
from likeness.cli import app
from likeness.errors import LikenessError
from likeness.person import Person
from tests import photos
from tests.inference.people import draw, make_adapter, make_person
from training.prepare import prepare

OWN, STRANGER = photos.people()[15], photos.people()[4]


@dataclass
class Certified:
    person: Person
    adapter: Path
    report: dict[str, Any]
    html: str


def few_others(each: int, but: str) -> list[list[Path]]:
    return [photos.selfies(folder)[:2] for folder in photos.people()[:5]]


def _no_network(*_: object) -> None:
    raise AssertionError("somebody's face is measured here, and nothing goes out")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certified]:
    person = make_person(tmp_path_factory.mktemp("people") / "ana", OWN)
    adapter, trained = person.adapters / "first", person.selfie_files()[0].name
    pictures = {path.stem: photos.pixels(path) for path in sorted(OWN.glob("headshot_*.jpg"))[:3]}
    pictures["copy"] = np.ascontiguousarray(photos.pixels(person.selfies / trained)[:, ::-1])
    pictures["stranger"] = photos.pixels(STRANGER / "headshot_00.jpg")
    pictures["empty"] = np.full((256, 256, 3), 120, np.uint8)
    draw(person, pictures, thrown_away=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resources, "cohort", few_others)
        patch.setattr(socket.socket, "connect", _no_network)
        result = CliRunner().invoke(app, ["certify", str(person.folder), "--adapter", "first"])
    assert result.exit_code == 0, result.output
    written = person.certificates
    assert {path.name for path in written.iterdir()} == {"first.json", "first.html"}
    assert str(written / "first.html") in result.stdout
    report = json.loads((written / "first.json").read_text(encoding="utf-8"))
    yield Certified(person, adapter, report, (written / "first.html").read_text(encoding="utf-8"))


def reasons(certified: Certified) -> dict[str, list[str]]:
    return {Path(each["file"]).stem: each["rejected_for"] for each in certified.report["each"]}


def test_each_picture_passes_or_says_why_not(certified: Certified) -> None:
    why = reasons(certified)
    assert [why[f"headshot_0{number}"] for number in range(3)] == [[], [], []]
    assert "copy of a selfie, by its pixels" in why["copy"]
    assert "not recognised as the person" in why["stranger"]
    assert why["empty"] == ["no face"]
    passed = certified.report["checks"]
    assert (passed["passed"], passed["share"], certified.report["pictures"]) == (3, 0.5, 6)
    assert passed["interval_95"]["low"] < 0.5 < passed["interval_95"]["high"]
    shot = next(each["file"] for each in certified.report["each"] if each["rejected_for"] == ["no face"])
    assert f"<figcaption>{shot.removesuffix('.png')}: no face<" in certified.html, "seeds are alike in every render"


def test_the_yield_is_of_all_that_were_drawn(certified: Certified) -> None:
    found = certified.report["yield"]
    assert (found["of"], found["passed"], found["share"], found["let_through"]) == (10, 6, 0.6, 6)
    assert found["rejected_for"] == {"fine texture of the skin": 4} and found["not_measured"] == 0
    assert "6 of all 10 candidates" in certified.html
    assert "ranked by dlib, and no checkpoint was chosen" in certified.html


def test_held_out_selfies_are_those_of_the_training(certified: Certified) -> None:
    selfies = [path.name for path in certified.person.selfie_files()]
    assert certified.report["selfies"]["held_out"] == selfies[-2:]
    assert certified.report["selfies"]["trained_on"] == selfies[:-2]


def test_photographs_that_came_after_the_training_report_nothing(certified: Certified, tmp_path: Path) -> None:
    """Nor does preparing anew, which splits anew: what an adapter was trained on stays what it was."""
    person = Person(shutil.copytree(certified.person.folder, tmp_path / "bea"))
    shutil.copyfile(photos.selfies(STRANGER)[0], person.selfies / "added.jpg")
    shutil.copyfile(person.selfie_files()[0], person.selfies / "a-twin.jpg")
    prepare(person, 32)
    before = load_selfies(certified.person, certified.adapter)
    after = load_selfies(person, person.adapters / "first")
    assert after.held_out == before.held_out and len(after.trained) == len(before.trained)
    assert "added.jpg" not in after.held_out | after.trained


def test_the_numbers_are_those_of_the_pictures(certified: Certified) -> None:
    report = certified.report
    each = {Path(item["file"]).stem: item for item in report["each"]}
    assert report["likeness"]["mean"] == pytest.approx(sum(item.get("likeness", 0) for item in each.values()) / 6)
    assert each["headshot_00"]["likeness"] > report["verification"]["value_as_likeness"] > each["stranger"]["likeness"]
    assert report["copying"]["copies"] == 1 and each["copy"]["pixels"] > 0.9 > each["headshot_00"]["pixels"]
    assert each["copy"]["pixels_of"] in report["selfies"]["trained_on"]
    assert report["verification"]["impostors"] == 10 and report["cohort"] == {
        "rank": 1, "people": 6, "nearest_to_the_person": pytest.approx(4 / 6)
    }  # fmt: skip
    assert report["recogniser"] == "dlib-resnet-v1"
    assert "also ranked these pictures" in report["cannot_tell"][0]


def test_what_the_prompts_asked_for_is_looked_up(certified: Certified) -> None:
    checks = certified.report["prompt"]["checks"]
    assert {name: (one["asked"], one["agreed"]) for name, one in checks.items()} == {
        "colour": (5, 5),
        "framing": (5, 5),
    }
    each = {Path(item["file"]).stem: item["prompt"] for item in certified.report["each"]}
    assert each["empty"] == {} and each["headshot_00"]["framing"]["found"] == "head and shoulders"
    assert certified.report["bleed"] is None and "--bleed" in certified.html


def test_greyness_of_the_hair_is_among_the_drifts_or_said_to_be_missing(certified: Certified) -> None:
    assert certified.report["drift"]["grey"]["kind"] == "hair" and "greyness of the hair" in certified.html
    without = dict(certified.report) | {"drift": {}}
    assert any("not measured: too little of it" in line for line in certificate._cannot_tell(without))


def test_nobody_is_placed_on_a_skin_tone_scale(certified: Certified) -> None:
    assert "own" in certified.report["drift"]["lightness"] and "own" not in certified.report["drift"]["monk"]
    assert all("monk" not in each["looks"] for each in certified.report["each"])


def test_the_page_carries_everything_in_itself(certified: Certified) -> None:
    assert "<script" not in certified.html and "http" not in certified.html
    assert not re.findall(r'(?:src|href)="(?!data:image/jpeg;base64,)', certified.html)
    held_out = len(certified.report["selfies"]["held_out"])
    assert certified.html.count("<img") == certified.report["pictures"] + held_out
    assert certified.html.count("<svg") == 2
    assert str(certified.person.folder.parent) not in certified.html + json.dumps(certified.report)
    for line in certified.report["cannot_tell"]:
        assert line.split("'")[0] in certified.html


def test_what_is_missing_is_said_in_one_line(certified: Certified, tmp_path: Path) -> None:
    with pytest.raises(LikenessError, match="no headshots of this adapter"):
        load_shots(certified.person, _other_weights(tmp_path / "second"))
    person = Person(shutil.copytree(certified.person.folder, tmp_path / "bea"))
    adapter = person.adapters / "first"
    shutil.copyfile(photos.selfies(STRANGER)[0], person.selfie_files()[3])
    with pytest.raises(LikenessError, match="1 of the photographs .* were changed since the training"):
        load_selfies(person, adapter)
    with pytest.raises(LikenessError, match="trained on is not on record"):
        load_selfies(person, make_adapter(tmp_path / "exported"))
    (person.folder / "consent.json").unlink()
    with pytest.raises(LikenessError, match="no consent"):
        certificate.certify(person, adapter)


def _other_weights(folder: Path) -> Path:
    adapter = make_adapter(folder)
    save_file({"a": torch.zeros(1)}, adapter / LORA_FILE)
    return adapter


def test_words_on_charts_lie_on_no_others_and_within_the_picture() -> None:
    """By letters of 7 px: notes at bars of any length, and a group with a long name."""
    shown = [
        bars([("typology angle of the skin", z, "+12.3 CIEDE2000")], 3.0) for z in (-40.0, -9.0, -1.0, 0.0, 1.0, 40.0)
    ]
    shown.append(strips({"sex presentation: feminine (24)": [1.0], "team: " + "x" * 60: [2.0]}, 0.0, "as it is"))
    for plot in shown:
        left, _, width, _ = (float(number) for number in re.findall(r'viewBox="([^"]*)"', plot)[0].split())
        spans: dict[str, list[tuple[float, float]]] = {}
        for x, y, anchor, words in re.findall(
            r'<text class="[^"]*" x="([^"]*)" y="([^"]*)" text-anchor="(\w+)">([^<]*)', plot
        ):
            start = float(x) - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * 7 * len(words)
            assert left <= start and start + 7 * len(words) <= left + width, words
            spans.setdefault(y, []).append((start, start + 7 * len(words)))
        for row in spans.values():
            assert all(one[1] <= other[0] for one, other in itertools.pairwise(sorted(row)))


@pytest.mark.parametrize(("written", "drawn", "seen"), [(300, 256, 300), (1500, 256, 1024), (1500, 1280, 1280)])
def test_a_large_file_is_examined_as_large_as_the_gates_look_at_it(
    tmp_path: Path, written: int, drawn: int, seen: int
) -> None:
    Image.new("RGB", (written, written // 2)).save(tmp_path / "a.png")
    assert Shot(tmp_path / "a.png", {"drawn_size": [drawn, drawn // 2]}).pixels().shape == (seen // 2, seen, 3)


@pytest.mark.parametrize(
    "text",
    [
        '{"assessment": {"recogniser": "dlib"}, "drawn_size": "large"}',
        "[]",
        "{}",
        '{"assessment": 3}',
        '{"assessment": {}}',
        "3",
        "{",
    ],
)
def test_a_record_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(LikenessError, match="no index or record"):
        read_record(tmp_path / "a.json")


def test_charts_say_in_words_what_they_show() -> None:
    said = [re.findall(r'role="img" aria-label="([^"]*)"', plot)[0] for plot in (
        strips({"<me>": [0.5, 0.75], "others": [0.125]}, 0.25, "accepted above"),
        bars([("nose", -4.0, "-2 %"), ("jaw", 1.0, "+1 %")], 3.0),
    )]  # fmt: skip
    assert said == [
        "&lt;me&gt;: mean 0.625, 0.500 to 0.750; others: mean 0.125, 0.125 to 0.125; accepted above 0.250",
        "nose: -2 %, beyond the band; jaw: +1 %, within the band",
    ]


def test_charts_stay_on_their_canvas_and_escape_words() -> None:
    draws = np.random.default_rng(0)
    for _ in range(30):
        scale = 10 ** draws.uniform(-6, 3)
        rows = {"<me>": (draws.normal(size=5) * scale).tolist(), "others": [0.0]}
        plots = strips(rows, float(draws.normal() * scale), "limit"), bars([("a & b", float(scale), "+1 %")], 3.0)
        for plot in plots:
            assert "<me>" not in plot and "a & b" not in plot
            places = [float(x) for x in re.findall(r' (?:cx|x|x1|x2)="([^"]+)"', plot)]
            assert all(0 <= x <= 640 for x in places)
