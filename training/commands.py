"""The commands of the training half: `likeness check`, `likeness prepare`, `likeness train`, `likeness config show`."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer


def register(app: typer.Typer) -> None:
    """Adds this half's commands to the command line."""
    app.command("check")(check)
    app.command("prepare")(prepare)
    app.command("train")(train)
    config = typer.Typer(help="Look at the settings of a training run.", no_args_is_help=True)
    config.command("show")(show_config)
    app.add_typer(config, name="config")


def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A person's folder, or any folder of photographs.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON and nothing else.")] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Write the verdicts as a picture; a person's own is always intake.jpg in prepared/."),
    ] = None,
) -> None:
    """Say which photographs can be learnt from, and what is wrong with the others.

    Exit status: 0 when the set can be trained on, also when some photographs were rejected (their number is in the report);
    1 when it cannot; 2 when the command itself was wrong.
    """
    from rich.console import Console

    from likeness.files import write_image, write_json
    from likeness.person import Person
    from training.intake import check as check_folder
    from training.intake_report import contact_sheet, print_report

    is_person = (path / "selfies").is_dir() or (path / "consent.json").is_file()
    person = Person.open(path) if is_person else None
    report = check_folder(person.selfies if person else path, progress=_progress)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        print_report(report, Console())
    pictures = [sheet] if sheet else []
    if person:
        Person.open(path)  # who was forgotten meanwhile is not to come back by what was seen of them
        write_json(person.prepared / "intake.json", report.to_json())
        pictures.append(person.prepared / "intake.jpg")
    for picture in pictures:
        if report.photos:
            write_image(picture, contact_sheet(report), quality=88)
            typer.echo(f"The verdicts as a picture: {picture}", err=True)
    if not report.ok:
        raise typer.Exit(1)


def prepare(
    folder: Annotated[Path, typer.Argument(metavar="PERSON", help="The person's folder, such as people/ana.")],
    resolution: Annotated[int, typer.Option(min=32, max=4096, help="Width of the portraits in pixels.")] = 256,
    shape: Annotated[Literal["square", "portrait"], typer.Option(help="square, or portrait: 4:5.")] = "square",
) -> None:
    """Cut the usable photographs to portraits with face masks and captions; training does this by itself."""
    from likeness.person import Person
    from training.prepare import load_portraits
    from training.prepare import prepare as prepare_person

    person = Person.open(folder)
    where = prepare_person(person, resolution, shape=shape, progress=_progress)
    portraits = load_portraits(person, resolution, shape)
    held_out = len({row["photo"] for row in portraits.select_columns(["photo", "split"]) if row["split"] == "held-out"})
    photos = len(set(portraits["photo"]))
    typer.echo(f"{len(portraits)} portraits of {photos} photographs, {held_out} of them held out: {where}")


Config = Annotated[
    Path | None,
    typer.Option(help="A YAML file of settings, such as configs/pocket.yaml.", show_default="the base's own"),
]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="key=value", help="Settings that override the file's.")]


def train(overrides: Overrides = None, config: Config = None) -> None:
    """Train an adapter in this one process; `accelerate launch train.py` does the same with as many as there are GPUs.

    Exit status: 0 when the adapter is written; 2 for a mistake; 75 when stopped and saved, to be gone on with.
    """
    from training.run import main

    given = ["--config", str(config)] if config else []
    raise typer.Exit(main([*given, *(overrides or [])]))


def show_config(
    overrides: Overrides = None,
    config: Config = None,
    meaning: Annotated[bool, typer.Option("--explain", help="Say above each setting what it means.")] = False,
) -> None:
    """Print every setting of a run as it would be used, as YAML; with --explain, what each means."""
    from likeness.settings import dump, explain
    from training.config import TrainConfig, usual_recipe

    given = overrides or []
    settings = TrainConfig.load(config or usual_recipe(given), given)
    typer.echo(explain(settings) if meaning else dump(settings).rstrip("\n"))


def _progress(files: Sequence[Path]) -> Iterable[Path]:
    """A bar on standard error, where there is somebody to see it."""
    from rich.console import Console
    from rich.progress import track

    return track(files, "Looking at the photographs", console=Console(stderr=True), transient=True)
