"""scripts/evaluate_cohort.py goes its whole way, goes on from what is there, and leaves people to other processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from likeness import files
from likeness.cohort import cohort_names
from scripts.evaluate_cohort import main
from tests.tiny import make_tiny_base


@pytest.mark.slow
def test_it_goes_its_whole_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people on a base that draws noise: there are no faces, and all is said so."""
    # Noise is like nobody at any step; an earlier checkpoint is kept so that the last one is measured beside it.
    monkeypatch.setattr("training.selector.best", lambda *_: 0)
    base, out = make_tiny_base(tmp_path / "base"), tmp_path / "out"
    quick = [
        "steps=2",
        "batch_size=1",
        "lora.rank=4",
        "lora.alpha=4",
        "evaluation.every=0",
        "selection.enabled=true",
        "selection.every=1",
        "selection.count=1",
        "selection.steps=1",
    ]
    sizes = ["--people", "2", "--count", "1", "--headshots", "1"]
    command = [*sizes, "--out", str(out), f"base={base}", *quick]
    with files.claim(out / "results" / f"{cohort_names()[0]}.lock"):
        assert main(command) == 0
        assert "other processes" in capsys.readouterr().out and len(list((out / "results").glob("*.json"))) == 1
    assert main(command) == 0
    report = json.loads((out / "cohort.json").read_text(encoding="utf-8"))
    assert [(row["variant"], row["people"]) for row in report["rows"]] == [("selected", 2), ("last", 2)]
    assert all(row["measures"]["faces"]["mean"] == 0 for row in report["rows"])
    assert all(person["selection"]["step"] == 1 for person in report["people"].values())
    assert {path.name for path in (out / "people").glob("*/adapters/*")} == {"cohort", "cohort-last"}
    assert not list((out / "people").glob("*/runs/cohort")) and (out / "cohort.md").is_file()
    before = sorted((path, path.stat().st_mtime_ns) for path in (out / "results").glob("*.json"))
    main(command)
    assert sorted((path, path.stat().st_mtime_ns) for path in (out / "results").glob("*.json")) == before
    alone = ["--people", "1", "--count", "1", "--headshots", "1", "--out", str(tmp_path / "alone"), f"base={base}"]
    assert main([*alone, *quick, "selection.enabled=false"]) == 0
    report = json.loads((tmp_path / "alone" / "cohort.json").read_text(encoding="utf-8"))
    assert [row["variant"] for row in report["rows"]] == ["last"]
    assert not report["config"]["selection"]["enabled"] and report["people"][cohort_names()[0]]["selection"] is None
