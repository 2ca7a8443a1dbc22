"""What is trained on and what is held out: by photograph, whatever portraits it gives in which bucket."""

from pathlib import Path
from typing import Any

import pytest

from likeness import files, tune
from likeness.adapter_file import read_info
from likeness.errors import LikenessError
from likeness.person import Person
from tests.training.made import make_person
from tests.training.runs import config
from training import portraits, prepare, setup
from training.data import DataSettings
from training.portraits import Chosen, choose_portraits
from training.run import train

CLOSER = DataSettings(crops=["shoulders", "close"])
BUCKETS: Any = [(32, "square"), (64, "square")]


def person_with(folder: Path, only_full: list[tuple[int, int]], **made: Any) -> Person:
    return make_person(folder / "zebulon", more=[(64, "square")], only_full=only_full, **made)


def digests(person: Person) -> list[str]:
    return [files.sha256(path) for path in person.selfie_files()]


def photos(chosen: Chosen) -> list[set[str]]:
    return [{row["photo"] for row in bucket} for bucket in chosen.train]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_fewer_photographs_are_the_same_ones_in_every_bucket(tmp_path: Path, count: int) -> None:
    """Of the six some give nothing close in the larger bucket, where others used to take their places."""
    whole = person_with(tmp_path / "whole", [], photos=7)
    some = person_with(tmp_path / "some", [(64, 1), (64, 3), (64, 5)], photos=7)
    settings = CLOSER.model_copy(update={"photos": count})
    small, large = photos(choose_portraits(whole, settings, BUCKETS))
    assert small == large and len(small) == count
    lacking = {"photo-1.jpg", "photo-3.jpg", "photo-5.jpg"}
    if small <= lacking:
        with pytest.raises(LikenessError, match="no portraits of the crops shoulders, close are left"):
            choose_portraits(some, settings, BUCKETS)
        return
    chosen = choose_portraits(some, settings, BUCKETS)
    assert photos(chosen) == [small, small - lacking]
    assert len(chosen.record.trained) == count and not set(chosen.record.trained) & set(chosen.record.untrained)


def test_every_accepted_photograph_is_trained_on_or_held_out(tmp_path: Path) -> None:
    """The second and third give nothing close anywhere; of the held-out ones the first."""
    nowhere = [(width, number) for width in (32, 64) for number in (0, 2, 3)]
    person = person_with(tmp_path, [*nowhere, (64, 4)], photos=7, held_out=2)
    chosen = choose_portraits(person, CLOSER, BUCKETS)
    everything = digests(person)
    assert chosen.record.trained == sorted(everything[4:])
    assert chosen.record.untrained == sorted(everything[:4])
    assert {row["photo"] for row in chosen.evaluated} == {"photo-1.jpg"}
    assert {row["photo"] for row in chosen.held_out} == {"photo-0.jpg", "photo-1.jpg"}


def test_a_tight_selfie_is_trained_on_as_the_portrait_that_it_nearly_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of eight the held-out one and the first two that are not are close as a whole, the next one nothing."""
    load = prepare.load_portraits
    monkeypatch.setattr(portraits, "load_portraits", lambda *given: _tight(load(*given)))
    person = make_person(tmp_path / "zebulon", photos=8, only_full=[(32, number) for number in range(4)])
    chosen = choose_portraits(person, CLOSER, BUCKETS[:1])
    assert photos(chosen) == [{f"photo-{number}.jpg" for number in (1, 2, 4, 5, 6, 7)}]
    assert [row["crop"] for row in chosen.learnt] == ["full"] * 2 + ["shoulders", "close"] * 4
    assert [row["photo"] for row in chosen.evaluated] == ["photo-0.jpg"]
    assert chosen.record.note.startswith("1 of 7 usable photographs") and "shoulders or close" in chosen.record.note
    assert choose_portraits(person, DataSettings(), BUCKETS[:1]).record.note == ""
    shoulders = choose_portraits(person, DataSettings(crops=["shoulders"]), BUCKETS[:1])
    assert photos(shoulders) == [{f"photo-{number}.jpg" for number in (4, 5, 6, 7)}]


def _tight(rows: Any) -> list[Any]:
    tight = {"photo-0.jpg", "photo-1.jpg", "photo-2.jpg", "photo-7.jpg"}
    return [row | {"also": "close" if row["crop"] == "full" and row["photo"] in tight else ""} for row in rows]


def test_a_run_says_how_many_photographs_it_leaves_out(
    v_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person = make_person(tmp_path / "zebulon", only_full=[(32, 2)])
    train(config(v_base, person, steps=1, data={"crops": ["close"]}))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "usable photographs" in line]
    assert line.startswith("note: 1 of 4 usable")


@pytest.mark.parametrize("data", [{}, {"photos": 2}])
def test_whom_a_sweep_judges_by_follows_from_the_person_alone(
    v_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: dict[str, Any]
) -> None:
    """Held-out selfies without a close portrait judge as well, in the run and beside it, and none that was only left out."""
    person = make_person(tmp_path / "zebulon", photos=8, held_out=3, only_full=[(32, 0), (32, 1)])
    wanted = config(v_base, person, steps=1, data={"crops": ["close"], **data}, selection={"enabled": False})
    seen: list[set[str]] = []

    def looked_at(settings: Any, who: Person, rows: Any, pictures: Any) -> tuple[None, str]:
        seen.append({row["digest"] for row in rows["held-out"]})
        return None, ""

    monkeypatch.setattr(setup, "make_selector", looked_at)
    adapter = train(wanted)
    info = read_info(adapter)
    assert info is not None and set(info.held_out) | set(info.trained) == set(digests(person))
    choosing, reporting = (set(tune._judging(person, adapter, wanted, by)) for by in ("choosing", "reporting"))
    assert choosing | reporting == set(digests(person)[:3]) <= set(info.held_out)
    assert seen == [choosing | reporting], "the run chooses among the same"
    assert not choosing & reporting
