"""Which checkpoint is kept, when a run ends early, and that being killed changes neither."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likeness import files
from likeness.adapter import read_info
from likeness.faces.scorer import Reading
from likeness.person import Person
from likeness.selection import CurvePoint
from tests.training.made import make_person, prepare_made
from tests.training.runs import WEIGHTS, config, difference, interrupt_at, metrics
from training import selector
from training.prepare import load_portraits
from training.run import train
from training.selection import SelectionSettings, best, enough, split_held_out
from training.signals import Interrupted

QUICK: dict[str, Any] = {"every": 1, "prompts": ["{subject}"], "count": 1, "steps": 1, "recogniser": "dlib"}


def curve(*values: tuple[float, float]) -> list[CurvePoint]:
    return [
        CurvePoint(step=place, likeness=likeness, copying=copying, faces=1, seconds=0)
        for place, (likeness, copying) in enumerate(values, 1)
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([(0.1, 0), (0.5, 0), (0.2, 0)], 1),
        ([(0.5, 0), (0.5, 0)], 1),
        ([(0.2, 0), (0.6, 0), (0.55, 0), (0.45, 0)], 2),
        ([(0.1, 0), (0.9, 0.2), (0.4, 0.15)], 2),
        ([(0.1, 0.9), (0.9, 0.3), (0.4, 0.4)], 1),
        ([(0.9, 0.25), (0.6, 0.25), (0.5, 0.25), (0.9, 0.5)], 0),
        ([(0.4, 0.25), (0.6, 0.25), (0.55, 0.25), (0.9, 0.5)], 2),
    ],
    ids=[
        "likest",
        "later-of-equals",
        "later-within-the-margin",
        "not-by-copying",
        "least-copied-of-all-bad",
        "likest-of-those",
        "later-of-those",
    ],
)
def test_the_likest_that_copies_little_is_kept(values: list[tuple[float, float]], expected: int) -> None:
    assert best(curve(*values), max_copying=0.15, margin=0.1) == expected


def test_what_is_kept_at_a_checkpoint_is_all_that_a_run_going_on_from_it_can_keep() -> None:
    """So the other weights may be dropped: whatever comes later, the choice is that candidate or a later one."""
    rng = np.random.default_rng(0)
    for _ in range(500):
        points = curve(*zip(rng.uniform(0, 0.5, 6).tolist(), rng.choice([0, 0.1, 0.2, 0.3], 6).tolist(), strict=True))
        early = best(points[:3], max_copying=0.15, margin=0.1)
        assert best(points, max_copying=0.15, margin=0.1) in {early, 3, 4, 5}


def test_a_run_ends_when_likeness_falls_or_copying_rises() -> None:
    settings = SelectionSettings(patience=2, copying_patience=2, margin=0.05)
    assert enough([], settings) is None
    assert enough(curve((0.5, 0), (0.4, 0)), settings) is None
    assert "step 1" in (enough(curve((0.5, 0), (0.4, 0), (0.3, 0)), settings) or "")
    assert enough(curve((0.5, 0), (0.4, 0), (0.6, 0)), settings) is None
    assert enough(curve((0.5, 0), (0.4, 0), (0.46, 0)), settings) is None, "as like as the likest"
    assert enough(curve((0.5, 0.3), (0.6, 0.1), (0.7, 0.3)), settings) is None
    assert "copying" in (enough(curve((0.5, 0.1), (0.6, 0.3), (0.7, 0.3)), settings) or "")
    never = SelectionSettings(patience=None, copying_patience=None)
    assert enough(curve(*[(0.5 - place / 10, 0.9) for place in range(9)]), never) is None


def test_the_photographs_that_choose_never_report() -> None:
    assert split_held_out([], 0.5) == split_held_out([], 0.9) == ([], [])
    assert split_held_out(["a"], 0.5) == ([], ["a"])
    for count in range(2, 12):
        digests = [f"{place:02d}" for place in range(count)]
        for share in (0.01, 0.5, 0.99):
            choosing, reporting = split_held_out(list(reversed(digests)), share)
            assert choosing and reporting and sorted(choosing + reporting) == digests
        assert len(split_held_out(digests, 0.5)[0]) == count // 2


class Scripted:
    """A scorer that has been told what to find: one likeness a candidate, in order of the steps."""

    class embedder:
        id = "scripted"

    def __init__(self, *likenesses: float) -> None:
        self.likenesses, self.asked = list(likenesses), 0

    def read(self, pictures: list[Image.Image]) -> Reading:
        assert [picture.size for picture in pictures] == [(32, 32)]
        self.asked += 1
        return Reading(self.likenesses[self.asked - 1], 0.0, 1.0)


@pytest.fixture
def two_held_out(tmp_path: Path) -> Person:
    return make_person(tmp_path / "people" / "zebulon", photos=6, held_out=2)


def script(monkeypatch: pytest.MonkeyPatch, *likenesses: float) -> None:
    scorer = Scripted(*likenesses)
    monkeypatch.setattr(selector, "_photos", lambda *_: [])
    monkeypatch.setattr(selector, "Scorer", lambda *_: scorer)


def test_the_adapter_is_the_best_checkpoint(
    v_base: Path, two_held_out: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = two_held_out
    script(monkeypatch, 0.1, 0.7, 0.3, 0.2)
    adapter = train(config(v_base, person, selection=QUICK))
    train(config(v_base, person, steps=2, name="two", selection={"enabled": False}))
    assert difference(adapter, person.adapters / "two") == 0
    info = read_info(adapter)
    assert info is not None and info.selection is not None and info.steps == 4
    assert (info.selection.step, info.selection.recogniser, info.selection.stopped_early) == (2, "scripted", False)
    assert [point.likeness for point in info.selection.curve] == [0.1, 0.7, 0.3, 0.2]
    assert len(info.selection.photos) == len(info.reporting) == 1
    assert set(info.selection.photos) | set(info.reporting) == set(info.held_out)
    record = json.loads((person.runs / "run" / "selection.json").read_text())
    assert record["step"] == 2 and record["seconds"] == pytest.approx(info.selection.seconds) and record["seconds"] > 0
    logged = [line["selection/likeness"] for line in metrics(person) if "selection/likeness" in line]
    assert logged == [0.1, 0.7, 0.3, 0.2]
    kept = sorted(path.name for path in (person.runs / "run" / "selection").glob("*.safetensors"))
    assert kept == ["step-000002.safetensors"]


def test_selfies_that_report_do_not_judge_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person = make_person(tmp_path / "people" / "zebulon", photos=9, held_out=4)
    looked_at: list[list[str]] = []

    def scorer(trained: list[str], judging: list[str], *_: Any) -> Scripted:
        looked_at.extend([trained, judging])
        return Scripted()

    monkeypatch.setattr(selector, "_photos", lambda person, names: sorted(names))
    monkeypatch.setattr(selector, "Scorer", scorer)
    portraits = list(load_portraits(person, 32))
    rows = {split: [row for row in portraits if row["split"] == split] for split in ("train", "held-out")}
    pictures: Any = str  # none is drawn
    made, _ = selector.make_selector(SelectionSettings(), person, rows, pictures)
    names = {files.sha256(path): path.name for path in person.selfie_files()}
    choosing, reporting = split_held_out(list(names)[:4], 0.5)
    assert made is not None and sorted(made.photos) == choosing and len(reporting) == 2
    assert looked_at == [[f"photo-{number}.jpg" for number in range(4, 9)], sorted(names[one] for one in choosing)]


def test_choosing_changes_nothing_about_the_steps(
    v_base: Path, two_held_out: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, 0.1, 0.2, 0.3, 0.4)
    train(config(v_base, two_held_out, selection=QUICK))
    train(config(v_base, two_held_out, name="plain", selection={"enabled": False}))
    one, other = (two_held_out.adapters / name for name in ("run", "plain"))
    assert difference(one, other) == 0
    info = read_info(other)
    assert info is not None and info.selection is None


def test_a_run_that_ends_early_is_finished(v_base: Path, two_held_out: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person, settings = two_held_out, {**QUICK, "patience": 2}
    script(monkeypatch, 0.7, 0.3, 0.2)
    adapter = train(config(v_base, person, steps=9, selection=settings))
    info = read_info(adapter)
    assert info is not None and info.selection is not None
    assert info.selection.stopped_early and info.selection.step == 1
    assert "no candidate was better than step 1" in info.selection.note
    assert metrics(person)[-1]["step"] == 3
    before = (adapter / WEIGHTS).stat().st_mtime_ns
    train(config(v_base, person, steps=9, selection=settings))
    assert (adapter / WEIGHTS).stat().st_mtime_ns == before, "finished runs are left alone"
    files_before = (adapter / WEIGHTS).read_bytes()
    for path in adapter.iterdir():
        path.unlink()
    train(config(v_base, person, steps=9, selection=settings))
    assert (adapter / WEIGHTS).read_bytes() == files_before


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_killed_run_chooses_the_same(
    v_base: Path, two_held_out: Person, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Checkpoints come every 3 steps, candidates every 2: the interruption's own checkpoint is no candidate."""
    person = two_held_out
    changes = {"steps": 7, "checkpoint": {"every": 3}, "selection": {**QUICK, "every": 2}}
    by_step = {2: 0.2, 4: 0.9, 6: 0.4, 7: 0.3}
    script(monkeypatch, *by_step.values())
    train(config(v_base, person, **changes, name="straight"))
    script(monkeypatch, *by_step.values())
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        with pytest.raises(Interrupted):
            train(config(v_base, person, **changes))
    script(monkeypatch, *[value for at, value in by_step.items() if at > step])
    train(config(v_base, person, **changes))
    one, other = (read_info(person.adapters / name) for name in ("run", "straight"))
    assert one is not None and other is not None and one.selection is not None and other.selection is not None
    assert one.selection.step == other.selection.step == 4
    assert [p.likeness for p in one.selection.curve] == [p.likeness for p in other.selection.curve]
    assert difference(person.adapters / "run", person.adapters / "straight") == 0


