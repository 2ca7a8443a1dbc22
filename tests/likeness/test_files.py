import errno
import fcntl
import hashlib
import json
import os
import shutil
import threading
from datetime import date
from pathlib import Path

import pytest
from PIL import Image

from likeness import files
from likeness.errors import LikenessError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_writes_make_parents_replace_and_leave_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    files.write_text(path, "one")
    files.write_text(path, "zwei ü")
    assert path.read_text(encoding="utf-8") == "zwei ü"
    assert names(path.parent) == {"b.txt"}
    assert files.sha256(path) == hashlib.sha256("zwei ü".encode()).hexdigest()


def test_a_written_file_follows_the_umask(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "a", b"1")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_json_is_readable_by_people_and_strict_readers(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"who": "Zoë", "when": date(2026, 11, 23), "where": Path("x")})
    text = path.read_text(encoding="utf-8")
    assert "Zoë" in text
    assert json.loads(text) == {"who": "Zoë", "when": "2026-11-23", "where": "x"}
    with pytest.raises(ValueError):
        files.write_json(path, float("nan"))
    assert path.read_text(encoding="utf-8") == text


def test_images_are_written_in_the_format_of_their_suffix(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 4), "red")
    files.write_image(tmp_path / "a.jpg", picture, quality=95)
    with Image.open(tmp_path / "a.jpg") as again:
        assert again.format == "JPEG"
    with pytest.raises(LikenessError, match=r"a\.xyz: pictures are not written as \.xyz"):
        files.write_image(tmp_path / "a.xyz", picture)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_refused_write_is_one_line_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(LikenessError) as caught:
        files.write_text(path, "new")
    assert str(caught.value).startswith(f"{path}: cannot be written: {os.strerror(number).lower()}. ")
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_an_error_inside_a_new_folder_names_the_one_that_was_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(LikenessError, match="no space left") as caught, files.new_folder(tmp_path / "x") as folder:
        files.write_json(folder / "state.json", {})
    assert caught.value.path == tmp_path / "x", "the hidden one is gone by then"


def test_a_really_full_device_is_explained() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    full = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 - opening is not what fails
    with full, pytest.raises(LikenessError, match="no space left on device. Free some"), files.explained(Path("x")):
        full.write(b"1")


def test_a_file_where_a_folder_should_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(LikenessError, match="cannot be written"):
        files.write_text(tmp_path / "a" / "b", "")
    with pytest.raises(LikenessError, match="cannot be read"):
        files.sha256(tmp_path / "absent")


def test_new_folder_appears_whole_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "step-1"
    for content in ("one", "two"):
        with files.new_folder(target) as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / "a").write_text(content)
            if content == "two":
                assert (target / "sub" / "a").read_text() == "one"
    assert (target / "sub" / "a").read_text() == "two"
    assert names(target.parent) == {"step-1"}


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_new_folder_leaves_nothing_when_the_block_fails(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), files.new_folder(tmp_path / "x") as folder:
        (folder / "half").write_text("")
        raise error
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_new_folder_explains_a_full_disk_and_keeps_the_old(tmp_path: Path, error: Exception) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(LikenessError, match="no space left on device"), files.new_folder(tmp_path / "x"):
        raise error
    assert names(tmp_path) == {"x"}


def test_new_folder_puts_the_old_one_back_when_the_last_rename_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x"
    target.mkdir()
    (target / "old").touch()
    real = os.rename

    def rename(source: Path, destination: Path) -> None:
        if destination == target and not (source / "old").exists():
            raise OSError(errno.EIO, "fault")
        real(source, destination)

    monkeypatch.setattr("os.rename", rename)
    with pytest.raises(LikenessError), files.new_folder(target):
        pass
    assert names(target) == {"old"}
    assert names(tmp_path) == {"x"}


def test_a_claim_is_one_holders_alone_until_it_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    with files.claim(path) as mine, files.claim(path) as others:
        assert mine and not others
    waited = []

    def wait() -> None:
        with files.claim(path, wait=True) as got:
            waited.append(got)

    with files.claim(path) as mine:
        assert mine
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive() and not waited
    waiting.join(10)
    assert waited == [True]


def test_a_file_system_without_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Lustre is where it is mounted without flock."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(LikenessError, match="cannot be locked.*Mount"), files.claim(tmp_path / "lock"):
        pytest.fail("nobody holds it")


def test_leftovers_of_killed_writes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel leaves them: nothing runs after a kill. Names that are cut in them cannot be told apart."""

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    long = "a" * 40
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        for name in ("run", "run-2", long):
            with pytest.raises(Killed), files.new_folder(tmp_path / name) as inside:
                (inside / "half").write_text("half")
        with pytest.raises(Killed):
            files.write_text(tmp_path / "inside" / "file", "half")
    assert len(list(tmp_path.rglob(".*.tmp"))) == 4
    files.remove_leftovers(tmp_path, "run")
    files.remove_leftovers(tmp_path, long)
    assert sorted(path.name.split(".")[1] for path in tmp_path.rglob(".*.tmp")) == [long, "file", "run-2"]
    files.remove_leftovers(tmp_path)
    files.remove_leftovers(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == [tmp_path / "inside"] and not list((tmp_path / "inside").iterdir())


def test_json_that_is_nested_too_deeply_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="too deeply"):
        files.read_json(tmp_path / "deep.json")


def test_a_name_that_a_terminal_would_obey_is_shown_without() -> None:
    assert files.shown(Path("a\x1b]52;c;x\x07\nb é.jpg")) == "a\ufffd]52;c;x\ufffd\ufffdb é.jpg"
