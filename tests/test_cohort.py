"""The cohort that is shipped is the one that was drawn, and is whole and balanced."""

from __future__ import annotations

import json
from collections import Counter

from PIL import Image

from likeness import resources
from scripts.portrait_world import people
from tests.shipped import recorded

FOLDER = resources.assets() / "cohort"
LIMIT = 16 * 1024 * 1024


def test_files_are_those_recorded() -> None:
    assert sum(path.stat().st_size for path in recorded(FOLDER)) <= LIMIT


def test_everybody_is_whole_and_who_the_plan_says() -> None:
    folders = sorted(path.parent for path in FOLDER.glob("*/person.json"))
    assert len(folders) == 48
    for number, folder in zip(people.cohort.numbers(), folders, strict=True):
        facts = json.loads((folder / "person.json").read_text(encoding="utf-8"))
        assert facts["identity"] == json.loads(json.dumps(people.who_is(number).asdict()))
        kinds = Counter(name.partition("_")[0] for name in facts["shots"])
        assert kinds == {"selfie": 12, "headshot": 4} and len(list(folder.glob("*.jpg"))) == 16
        assert all("landmarks" in shot and "words" not in shot for shot in facts["shots"].values())
    assert Image.open(folders[0] / "selfie_00.jpg").size == (384, 384)


def test_others_are_everybody_but_the_one() -> None:
    others = resources.cohort(2, but="p900003")
    assert len(others) == 47 and {len(paths) for paths in others} == {2}
    assert "p900003" not in {path.parent.name for paths in others for path in paths}
    assert len(resources.cohort_portraits("p900003")) == 4 and resources.cohort_portraits("ana") == []
