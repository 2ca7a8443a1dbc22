"""`likeness check` and `likeness prepare` as a person and a script meet them."""

import json
import os
import shutil
from datetime import date

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from likeness.person import Consent, Person
from tests import photos
from training.commands import register

APP = typer.Typer()
register(APP)
RUN = CliRunner()


@pytest.fixture
def person(tmp_path):
    made = Person.create(tmp_path / "ana", Consent(who="Nobody", basis="self", when=date(2026, 1, 1)))
    for path in photos.selfies(photos.people()[0])[:5]:
        shutil.copy(path, made.selfies)
    (made.selfies / "words.jpg").write_text("no picture")
    return made


def test_a_usable_person_with_a_rejected_photo_is_status_0_and_leaves_a_sheet(person):
    result = RUN.invoke(APP, ["check", str(person.folder)])
    assert result.exit_code == 0, result.output
    assert "not a picture" in result.output and "5 of 6" in result.output
    assert Image.open(person.prepared / "intake.jpg").width > 500
    assert json.loads((person.prepared / "intake.json").read_text())["accepted"] == 5


def test_an_unusable_folder_is_status_1_and_json_is_only_json(tmp_path):
    (tmp_path / "words.jpg").write_text("no picture")
    result = RUN.invoke(APP, ["check", str(tmp_path), "--json", "--sheet", str(tmp_path / "sheet.png")])
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert not report["ok"]
    assert report["photos"][0]["code"] == "not-an-image"
    assert report["findings"][0]["code"] == "too-few"
    assert (tmp_path / "sheet.png").is_file()


def test_prepare_says_what_it_made(person):
    result = RUN.invoke(APP, ["prepare", str(person.folder), "--resolution", "32"])
    assert result.exit_code == 0, result.output
    assert "of 5 photographs, 1 of them held out" in result.output


def test_a_file_whose_name_is_not_text_is_a_finding_of_its_own(person):
    (person.selfies / os.fsdecode(b"Jos\xe9.jpg")).write_bytes(photos.selfies(photos.people()[0])[5].read_bytes())
    result = RUN.invoke(APP, ["check", str(person.folder), "--json"])
    assert result.exit_code == 0, result.output
    (found,) = [photo for photo in json.loads(result.stdout)["photos"] if photo["code"] == "unreadable-name"]
    assert found["file"] == "Jos\ufffd.jpg" and found["verdict"] == "rejected" and "Rename" in found["remedy"]
    assert json.loads((person.prepared / "intake.json").read_text())["accepted"] == 5
    result = RUN.invoke(APP, ["check", str(person.folder)])
    assert result.exit_code == 0 and "Jos\ufffd.jpg" in result.output
    result = RUN.invoke(APP, ["prepare", str(person.folder), "--resolution", "32"])
    assert result.exit_code == 0 and "of 5 photographs" in result.output


def test_who_is_forgotten_while_their_photographs_are_looked_at_does_not_come_back(person, monkeypatch):
    from training import intake

    look = intake.check

    def looked_at_and_forgotten(folder, **options):
        report = look(folder, **options)
        shutil.rmtree(person.folder)
        return report

    monkeypatch.setattr(intake, "check", looked_at_and_forgotten)
    assert RUN.invoke(APP, ["check", str(person.folder)]).exit_code
    assert not person.folder.exists()
