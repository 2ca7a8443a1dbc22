"""The commands of the rendering half: `likeness render`, `likeness styles`, `likeness verify`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Adds this half's commands to the command line."""
    app.command("styles")(styles)


def styles() -> None:
    """List the headshot styles and what can be chosen in each."""
    from inference.styles import SLOTS, load_styles

    for name, style in load_styles().items():
        typer.secho(f"{name}", bold=True, nl=False)
        typer.echo(f"  {style.description}")
        for slot in SLOTS:
            if slot in style.slots:
                others = [option for option in style.slots[slot].options if option != style.slots[slot].default]
                typer.echo(f"  {'--' + slot:<13} {' | '.join([style.slots[slot].default, *others])}")
    typer.echo("The first of each is taken unless you give another, or words of your own.")