def test_what_was_read_after_the_last_checkpoint_is_read_again(
    v_base: Path, two_held_out: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed outright at step 5 of checkpoints every 3: the best candidate so far (4) is lost, the one before (2) is not."""
    person = two_held_out
    changes = {"steps": 6, "checkpoint": {"every": 3}, "selection": {**QUICK, "every": 2}}

    class Killed(Exception):
        pass

    script(monkeypatch, 0.5, 0.9, 0.1)
    with monkeypatch.context() as patch:
        from training.loop import Loop

        log = Loop._log

        def log_and_die(loop: Loop, norm: Any) -> None:
            log(loop, norm)
            if loop.done == 5:
                raise Killed

        patch.setattr(Loop, "_log", log_and_die)
        with pytest.raises(Killed):
            train(config(v_base, person, **changes))
    script(monkeypatch, 0.3, 0.1)
    train(config(v_base, person, **changes))
    info = read_info(person.adapters / "run")
    assert info is not None and info.selection is not None
    assert [(point.step, point.likeness) for point in info.selection.curve] == [(2, 0.5), (4, 0.3), (6, 0.1)]
    assert info.selection.step == 2


def test_with_one_held_out_photograph_the_last_is_kept_and_it_is_said(
    v_base: Path, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = train(config(v_base, person, selection=QUICK))
    info = read_info(adapter)
    assert info is not None and info.selection is not None
    assert info.selection.step == 4 and "two held-out selfies" in info.selection.note
    assert info.reporting == info.held_out == [files.sha256(person.selfies / "photo-0.jpg")]
    assert "two held-out selfies" in capsys.readouterr().out


def test_where_selfies_show_no_face_the_last_is_kept(v_base: Path, tmp_path: Path) -> None:
    person = make_person(tmp_path / "people" / "nobody", photos=6, held_out=2)
    for number, path in enumerate(person.selfie_files()):
        Image.new("RGB", (64 + number, 64), "grey").save(path)
    prepare_made(person, held_out=2)
    adapter = train(config(v_base, person, selection=QUICK))
    info = read_info(adapter)
    assert info is not None and info.selection is not None and "has a face" in info.selection.note
