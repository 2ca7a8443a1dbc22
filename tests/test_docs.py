"""The pages against the code: what they name is there, and what they show can be read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from inference.styles import Style
from likeness.cli import app
from likeness.faces.onnx_embedder import Manifest
from likeness.families.variant import Variant
from likeness.settings import Settings, _keys
from likeness.yaml12 import parse_yaml
from training.config import TrainConfig
from training.sweep import Sweep

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("scripts/*/README.md"))]
EXAMPLES = [("measures.md", Manifest), ("rendering.md", Variant), ("rendering.md", Style), ("choosing.md", Sweep)]
OF_OTHERS = {"config_file", "num_processes", "num_machines", "machine_rank", "main_process_ip", "main_process_port"}
"""Options of accelerate; below those of torchrun, tensorboard, the Hub's program and Slurm."""
OF_OTHERS |= {"nproc_per_node", "logdir", "local-dir", "help", "gpus", "time", "signal", "wrap"}

pages = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def options(command: Any) -> Iterator[str]:
    yield from (name.removeprefix("--") for given in command.params for name in (*given.opts, *given.secondary_opts))
    for inner in getattr(command, "commands", {}).values():
        yield from options(inner)


def code(page: Path) -> str:
    """The spans and blocks of code, a line each."""
    text = page.read_text()
    blocks = re.findall(r"(?m)^(?: {4,}|```\w*\n)(.*)", text) + re.findall(r"(?ms)^```\w*\n(.*?)^```", text)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)])


@pages
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if not link.startswith("http")]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pages
def test_files_of_ours_that_are_named_are_there(page: Path) -> None:
    ours = re.findall(
        r"(?<![\w/<])((?:docs|configs|scripts|tests|training|inference|likeness)/[\w./-]+\.\w+)", code(page)
    )
    assert [name for name in ours if "NAME" not in name and "BASE" not in name and not (ROOT / name).exists()] == []


@pages
def test_settings_that_are_named_exist(page: Path) -> None:
    known = set(_keys(TrainConfig))
    groups = {key.partition(".")[0] for key in known if "." in key}
    named = re.findall(r"(?<![\w/.])([a-z_]+(?:\.[a-z_]+)+)(?=[=:\s,']|$)", code(page), re.MULTILINE)
    of_groups = {name for name in named if name.partition(".")[0] in groups and name.rpartition(".")[2] != "json"}
    assert of_groups <= known


@pages
def test_options_that_are_named_exist(page: Path) -> None:
    known = {*options(typer.main.get_command(app)), *OF_OTHERS}
    for script in ROOT.glob("scripts/**/*.py"):
        known |= set(re.findall(r'"--([a-z-]+)"', script.read_text()))
    known |= {"headshots", "selfies", "size", "supersample"}  # portrait_world's, which a loop adds
    assert set(re.findall(r"(?<![\w-])--([a-z][a-z_-]*)", page.read_text())) <= known


@pytest.mark.parametrize(("page", "settings"), EXAMPLES)
def test_one_of_a_page_s_examples_is_such_a_file(page: str, settings: type[Settings]) -> None:
    blocks = [
        parse_yaml(block) for block in re.findall(r"(?ms)^```yaml\n(.*?)^```", (ROOT / "docs" / page).read_text())
    ]
    (example,) = (block for block in blocks if set(block) <= set(settings.model_fields))
    settings.parse(example)


@pages
def test_python_can_be_parsed(page: Path) -> None:
    for block in re.findall(r"(?ms)^```python\n(.*?)^```", page.read_text()):
        compile(block, str(page), "exec")
