import os
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from likeness import files
from likeness.errors import LikenessError
from likeness.person import Consent, Person

AGREED = Consent(who="Ana", basis="self", when=date(2026, 11, 23))


@pytest.fixture
def ana(tmp_path: Path) -> Person:
    return Person.create(tmp_path / "people" / "ana", AGREED)


def test_create_then_open(ana: Person) -> None:
    again = Person.open(ana.folder)
    assert again.name == "ana"
    assert again.consent == AGREED == again.require_consent()
    assert again.selfies.is_dir()
    assert not again.adapters.exists()
    assert ana.folder.stat().st_mode & 0o077 == 0


def test_every_room_is_inside_the_folder(ana: Person) -> None:
    rooms = [ana.selfies, ana.prepared, ana.cache, ana.runs, ana.adapters, ana.headshots]
    assert {room.parent for room in rooms} == {ana.folder}
    assert len(set(rooms)) == 6


def test_consent_that_is_still_to_come_is_none(tmp_path: Path) -> None:
    with pytest.raises(LikenessError, match="cannot be still to come"):
        Consent.parse({"who": "Ana", "basis": "self", "when": "2999-01-01"})
    Consent.parse({"who": "Ana", "basis": "self", "when": date.today() + timedelta(days=1)})  # east of here


def test_a_home_is_found_whoever_expands_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Person.create(Path("~/ana"), AGREED)
    assert Person.open(Path("~/ana")).folder == tmp_path / "ana" and (tmp_path / "ana" / "consent.json").is_file()


def test_a_second_consent_is_refused(ana: Person) -> None:
    with pytest.raises(LikenessError, match="exists already"):
        Person.create(ana.folder, AGREED)


def test_a_folder_made_by_hand_is_completed(tmp_path: Path) -> None:
    (tmp_path / "bo" / "selfies").mkdir(parents=True)
    with pytest.raises(LikenessError, match=r"likeness person create .*bo --who .* --basis self"):
        Person.open(tmp_path / "bo").require_consent()
    assert Person.create(tmp_path / "bo", AGREED).require_consent() == AGREED


@pytest.mark.parametrize("name", ["Ana", "..", "a b", "-a", "ä", "a" * 65, "a.b", "a\n"])
def test_bad_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(LikenessError, match="cannot be a person's folder name"):
        Person.create(tmp_path / name, AGREED)
    with pytest.raises(LikenessError, match="cannot be a person's folder name"):
        Person.open(tmp_path / name)


def test_an_absent_person(tmp_path: Path) -> None:
    with pytest.raises(LikenessError, match="no such home"):
        Person.open(Path("~nobody-of-that-name/ana"))
    with pytest.raises(LikenessError, match="no such person"):
        Person.open(tmp_path / "ana")


def test_links_are_refused(ana: Person, tmp_path: Path) -> None:
    (tmp_path / "bo").symlink_to(ana.folder)
    for use in (lambda: Person.open(tmp_path / "bo"), lambda: Person.create(tmp_path / "bo", AGREED)):
        with pytest.raises(LikenessError, match="is a link"):
            use()
    ana.cache.symlink_to(tmp_path)
    with pytest.raises(LikenessError, match="is a link"):
        _ = ana.cache


def test_damaged_consent_is_one_line(ana: Person) -> None:
    record = ana.folder / "consent.json"
    record.write_text("{")
    with pytest.raises(LikenessError, match="not readable JSON"):
        ana.require_consent()
    record.write_text('{"who": "Ana", "basis": "rumour", "when": "2026-11-23"}')
    with pytest.raises(LikenessError, match="Expected: 'self' or 'written-release'"):
        ana.require_consent()
    record.write_text("[]")
    with pytest.raises(LikenessError, match=r"consent\.json"):
        ana.require_consent()


