"""`likeness tune` and scripts/ablate.py: the bundled sweeps hold, people are chosen evenly, and the whole goes its way."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from inference.labels import cohort_labels, stratified
from inference.scorecard import Scorecard
from likeness import cli, files, tune
from likeness import person as person_module
from likeness.adapter_file import read_info
from likeness.cohort import cohort_names, cohort_person
from likeness.errors import LikenessError
from likeness.person import Consent, Person
from likeness.resources import configs
from scripts.ablate import main as ablate
from tests.tiny import make_tiny_base
from tests.training.made import make_person
from training import sweep
from training.config import TrainConfig
from training.run import train
from training.sweep import Sweep, cells

QUICK = [
    "steps=1",
    "batch_size=2",
    "lora.rank=2",
    "mixed_precision=fp32",
    "evaluation.every=0",
    "lora.targets=attention",
    "data.moved.copies=0",  # made people have no photographs to cut
]


def test_a_sweep_begins_from_the_recipe_of_its_base() -> None:
    recipes = [
        tune.base_values(None, base)["lora"]["rank"] for base in ([], ["base=stabilityai/stable-diffusion-xl-base-1.0"])
    ]
    assert recipes == [
        TrainConfig.load(configs() / name, ["person=p"]).lora.rank for name in ("pocket.yaml", "sdxl.yaml")
    ]


@pytest.mark.parametrize(("name", "least"), [("small", 5), ("ablations", 14)])
def test_the_bundled_sweeps_fit_the_recipes(name: str, least: int, tmp_path: Path) -> None:
    person = make_person(tmp_path / "people" / "zebulon")
    bundled = Sweep.load(configs() / "sweeps" / f"{name}.yaml")
    found = cells(bundled, tune.base_values(configs() / "pocket.yaml", []), [person], 1, "")
    names = [variant.name for variant in bundled.all()]
    assert [cell.variant for cell in found] == names and len({cell.key for cell in found}) >= least


def test_people_are_chosen_evenly() -> None:
    labels = {name: cohort_labels(name) for name in cohort_names()}
    for count in (2, 6, 12):
        chosen = stratified(labels, count)
        assert len(set(chosen)) == count and chosen == stratified(labels, 12)[:count]
        for attribute, values in (("sex presentation", 2), ("skin tone", 3)):
            seen = Counter(labels[name][attribute] for name in chosen)
            assert max(seen.values()) - (min(seen.values()) if len(seen) == values else 0) <= max(1, count // 3)
    assert sorted(stratified(labels, 1000)) == sorted(labels)


def test_a_person_of_the_cohort_is_a_folder_with_consent(tmp_path: Path) -> None:
    person = cohort_person(tmp_path / cohort_names()[0])
    person.require_consent()
    assert len(person.selfie_files()) >= 10
    assert cohort_person(person.folder).folder == person.folder
    with pytest.raises(LikenessError, match="cohort"):
        cohort_person(tmp_path / "ana")


def test_a_person_of_the_cohort_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the middle it is completed the next time; made by two processes at once it is the same person."""
    folder, written = tmp_path / cohort_names()[0], []

    def interrupted(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) == 7:
            raise KeyboardInterrupt
        files.write_bytes(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(person_module, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cohort_person(folder)
    assert Person.open(folder).consent is None
    whole = [path.name for path in cohort_person(folder).selfie_files()]
    assert len(whole) == 12
    other = tmp_path / "two" / cohort_names()[1]
    create = Person.create

    def meanwhile(path: Path, consent: Consent, photos: Iterable[Path] = ()) -> Person:
        photos = list(photos)
        create(path, consent, photos)
        return create(path, consent, photos)

    monkeypatch.setattr(Person, "create", meanwhile)
    assert len(cohort_person(other).selfie_files()) == 12
    with pytest.raises(LikenessError, match="cannot be made"):
        (tmp_path / "file").write_text("no folder")
        cohort_person(tmp_path / "file" / cohort_names()[2])


def fake_scores(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Scores by the learning rate; gives the photographs that judged."""
    asked: list[set[str]] = []

    def measure(card: Scorecard, person: Person, adapter: Path, judging: Any) -> dict[str, float]:
        info = read_info(adapter)
        assert info is not None and set(judging) <= set(info.held_out)
        asked.append(set(judging))
        return {"likeness": 0.5 if info.alpha == 3 else 0.1, "copying": 0.0}

    monkeypatch.setattr(Scorecard, "measure", measure)
    return asked


def test_tune_writes_the_best_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, out = make_tiny_base(tmp_path / "base"), tmp_path / "out"
    person = make_person(tmp_path / "people" / "zebulon", photos=6, held_out=2)
    (tmp_path / "sweep.yaml").write_text("variants: [{name: as it is}]\ngrid: {lora.alpha: [2, 3]}\n")
    asked = fake_scores(monkeypatch)
    trackers: list[list[str]] = []

    def trained(given: TrainConfig) -> Path:
        trackers.append([*given.tracking.trackers])
        return train(given)

    monkeypatch.setattr(sweep, "train", trained)
    command = ["tune", "--person", str(person.folder), "--sweep", str(tmp_path / "sweep.yaml"), "--out", str(out)]
    recipe = ["selection.enabled=false", "accept_license=true", "tracking.trackers=[tensorboard]", *QUICK]
    result = CliRunner().invoke(cli.app, [*command, f"base={base}", *recipe])
    assert result.exit_code == 0, result.output
    assert "lora.alpha=3" in result.output and (out / "tune.md").read_text().count("\n") == 5
    best = TrainConfig.load(out / "best.yaml", ["person=ana"])
    assert best.lora.alpha == 3 and best.steps == 1
    assert best.tracking.trackers == ["tensorboard"] and not best.accept_license, "whoever takes it reads the licence"
    assert trackers == [[]] * 3, "a sweep's own runs are told to nobody"
    assert out.stat().st_mode & 0o077 == 0, "scores by name"
    report = json.loads((out / "tune.json").read_text())
    assert report["judged_by"] == "choosing" and len(report["cells"]) == 3
    assert len(asked) == 3 and len({frozenset(photos) for photos in asked}) == 1 and len(asked[0]) == 1
    ours = tune._judging(person, _kept(person, base, tmp_path), best, "reporting")
    assert len(ours) == 1 and not set(ours) & asked[0], "who chooses does not report"


def test_a_style_that_is_rewritten_is_another_measurement(tmp_path: Path) -> None:
    base, person = make_tiny_base(tmp_path / "base"), make_person(tmp_path / "people" / "zebulon")
    style = tmp_path / "mine.yaml"
    style.write_text((configs() / "styles" / "office.yaml").read_text())

    def keys() -> set[str]:
        scores = tune.ScorecardSettings(styles=[str(style)])
        values = tune.base_values(None, [f"base={base}", *QUICK])
        one = Sweep.parse({"variants": [{"name": "as it is"}]})
        wanted = tune.Comparison(one, values, [person], scores, "choosing", tmp_path)
        return {cell.key for cell in wanted.cells()}

    first = keys()
    assert keys() == first
    style.write_text(style.read_text().replace("{subject}", "{subject}, smiling", 1))
    assert not keys() & first


def _kept(person: Person, base: Path, folder: Path) -> Path:
    return train(TrainConfig.load(None, [f"person={person.folder}", f"base={base}", "selection.enabled=false", *QUICK]))


@pytest.mark.slow
def test_an_ablation_goes_its_whole_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two people of the cohort with their true photographs, on a base that draws noise: no faces, and all is said so."""
    base, out = make_tiny_base(tmp_path / "base"), tmp_path / "out"
    (tmp_path / "sweep.yaml").write_text(
        "variants: [{name: last checkpoint}, {name: selected checkpoint, set: {selection.enabled: true}}]\n"
    )
    command = ["--people", "2", "--count", "1", "--sweep", str(tmp_path / "sweep.yaml"), "--out", str(out)]
    settings = [f"base={base}", "selection.count=1", "selection.steps=1", *QUICK]
    assert ablate([*command, *settings]) == 0
    report = json.loads((out / "ablations.json").read_text())
    assert [row["variant"] for row in report["rows"]] == ["last checkpoint", "selected checkpoint"]
    assert [row["people"] for row in report["rows"]] == [2, 2] and report["judged_by"] == "reporting"
    assert report["rows"][1]["measures"]["likeness"] == {
        "mean": 0.0, "interval_95": {"low": 0.0, "high": 0.0}, "difference": 0.0,
        "difference_interval_95": {"low": 0.0, "high": 0.0},
    }  # fmt: skip
    before = sorted((path, path.stat().st_mtime_ns) for path in (out / "cells").iterdir())
    assert len(before) == 4
    assert ablate([*command, *settings]) == 0
    assert sorted((path, path.stat().st_mtime_ns) for path in (out / "cells").iterdir()) == before
    assert ablate([*command, *settings, "optim.lrr=1"]) == 2
    assert "optim.lr" in capsys.readouterr().err
