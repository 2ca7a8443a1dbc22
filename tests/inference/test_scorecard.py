"""An adapter's numbers are those of its pictures, which are given here instead of drawn."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from inference import certificate, scorecard, subjects
from inference.scorecard import Scorecard, ScorecardSettings
from likeness import files, resources
from likeness.adapter_file import INFO_FILE, LORA_FILE
from likeness.errors import LikenessError
from likeness.faces import FaceFinder, embedder
from likeness.person import Person
from tests import photos
from tests.inference.people import make_person

OWN, STRANGER = "p900012", "p900008"


class Given:
    """A renderer that gives pictures in order, small as the pocket base's are."""

    pictures: tuple[Image.Image, ...] = ()

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def stream(self, jobs: list[Any], *_: Any) -> Iterator[Image.Image]:
        assert len({job.seed for job in jobs}) == len(jobs) == len(self.pictures)
        yield from self.pictures


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Trained on ten of twelve selfies; the other two judge."""
    return make_person(tmp_path_factory.mktemp("people") / "ana", resources.assets() / "cohort" / OWN)


def test_means_are_over_all_pictures_also_those_without_a_face(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    portraits = [Image.fromarray(photos.pixels(path)) for path in resources.cohort_portraits(OWN)[:2]]
    stranger = Image.fromarray(photos.pixels(resources.cohort_portraits(STRANGER)[0]))
    selfie = Image.fromarray(photos.pixels(person.selfie_files()[0]))
    monkeypatch.setattr(Given, "pictures", (*portraits, stranger, selfie, Image.new("RGB", (128, 128), "grey")))
    monkeypatch.setattr(scorecard, "Renderer", Given)
    others = resources.cohort(each=2, but=OWN)[::8] + [photos.selfies(resources.assets() / "cohort" / STRANGER)[:2]]
    monkeypatch.setattr(resources, "cohort", lambda each, but="": others)
    adapter, judging = person.adapters / "first", [files.sha256(path) for path in person.selfie_files()[-2:]]
    card = Scorecard(ScorecardSettings(styles=["office"], count=5))
    found = card.measure(person, adapter, judging)
    assert set(found) == {"likeness", "copying", "faces", "rank_1", "yield"}
    assert found["faces"] == 0.8
    assert found["rank_1"] == 0.6  # the stranger is liker to that one
    assert found["yield"] == 0.6  # not the copy, nor what is no face; who is not recognised is only warned of
    assert 0.4 < found["likeness"] < 0.75
    assert found["copying"] == pytest.approx(0.2, abs=0.03)
    assert card.measure(person, adapter, judging) == found


def test_the_recogniser_that_trained_does_not_report(person: Person) -> None:
    """Neither in a scorecard, nor in a certificate, nor in an audit."""
    adapter, recogniser = person.adapters / "first", embedder("dlib")
    record = adapter / INFO_FILE
    before = record.read_text(encoding="utf-8")
    files.write_json(record, json.loads(before) | {"trained_by": recogniser.id})
    try:
        for report in (
            lambda: Scorecard(ScorecardSettings()).measure(person, adapter, []),
            lambda: certificate.certify(person, adapter),
            lambda: subjects.measure(person, adapter, FaceFinder(), recogniser, {}),
        ):
            with pytest.raises(LikenessError, match="trained to be like the person in the eyes of dlib-resnet-v1"):
                report()
    finally:
        record.write_text(before, encoding="utf-8")


def test_who_was_trained_on_does_not_judge(person: Person) -> None:
    trained = files.sha256(person.selfie_files()[0])
    with pytest.raises(LikenessError, match="trained on photographs that are to judge"):
        Scorecard(ScorecardSettings()).measure(person, person.adapters / "first", [trained])


def test_an_adapter_made_elsewhere_is_not_measured(person: Person, tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign" / LORA_FILE)
    with pytest.raises(LikenessError, match="made elsewhere"):
        Scorecard(ScorecardSettings()).measure(person, tmp_path / "foreign", [])
