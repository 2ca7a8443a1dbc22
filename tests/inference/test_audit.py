"""The audit finds a bias that was planted, and none where there is none; it groups people as they were labelled."""

import json
import math
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from inference import audit, subjects
from inference.apparent_age import read_ages
from inference.audit_report import AuditSettings, finding_lines, report_of
from inference.examination import Examined
from inference.labels import cohort_labels, groups, known_years, load_labels
from inference.subjects import Subject
from likeness import resources
from likeness.cli import app
from likeness.errors import LikenessError
from likeness.faces import FaceFinder, Reference
from likeness.faces.drift import MEASURES, OwnLooks
from likeness.faces.examiner import Findings
from scripts import plants
from tests import photos
from tests.inference.people import draw, make_person

TONES = ("dark", "light")
VALUES = ("rejected", "yield", "likeness", "copied", "lightened", "lightness", "hue", "shape", "texture", "grey")


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def made(number: int, shrink: float = 1.0, **values: float) -> Subject:
    """A person of made-up numbers; `shrink`: how much of what tells them from others is left on the headshots."""
    chance = np.random.default_rng(number)
    self = np.random.default_rng(1000 + number).normal(size=32)
    common = np.random.default_rng(7).normal(size=32) * 3
    own = unit(common + self + 0.1 * chance.normal(size=(8, 32)))
    drawn = unit(common + shrink * self + 0.1 * chance.normal(size=(4, 32)))
    plain = {name: float(value) for name, value in zip(VALUES, chance.uniform(0, 1, len(VALUES)), strict=True)}
    return Subject(f"p{number}", Reference(own[:2], "made", 0.9, 0.5), own, drawn, own, 4, plain | values, ())


def labels_of(people: list[Subject], attribute: str = "tone") -> dict[str, dict[str, str]]:
    return {one.name: {attribute: TONES[number % 2]} for number, one in enumerate(people)}


