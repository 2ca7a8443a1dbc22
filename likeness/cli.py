"""The ``likeness`` command: its groups, and how an error reaches the person at the keyboard."""

from __future__ import annotations

import os
import signal
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

import inference.commands
import likeness.commands
import training.commands
from likeness import __version__
from likeness.errors import LikenessError
from likeness.files import permitted
from training.signals import EXIT_INTERRUPTED, EXIT_KILLED, Interrupted

# Typer builds the command tree when called, so every heavy import waits inside the command that needs it.
app = typer.Typer(
    help="Learn one person's face from a handful of selfies and render headshots that are measurably that person.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
person_app = typer.Typer(help="Make and look at a person's folder.", no_args_is_help=True)
app.add_typer(person_app, name="person")
training.commands.register(app)
inference.commands.register(app)
likeness.commands.register(app)

FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="The person's folder, such as people/ana.")]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@person_app.command("create")
def create(
    folder: FolderArgument,
    who: Annotated[str, typer.Option(help="Who is in the photographs.")],
    basis: Annotated[str, typer.Option(help="On what basis: self, or written-release.")],
    when: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="When they agreed.", show_default="today")
    ] = None,
    note: Annotated[str, typer.Option(help="For instance where the written release is kept.")] = "",
    photos: Annotated[Path | None, typer.Option(help="A folder of photographs to copy in as selfies.")] = None,
) -> None:
    """Make a person's folder, with the consent without which nothing is trained or rendered."""
    from likeness.person import Consent, Person

    consent = Consent.parse(
        {"who": who, "basis": basis, "when": when.date() if when else date.today(), "note": note},
    )
    chosen = _photographs_in(photos) if photos else []
    person = Person.create(folder, consent, chosen)
    typer.echo(f"{person.folder} is there, with {len(chosen)} photographs.")
    if photos is None:
        typer.echo(f"Copy 10 to 20 photographs of this person alone into {person.selfies}.")
    typer.echo(f"Then: likeness check {person.folder}")


@person_app.command("show")
def show(folder: FolderArgument) -> None:
    """Print what a person's folder holds."""
    from likeness.person import Person

    person = Person.open(folder)
    consent = person.consent
    basis = f"{consent.basis}, given by {consent.who} on {consent.when}" if consent else "none"
    typer.echo(f"person     {person.name}")
    typer.echo(f"consent    {basis}")
    typer.echo(f"selfies    {len(person.selfie_files())}")
    typer.echo(f"adapters   {', '.join(path.name for path in person.adapter_folders()) or 'none'}")
    typer.echo(f"headshots  {_count(person.headshots)}")


@person_app.command("forget")
def forget(
    folder: FolderArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a person's folder: selfies, portraits, runs, adapters, headshots, consent. Their trainings and renders end."""
    from likeness.person import Person, regular_files

    person = Person.open(folder)
    if not yes:
        typer.confirm(f"Remove {person.folder} and all that is in it?", abort=True)
    links = person.links()
    person.forget()
    typer.echo(f"{person.folder} is gone.")
    for path, target in sorted(links.items()):
        typer.echo(f"Still there, for {path} was only a link to it: {target}")
    for path in regular_files(person.folder.absolute().parent):
        if path.suffix in (".json", ".csv", ".html"):
            try:
                if person.name in path.read_text("utf-8", "replace"):
                    typer.echo(f"Still named in {path}: remove it, or make it again.")
            except OSError:
                typer.echo(f"Perhaps still named in {path}, which could not be read.")


@app.command("demo")
def demo(
    into: Annotated[Path, typer.Option(help="The folder for everything that it makes.")] = Path("demo"),
    count: Annotated[int, typer.Option(min=1, help="Headshots of each style.")] = 2,
    setting: Annotated[list[str] | None, typer.Option(help="A setting of the training, such as steps=100.")] = None,
) -> None:
    """Take a bundled person, who does not exist, through everything: selfies, training, headshots, and how like they are."""
    from rich.console import Console

    from likeness.demo import demo as run

    try:
        run(into, count, setting or [], Console())
    except Interrupted as stop:
        typer.echo(f"stopped and saved at step {stop.step}; the same command goes on from there", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from stop


def _photographs_in(folder: Path) -> list[Path]:
    from likeness.images import SUFFIXES
    from likeness.person import regular_files

    photographs = [path for path in regular_files(folder) if path.suffix.lower() in SUFFIXES]
    if not photographs:
        remedy = f"Give one with files in it, no links or folders, that end in {', '.join(sorted(SUFFIXES))}"
        raise LikenessError("there are no photographs in this folder", remedy, folder)
    if left := sum(not path.name.startswith(".") for path in folder.iterdir()) - len(photographs):
        typer.echo(f"Not photographs, but links, folders or other files, and left where they are: {left}.")
    return photographs


def _count(folder: Path) -> int:
    """Of pictures with a record beside them, which a contact sheet has not."""
    pictures = {".png", ".jpg", ".webp"}
    return sum(path.suffix in pictures and path.with_suffix(".json").is_file() for path in folder.rglob("*"))


def main() -> None:
    """Runs the command; whatever goes wrong becomes one line on the error stream and an exit status.

    2: the user can put it right (LikenessError), 130: interrupted, 1: a fault of the programme. The variable
    LIKENESS_DEBUG=1 in the environment lets errors through with their traceback.
    """
    for ending in (signal.SIGTERM, signal.SIGHUP):  # a cluster that takes the machine away, a terminal that is closed
        if signal.getsignal(ending) == signal.SIG_DFL:  # not under nohup
            signal.signal(ending, _end)
    if os.environ.get("LIKENESS_DEBUG"):
        app()
    try:
        with permitted():
            app()
    except LikenessError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _complain("interrupted")
        sys.exit(EXIT_KILLED)
    except SystemExit as end:
        if end.code == EXIT_KILLED:  # newer releases of typer make that of a KeyboardInterrupt, and say nothing
            _complain("interrupted")
        raise
    except Exception as error:  # noqa: BLE001 - the last place where it can be told in one line
        what = " ".join(str(error).split())[:300] or "no message"
        _complain(f"{type(error).__name__}: {what}. This is a fault of Likeness: LIKENESS_DEBUG=1 shows where")
        sys.exit(1)


def _end(number: int, frame: object) -> None:
    """As Ctrl-C does. Launchers repeat themselves, and what is drawn is to be put in order in peace."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


def _complain(message: str) -> None:
    typer.secho("error: ", fg=typer.colors.RED, bold=True, nl=False, err=True)
    typer.echo(message, err=True)