def test_selfies_are_all_visible_regular_files(ana: Person, tmp_path: Path) -> None:
    for name in ("b.jpg", "a.txt", ".hidden.jpg", "c.heic"):
        (ana.selfies / name).touch()
    (ana.selfies / "folder").mkdir()
    (tmp_path / "elsewhere.jpg").touch()
    (ana.selfies / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (ana.selfies / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(ana.selfies / "pipe")
    assert [path.name for path in ana.selfie_files()] == ["a.txt", "b.jpg", "c.heic"]


def test_no_selfies_folder_means_no_selfies(ana: Person) -> None:
    ana.selfies.rmdir()
    assert ana.selfie_files() == []


def test_adapters_by_name_and_newest(ana: Person, tmp_path: Path) -> None:
    with pytest.raises(
        LikenessError, match=r"no adapter yet. Train one: likeness train --config configs/pocket.yaml person="
    ):
        ana.adapter()
    for age, name in enumerate(["second", "first", ".hidden.tmp"]):
        (ana.adapters / name).mkdir(parents=True)
        os.utime(ana.adapters / name, ns=(10**9 * age, 10**9 * age))
    os.utime(ana.adapters / "second", ns=(10**12, 10**12))
    (ana.adapters / "notes.txt").touch()
    assert ana.adapter().name == "second"
    assert ana.adapter("first") == ana.adapters / "first"
    with pytest.raises(LikenessError, match="no adapter 'third'. There are: first, second"):
        ana.adapter("third")
    with pytest.raises(LikenessError, match="cannot be an adapter's name"):
        ana.adapter("../../bo/adapters/first")
    (ana.adapters / "link").symlink_to(tmp_path)
    with pytest.raises(LikenessError, match="is a link"):
        ana.adapter("link")


def test_photographs_whose_names_are_not_text_are_renamed_as_they_are_copied(tmp_path: Path) -> None:
    """As a camera or an older system wrote them; nobody's photograph is overwritten by another's."""
    names = [b"Jos\xe9.jpg", b"Jos\xe8.jpg", b"Jos_.jpg", "José.jpg".encode(), b"a.jpg"]
    photos = [tmp_path / os.fsdecode(name) for name in names]
    for number, photo in enumerate(photos):
        photo.write_bytes(bytes([number]))
    person = Person.create(tmp_path / "ana", AGREED, iter(photos))
    found = {path.name: path.read_bytes()[0] for path in person.selfie_files()}
    assert found == {"Jos_-2.jpg": 0, "Jos_-3.jpg": 1, "Jos_.jpg": 2, "José.jpg": 3, "a.jpg": 4}


def test_a_folder_made_by_hand_is_closed_to_others_too(tmp_path: Path) -> None:
    (tmp_path / "bo").mkdir(mode=0o755)
    assert Person.create(tmp_path / "bo", AGREED).folder.stat().st_mode & 0o077 == 0


def test_consent_goes_before_all_else(ana: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way looks for it before it writes, while a large folder is still being removed."""
    there, remove = [], shutil.rmtree

    def removed(folder: Path, ignore_errors: bool = False) -> None:
        there.append((folder / "consent.json").exists())
        remove(folder, ignore_errors)

    monkeypatch.setattr("likeness.person.shutil.rmtree", removed)
    monkeypatch.setattr("likeness.person.time.sleep", lambda seconds: None)
    ana.forget()
    assert there == [False]


def test_who_is_forgotten_is_gone_also_when_somebody_was_writing(ana: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def written_meanwhile(seconds: float) -> None:
        monkeypatch.setattr("likeness.person.time.sleep", lambda seconds: None)
        files.write_text(ana.runs / "first" / "late.txt", "late")

    monkeypatch.setattr("likeness.person.time.sleep", written_meanwhile)
    ana.forget()
    assert not ana.folder.exists()


def test_links_that_lead_out_of_the_folder_are_known(ana: Person, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    ana.runs.mkdir()
    (ana.runs / "big").symlink_to(tmp_path / "scratch")
    (ana.runs / "gone").symlink_to(tmp_path / "nothing")
    (ana.runs / "inside").symlink_to(ana.selfies)
    assert ana.links() == {ana.runs / "big": (tmp_path / "scratch").resolve()}
