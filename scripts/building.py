"""What the scripts that make the shipped networks share: their command line, their accelerator, the digests of what they wrote."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, InitProcessGroupKwargs

from likeness import files

_PATIENCE = timedelta(hours=2)
"""For the processes that wait while the main one encodes."""


def command_line(description: str | None) -> argparse.ArgumentParser:
    """A parser of what all of them take; `overrides` are the settings given as key=value."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--people", type=Path, action="append", required=True, help="folder of rendered people")
    parser.add_argument("--work", type=Path, required=True, help="where the stages are kept")
    parser.add_argument("--out", type=Path, required=True, help="the finished network")
    parser.add_argument("overrides", nargs="*", help="settings as key=value")
    return parser


def begin(work: Path, mixed_precision: str, seed: int) -> Accelerator:
    """Makes `work`, seeds torch, and returns the accelerator of this process."""
    # Without being told, accelerate takes processes that torchrun started on CPUs for so many lone ones.
    accelerator = Accelerator(
        cpu=not torch.accelerator.is_available(),
        mixed_precision=mixed_precision,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
    )
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    return accelerator


def finish_base(folder: Path) -> None:
    """What a base is shipped with: configurations that do not say where on this machine it came from, and the digests."""
    for path in folder.glob("*/config.json"):
        config = files.read_json(path)
        if config.pop("_name_or_path", None) is not None:
            files.write_json(path, config)
    shipped = [path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors")]
    write_digests(folder, (path.relative_to(folder).as_posix() for path in shipped))


def write_digests(folder: Path, names: Iterable[str]) -> None:
    """SHA256SUMS of the named files of a folder, as `sha256sum -c` reads it."""
    lines = [f"{files.sha256(folder / name)}  {name}\n" for name in sorted(names)]
    files.write_text(folder / "SHA256SUMS", "".join(lines))
