import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image

from likeness import cli, files
from likeness.errors import LikenessError
from likeness.person import Person

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """What the command sets is its own process's matter, which here is the tests'; these may run under nohup, too."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of ``likeness`` with these arguments, run in this process."""
    monkeypatch.setattr(sys, "argv", ["likeness", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def failing(error: BaseException) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command() -> None:
        raise error

    return app


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.JPG"):
        Image.new("RGB", (8, 8)).save(folder / name)
    (folder / "notes.txt").touch()
    return folder


def test_create_then_show(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ana = tmp_path / "people" / "ana"
    options = ["--who", "Ana", "--basis", "self", "--when", "2026-11-01", "--photos", str(photos)]
    (photos / "more").mkdir()
    (photos / "link.jpg").symlink_to(photos / "a.jpg")
    assert run(monkeypatch, "person", "create", str(ana), *options) == 0
    assert "links, folders or other files, and left where they are: 3." in capsys.readouterr().out
    assert [path.name for path in Person.open(ana).selfie_files()] == ["a.jpg", "b.JPG"]
    for name in ("1.png", "1.json", "sheet.jpg"):  # a headshot with its record, and the contact sheet
        (ana / "headshots" / "run").mkdir(parents=True, exist_ok=True)
        (ana / "headshots" / "run" / name).touch()
    assert json.loads((ana / "consent.json").read_text())["when"] == "2026-11-01"
    capsys.readouterr()
    assert run(monkeypatch, "person", "show", str(ana)) == 0
    shown = capsys.readouterr().out
    assert "self, given by Ana on 2026-11-01" in shown
    assert "selfies    2" in shown and "headshots  1" in shown


def test_a_person_who_was_half_made_is_completed(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["person", "create", str(tmp_path / "ana"), "--who", "Ana", "--basis", "self", "--photos", str(photos)]
    write = files.write_bytes

    def refuse(path: Path, data: bytes) -> None:
        if path.name == "b.JPG":
            raise LikenessError("cannot be written: no space left on device", "Free some space", path)
        write(path, data)

    with monkeypatch.context() as full:
        full.setattr("likeness.person.write_bytes", refuse)
        assert run(monkeypatch, *options) == 2
    assert "no space left" in capsys.readouterr().err and Person.open(tmp_path / "ana").consent is None
    assert run(monkeypatch, *options) == 0
    assert len(Person.open(tmp_path / "ana").selfie_files()) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--who", "Ana", "--basis", "rumour"], "Expected: 'self' or 'written-release'"),
        (["--who", "", "--basis", "self"], "Expected: String should have at least 1 character"),
        (["--who", "Ana", "--basis", "self", "--photos", "absent"], "absent: cannot be read"),
    ],
)
def test_a_person_is_made_wholly_or_not_at_all(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "person", "create", "people/ana", *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "people").exists()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_ends_as_by_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, ending: signal.Signals
) -> None:
    """So that what a render has drawn is ranked and listed, also where a cluster takes the machine away."""
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command() -> None:
        os.kill(os.getpid(), ending)
        time.sleep(10)

    monkeypatch.delenv("LIKENESS_DEBUG", raising=False)
    monkeypatch.setattr(cli, "app", app)
    assert run(monkeypatch) == 130


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (LikenessError("no such thing", "Make one", Path("people/ana")), 2, "people/ana: no such thing. Make one"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            PermissionError(13, "Permission denied", "ana/consent.json"),
            2,
            "ana/consent.json: cannot be entered or read: perm",
        ),
        (ZeroDivisionError("division\nby zero"), 1, "ZeroDivisionError: division by zero. This is a fault of"),
    ],
)
def test_errors_are_one_line_and_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, status: int, message: str
) -> None:
    monkeypatch.delenv("LIKENESS_DEBUG", raising=False)
    monkeypatch.setattr(cli, "app", failing(error))
    assert run(monkeypatch) == status
    written = capsys.readouterr().err
    assert message in written
    assert written.count("\n") <= 1
    assert "Traceback" not in written


def test_debugging_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_DEBUG", "1")
    monkeypatch.setattr(cli, "app", failing(LikenessError("no such thing")))
    monkeypatch.setattr(sys, "argv", ["likeness"])
    with pytest.raises(LikenessError):
        cli.main()


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_module_is_the_command() -> None:
    done = python("-m", "likeness", "person", "show", "people/There Is None")
    assert done.returncode == 2
    assert done.stderr.startswith("error: 'There Is None' cannot be")


def test_help_loads_nothing_heavy() -> None:
    """The modules that matter are named; the time is only kept from running away, for machines differ."""
    code = (
        "import sys, likeness.cli as cli; sys.argv = ['likeness', '--help']\n"
        "try: cli.main()\n"
        "finally: print('LOADED', [m for m in ('torch', 'diffusers', 'cv2', 'datasets', 'wandb') if m in sys.modules])"
    )
    start = time.perf_counter()
    done = python("-c", code)
    assert "LOADED []" in done.stdout
    assert "person" in done.stdout
    assert time.perf_counter() - start < 10


def names(app: typer.Typer) -> set[str]:
    def name_of(callback: Callable[..., object] | None) -> str:
        return callback.__name__ if callback else ""

    return {command.name or name_of(command.callback) for command in app.registered_commands}


def test_both_halves_are_mounted() -> None:
    assert {"check", "prepare", "train"} <= names(cli.app)
    assert {"render", "styles", "demo"} <= names(cli.app)


def test_who_is_forgotten_is_gone_and_where_they_are_still_named_is_said(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ana = tmp_path / "people" / "ana"
    run(monkeypatch, "person", "create", str(ana), "--who", "Ana", "--basis", "self", "--photos", str(photos))
    (ana.parent / "labels.json").write_text('{"ana": {"skin": "light"}}')
    monkeypatch.setattr("typer.confirm", lambda question, abort: (_ for _ in ()).throw(typer.Abort))
    assert run(monkeypatch, "person", "forget", str(ana)) == 1 and ana.is_dir()
    assert run(monkeypatch, "person", "forget", str(ana), "--yes") == 0 and not ana.exists()
    assert "labels.json: remove it" in " ".join(capsys.readouterr().out.split())
    run(monkeypatch, "person", "create", str(ana), "--who", "Ana", "--basis", "self", "--photos", str(photos))
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(PermissionError("mine")))
    assert run(monkeypatch, "person", "forget", str(ana), "--yes") == 0 and not ana.exists()
    assert "could not be read" in " ".join(capsys.readouterr().out.split())
