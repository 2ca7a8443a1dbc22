"""The house's plan, held by a test: who may import whom, and how long a file may grow."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("likeness", "training", "inference", "scripts")
MAY_IMPORT = {
    "likeness": {"likeness"},
    "inference": {"inference", "likeness"},
    "training": {"training", "likeness"},
    "scripts": {"scripts", "training", "inference", "likeness"},
}
# What joins both halves for a person at the keyboard, and training's sample renders.
JOINS = {"likeness/cli.py", "likeness/demo.py", "likeness/tune.py", "likeness/__main__.py"}
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            rooms.add(node.module.split(".")[0])
    return rooms & set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_from_the_rooms_that_its_room_may(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    if name not in JOINS:
        assert imported_rooms(path) <= MAY_IMPORT[name.split("/")[0]]


def test_nothing_grows_past_300_lines() -> None:
    long = {path.name: lines for path in FILES if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300}
    assert not long


def test_families_do_not_repeat_each_other() -> None:
    """Two family files share less than a third of their lines (blank ones, comments and imports aside)."""
    own = {}
    for path in sorted((ROOT / "likeness" / "families").glob("*.py")):
        if path.name in ("__init__.py", "autoencoder.py", "base.py", "flow.py", "qwen3.py", "schedule.py", "source.py"):
            continue
        lines = {line.strip() for line in path.read_text(encoding="utf-8").splitlines()}
        own[path.name] = {line for line in lines if line and not line.startswith(("#", "import", "from"))}
    for a, lines in own.items():
        for b, others in own.items():
            assert a == b or len(lines & others) < len(lines) / 3, f"{a} repeats {b}"
