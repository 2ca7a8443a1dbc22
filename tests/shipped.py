"""What ships as data, against the sums that were recorded when it was made."""

import hashlib
from pathlib import Path


def recorded(folder: Path) -> list[Path]:
    """The files that SHA256SUMS in a folder names: all that are there but itself and README.md, and each as it was recorded."""
    lines = (folder / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there - {"SHA256SUMS", "README.md"} == set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    return [folder / name for name in sums]
