"""The commands about adapters and bases: `likeness export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds these commands to the command line."""
    app.command("export")(export)


def export(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="An adapter's folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write, NAME.safetensors.")],
    format: Annotated[str, typer.Option(help="diffusers, kohya (SD 1.5, SDXL) or comfyui.")] = "comfyui",
) -> None:
    """Write an adapter under the names that another program reads, its trigger words and licence in the header."""
    from likeness.lora_export import export as write

    typer.echo(f"Adapter as {format} reads it: {write(adapter, format, out)}")
