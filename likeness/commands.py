"""The commands about adapters and bases: `likeness export`, `likeness tune`, `likeness bases`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds these commands to the command line."""
    app.command("export")(export)
    app.command("tune")(tune)
    app.command("bases")(bases)


def export(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="An adapter's folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write, NAME.safetensors.")],
    format: Annotated[str, typer.Option(help="diffusers, kohya (SD 1.5, SDXL) or comfyui.")] = "comfyui",
) -> None:
    """Write an adapter under the names that another program reads, its trigger words and licence in the header."""
    from likeness.lora_export import export as write

    typer.echo(f"Adapter as {format} reads it: {write(adapter, format, out)}")


def tune(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="key=value", help="Settings that override the file's.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The recipe to begin from.", show_default="the base's own")
    ] = None,
    sweep: Annotated[
        Path | None, typer.Option(help="What to try (YAML).", show_default="configs/sweeps/small.yaml")
    ] = None,
    person: Annotated[list[Path] | None, typer.Option(help="A person's folder; may be given several times.")] = None,
    cohort: Annotated[int, typer.Option(min=1, help="People of the bundled cohort, where no person is given.")] = 3,
    out: Annotated[Path, typer.Option(help="Where everything goes that it makes.")] = Path("outputs/tune"),
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each variant and person.")] = 1,
    count: Annotated[int, typer.Option(min=1, help="Pictures in each of four styles to score an adapter by.")] = 2,
) -> None:
    """Train variants of a recipe on several people, score the adapters, and write the best as a recipe.

    Started again it goes on: what is done is not done again. Exit status: 75 when it was stopped in the middle.
    """
    from rich.console import Console

    from likeness import resources
    from likeness import tune as tuning
    from likeness.person import Person

    wanted = tuning.Comparison(
        sweep=tuning.Sweep.load(sweep or resources.configs() / "sweeps" / "small.yaml"),
        base=tuning.base_values(config, overrides or []),
        people=[Person.open(path) for path in person] if person else tuning.cohort_sample(cohort, out / "people"),
        scores=tuning.ScorecardSettings(count=count),
        judges="choosing",
        out=out,
        seeds=seeds,
    )
    try:
        chosen = tuning.tune(wanted, Console())
    except (tuning.Interrupted, KeyboardInterrupt) as stop:
        typer.echo("stopped and saved; the same command goes on from there", err=True)
        raise typer.Exit(tuning.EXIT_INTERRUPTED) from stop
    typer.echo((out / "tune.md").read_text(encoding="utf-8"))
    typer.echo(f"The best of them is {chosen!r}: {out / 'best.yaml'}")


def bases(as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False) -> None:
    """List base models: family, size, licence, the memory to train and render with them, and the default recipe."""
    import json

    from rich.console import Console

    from likeness.bases_command import report, table

    records = report()
    if as_json:
        typer.echo(json.dumps(records, indent=2))
        return
    pocket = "pocket (comes with Likeness, 256 px, apache-2.0, configs/pocket.yaml) runs on any CPU."
    notes = [
        "Memory is computed, not measured, at the base's own size: the least that bf16 takes, and in brackets with everything",
        "frozen in 4 bits (nf4). In training that is gradient checkpointing with a step's batch in as many rounds as it has",
        "pictures (with gradient_accumulation=4), in rendering one picture at once (--batch 1). As they are shipped,",
        "recipes and rendering take more: docs/memory.md has that, the other ways and sizes.",
        "* to be accepted: accept_license=true in training, --accept-license elsewhere.",
        pocket,
    ]
    console = Console(width=None if Console().is_terminal else 160)
    console.print(table(records))
    for line in notes:
        typer.echo(line)