def test_no_group_is_found_by_chance_more_often_than_said() -> None:
    """60 audits of 16 people in four groups and their intersections: about one in twenty may find something."""
    found = 0
    for number in range(60):
        people = [made(100 * number + place) for place in range(16)]
        labels = {one.name: {"tone": TONES[n % 2], "age": TONES[n // 2 % 2]} for n, one in enumerate(people)}
        found += bool(finding_lines(report_of(people, labels, AuditSettings(seed=number))))
    assert found <= 8  # binomial of 60 at 0.05: more than 8 has a chance of 0.2%


def test_what_is_worse_for_one_group_is_found_there_and_nothing_else() -> None:
    people = [made(n, **({"lightness": 6.0 + n / 20, "likeness": 0.2} if n % 2 == 0 else {})) for n in range(16)]
    report = report_of(people, labels_of(people), AuditSettings())
    worst, other = report["groups"]
    assert worst["name"] == "tone: dark" and set(worst["findings"]) >= {"lightness"} and not other["findings"]
    assert set(worst["findings"]) <= {"lightness", "likeness"}
    assert worst["measures"]["lightness"]["mean"] == pytest.approx(np.mean([6.0 + n / 20 for n in range(0, 16, 2)]))
    assert "tone: dark" in finding_lines(report)[0]
    assert report["everyone"]["people"] == 16 and worst["people"] == 8


def test_people_drawn_alike_are_homogenised() -> None:
    people = [made(n, shrink=0.4 if n % 2 == 0 else 1.0) for n in range(16)]
    report = report_of(people, labels_of(people), AuditSettings())
    dark, light = (next(g for g in report["groups"] if g["attributes"]["tone"] == tone) for tone in TONES)
    assert dark["dispersion_within"] < 0.7 and 0.85 < light["dispersion_within"] < 1.15
    assert "dispersion" in dark["findings"]
    assert report["everyone"]["measures"]["rank_1"]["mean"] == 1.0


def test_the_scatter_of_one_s_own_pictures_is_no_distance() -> None:
    """Against drawing ever more pictures: the estimate by pairs has no bias with few of them."""
    middles = np.random.default_rng(0).normal(size=(2, 64))
    draw_of = np.random.default_rng(1)

    def sets(count: int) -> list[np.ndarray]:
        return [unit(middle + 0.8 * draw_of.normal(size=(count, 64))) for middle in middles]

    few = np.mean([subjects._distances(sets(2))[0, 1] for _ in range(600)])
    assert few == pytest.approx(subjects._distances(sets(20_000))[0, 1], rel=0.05)


def test_groups_and_their_intersections_need_enough_people_on_both_sides() -> None:
    labels = {f"p{n}": {"age": "old" if n < 5 else "young", "tone": TONES[n % 2]} for n in range(9)}
    labels["p9"] = {"age": "unknown"}
    found = {group.name: len(group.members) for group in groups(labels, 3)}
    assert found == {
        "age: old": 5, "age: young": 4, "tone: dark": 5, "tone: light": 4, "age: old, tone: dark": 3
    }  # fmt: skip


def test_of_whom_an_attribute_is_not_known_takes_no_part_there() -> None:
    labels = {
        f"p{n}": {"tone": TONES[n % 2]} | ({"age": "old" if n < 4 else "young"} if n < 8 else {}) for n in range(12)
    }
    found = {group.name: group for group in groups(labels, 3)}
    assert found["age: old"].members == {"p0", "p1", "p2", "p3"} and found["age: old"].others == {
        "p4",
        "p5",
        "p6",
        "p7",
    }
    assert len(found["tone: dark"].others) == 6
    assert not groups({f"p{n}": {"vip": "yes"} if n < 5 else {"years": "30"} for n in range(12)}, 3)
    pair = next(group for group in groups(labels, 2) if group.name == "age: old, tone: dark")
    # Whoever is light is not old and dark, whatever their age; of the dark ones without an age it is open.
    assert pair.members == {"p0", "p2"} and pair.others == {f"p{n}" for n in range(12) if n % 2 or 4 <= n < 8}
    people = [made(n, lightness=5.0 if n >= 8 else 0.0) for n in range(12)]
    report = report_of(people, labels, AuditSettings())
    old = next(group for group in report["groups"] if group["name"] == "age: old")
    assert old["others"] == 4 and old["measures"]["lightness"]["difference"] == 0


def test_rank_1_is_of_nobody_alone_and_not_of_two_that_are_equal() -> None:
    alone, twin = made(1), replace(made(1), name="twin")
    assert math.isnan(subjects.between([alone])[0]["rank_1"])
    assert [row["rank_1"] for row in subjects.between([alone, twin])] == [0.0, 0.0]
    assert [row["rank_1"] for row in subjects.between([alone, made(2)])] == [1.0, 1.0]
    report = report_of([alone], {"p1": {"tone": "dark"}}, AuditSettings())
    (target,) = [target for target in report["targets"] if target["what"] == "rank 1"]
    assert target["value"] is None and target["met"] is None


def test_targets_are_of_everyone_and_of_the_worst_group_and_met_on_their_own_side() -> None:
    plain = {"copied": 0.15, "yield": 0.5}
    people = [made(n, likeness=0.9 - 0.1 * (n % 2), lightened=0.45 + 0.08 * (n % 2), **plain) for n in range(16)]
    found = {one["what"]: one for one in report_of(people, labels_of(people), AuditSettings())["targets"]}
    expected = {
        "mean likeness": (0.85, "at least 0.9", False),
        "likeness of the worst group": (0.8, "at least 0.85", False),
        "rank 1": (1.0, "at least 0.95", True),
        "copies": (0.15, "at most 0.15", True),
        "yield": (0.5, "at least 0.5", True),
        "lightened, away from one half": (0.01, "at most 0.07", True),
        "gap in lightened between groups": (0.08, "at most 0.07", False),
    }
    for what, (value, limit, met) in expected.items():
        assert (found[what]["limit"], found[what]["met"]) == (limit, met), what
        assert found[what]["value"] == pytest.approx(value)
    assert set(found) - set(expected) == {"dispersion"} and found["dispersion"]["limit"] == "at least 0.9"


def test_what_genuine_portraits_show_too_is_no_drift() -> None:
    draws = np.random.default_rng(6)

    def rows(count: int, middle: float) -> list[dict[str, float]]:
        return [{name: middle + float(draws.normal()) for name in MEASURES} for _ in range(count)]

    looks = OwnLooks.__new__(OwnLooks)
    looks.rows, genuine = rows(9, 0.0), rows(4, 5.0)
    drawn = [row | {"lightness": row["lightness"] + 2, "hue": row["hue"] - 3} for row in genuine]
    examined = [Examined(Findings(0.9, 0.8, 0.0, 0.1, "", None, None, row), np.zeros(3), ()) for row in drawn]
    found = subjects._values(examined, looks, genuine)
    shifts = {name: found[name] for name in ("lightness", "hue", "texture", "grey", "shape")}
    assert shifts == pytest.approx({"lightness": 2, "hue": -3, "texture": 0, "grey": 0, "shape": 0}, abs=1e-9)
    usual = np.mean([row["lightness"] for row in genuine])
    assert found["lightened"] == np.mean([row["lightness"] > usual for row in drawn])
    alone = subjects._values(examined, looks, [])
    for name in ("lightness", "hue", "texture", "grey"):
        shift = np.mean([row[name] for row in drawn]) - np.median([row[name] for row in looks.rows])
        assert alone[name] == pytest.approx(shift)
    assert alone["lightened"] == 1.0 and alone["shape"] > 1


def aged(number: int, years: float, drawn_years: float) -> Subject:
    """Someone made up, whose vectors show an age in one direction of them."""
    person = made(number)
    own = unit(person.own + (years - 45) / 100 * np.eye(32, dtype=np.float32)[3])
    return replace(person, own=own, against=own, drawn=unit(own[:4] + (drawn_years - years) / 100 * np.eye(32)[3]))


def test_apparent_age_is_learnt_from_the_ages_that_are_known() -> None:
    """30 people of 20 to 70, of whom one half is drawn ten years older; the same without ages, with few, and with wrong ones."""
    chance = np.random.default_rng(3)
    years = chance.uniform(20, 70, 30)
    people = [aged(n, age, age + 10 * (n % 2)) for n, age in enumerate(years)]
    labels = labels_of(people)
    ages = {one.name: {"years": f"{age:.1f}"} for one, age in zip(people, years, strict=True)}
    told = {name: known | ages[name] for name, known in labels.items()}
    report = report_of(people, told, AuditSettings())
    group = {group["name"]: group["measures"]["age"]["mean"] for group in report["groups"]}
    assert set(group) == {"tone: dark", "tone: light"}  # of the age as a number no groups are made
    assert group["tone: light"] == pytest.approx(10, abs=2.5) and group["tone: dark"] == pytest.approx(0, abs=1.5)
    assert "age" in report["groups"][0]["findings"] and report["groups"][0]["name"] == "tone: light"
    assert "30 people here teach" in report["cannot_tell"][0]

    few = {name: known if n < 19 else labels[name] for n, (name, known) in enumerate(told.items())}
    wrong = dict(zip(told, chance.permutation([known["years"] for known in ages.values()]), strict=True))
    shuffled = {name: known | {"years": str(wrong[name])} for name, known in labels.items()}
    for known in (labels, few, shuffled):
        report = report_of(people, known, AuditSettings())
        assert report["everyone"]["measures"]["age"]["mean"] is None
        assert "not measured" in report["cannot_tell"][0] and "20 people" in report["cannot_tell"][0]


def test_nobody_s_own_age_tells_their_own_shift() -> None:
    years = np.random.default_rng(4).uniform(20, 70, 24)
    people = [aged(n, age, age + 10) for n, age in enumerate(years)]
    told, untold = (read_ages(people, [first, *years[1:]]) for first in (years[0], math.nan))
    assert told is not None and untold is not None and (told.people, untold.people) == (24, 23)
    # Their label takes part in how strongly the ridge is undone, which is everybody's; not in how they are read.
    assert untold.shifts[0] == pytest.approx(told.shifts[0], rel=0.1)


def test_labels_come_from_a_file_or_the_cohort_s_own_truth(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("person,skin tone,age\nana,dark,\nben,light,20s\n")
    assert load_labels(tmp_path, None, ["ana", "ben", "cy"]) == {
        "ana": {"skin tone": "dark"}, "ben": {"skin tone": "light", "age": "20s"}
    }  # fmt: skip
    given = tmp_path / "mine.json"
    given.write_text('{"ana": {"age": 30}}')
    name = photos.people()[0].name
    known = load_labels(tmp_path, given, ["ana", name])
    assert known["ana"] == {"age": "30"} and set(known[name]) == {"skin tone", "age", "sex presentation"}
    given.write_text('{" ana ": {"glasses": true}, "ben": {"glasses": false}, "cy": {"children": 0, "age": null}}')
    told = {"ana": {"glasses": "True"}, "ben": {"glasses": "False"}, "cy": {"children": "0"}}
    assert load_labels(tmp_path, given, ["ana", "ben", "cy"]) == told
    for text in ("[1]", "{", '{"ana": "dark"}'):
        given.write_text(text)
        with pytest.raises(LikenessError, match="these are no labels"):
            load_labels(tmp_path, given, ["ana"])
    with pytest.raises(LikenessError, match="not known which groups"):
        load_labels(tmp_path, None, ["cy"])
    assert known_years("ana", {"ana": {"years": "34"}}) == 34 and math.isnan(known_years("ana", known))
    assert 20 <= known_years(name, known) <= 72  # the cohort's own truth
    with pytest.raises(LikenessError, match='"years" of ana is no number: 30s'):
        known_years("ana", {"ana": {"years": "30s"}})


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people with two headshots each, and one who has no adapter."""
    folder = tmp_path_factory.mktemp("few")
    for name, source in zip(("ana", "ben", "cy"), photos.people(), strict=False):
        pictures = {path.stem: photos.pixels(path) for path in sorted(source.glob("headshot_*.jpg"))[:2]}
        if name == "cy":
            pictures["empty"] = np.full((128, 128, 3), 120, np.uint8)
        draw(make_person(folder / name, source), pictures, thrown_away=2)
    (make_person(folder / "dee", photos.people()[3]).adapters / "first").rename(folder / "gone")
    (folder / "labels.json").write_text(json.dumps({name: {"age": "20s"} for name in ("ana", "ben", "cy")}))
    return folder


def test_the_command_writes_both_files(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "cohort", lambda each, but="": [photos.selfies(p)[:1] for p in photos.people()[4:8]])
    monkeypatch.setattr(socket.socket, "connect", None)  # nothing goes out
    result = CliRunner().invoke(app, ["audit", str(few), "--out", str(tmp_path), "--fail"])
    assert result.exit_code == 0, result.output
    assert "no group with enough people to compare" in result.output and "beyond chance" not in result.output
    report = json.loads((tmp_path / "audit.json").read_text())
    assert [one["person"] for one in report["left_out"]] == ["dee"] and "no adapter" in report["left_out"][0]["why"]
    assert report["each"]["cy"]["rejected"] == pytest.approx(1 / 3) and report["each"]["cy"]["yield"] == 0.6
    assert report["each"]["ana"]["rank_1"] == 1.0 and report["against"] == "selfies"
    assert any("age drift" in line.lower() for line in report["cannot_tell"])
    html = (tmp_path / "audit.html").read_text()
    assert "<script" not in html and not re.findall(r'(?:src|href)="(?!data:image/jpeg;base64,)', html)
    assert str(few) not in html + json.dumps(report)
    # People's folders are closed to others, and this is pictures of them outside of these.
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("audit.html", "audit.json")} == {0o600}


def test_the_script_is_the_command(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "audit.py"
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "no people in this folder" in done.stderr and "\n" not in done.stderr.strip()


def test_a_bias_that_is_found_fails_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    people = [made(n, lightness=6.0 * (n % 2)) for n in range(16)]
    report = report_of(people, labels_of(people), AuditSettings()) | {"left_out": []}
    monkeypatch.setattr(audit, "audit", lambda *arguments: (report, tmp_path / "audit.html"))
    result = CliRunner().invoke(app, ["audit", str(tmp_path), "--fail"])
    assert result.exit_code == 1 and "tone: light: " in result.stdout
    assert "shift in lightness of the skin +6.00 L*, of the others +0.00 L*" in result.stdout
    assert CliRunner().invoke(app, ["audit", str(tmp_path)]).exit_code == 0


def test_a_folder_without_people_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LikenessError, match="no people in this folder"):
        audit.audit(tmp_path)


class TestPlantedBias:
    """Genuine portraits stand in for what an adapter drew: half of them are the headshots, the others what these are held to."""

    pytestmark = pytest.mark.slow

    @pytest.fixture(scope="class")
    def audited(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
        finder, found = FaceFinder(), {}
        portraits = resources.cohort_portraits
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resources, "cohort_portraits", lambda name: portraits(name)[2:])
            for kind in ("fair", "planted"):
                folder = tmp_path_factory.mktemp(kind)
                for source in photos.people():
                    pictures = {path.stem: photos.pixels(path) for path in portraits(source.name)[:2]}
                    if kind == "planted" and cohort_labels(source.name)["skin tone"] == "dark":
                        pictures = {k: plants.lightened(p, finder.find(p)[0], 8) for k, p in pictures.items()}
                    draw(make_person(folder / source.name, source), pictures)
                found[kind] = audit.audit(folder)[0]
        yield found

    def test_nothing_is_found_where_nothing_was_planted(self, audited: dict[str, dict[str, Any]]) -> None:
        assert finding_lines(audited["fair"]) == []
        assert audited["fair"]["against"] == "genuine portraits" and audited["fair"]["left_out"] == []
        shift = audited["fair"]["everyone"]["measures"]["age"]
        assert (
            shift["people"] == len(photos.people()) and shift["interval_95"]["low"] < 0 < shift["interval_95"]["high"]
        )

    def test_a_gap_is_shown_beside_what_random_labels_give(self, audited: dict[str, dict[str, Any]]) -> None:
        fair, planted = (audited[kind]["targets"][-1] for kind in ("fair", "planted"))
        assert 0 < fair["by_chance"] < 1 and fair["value"] < 2 * fair["by_chance"]
        assert planted["value"] > fair["value"]

    def test_the_group_whose_skin_was_lightened_comes_first(self, audited: dict[str, dict[str, Any]]) -> None:
        worst = audited["planted"]["groups"][0]
        assert worst["name"] == "skin tone: dark" and "lightness" in worst["findings"]
        moved = worst["measures"]["lightness"]
        assert moved["difference"] > 0 and moved["p"] < 0.01
        assert set(worst["findings"]) <= {"lightness", "lightened"}
        before = next(group for group in audited["fair"]["groups"] if group["name"] == worst["name"])
        assert worst["measures"]["lightened"]["mean"] > before["measures"]["lightened"]["mean"]
