"""What is installed: the lock against the declared dependencies, and the content of the wheel."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from likeness.families.source import DIFFUSERS

ROOT = Path(__file__).parents[1]
LOCKED_EXTRAS = ("heic", "credentials", "recogniser", "dev")


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in pins)
    return {canonicalize_name(name): version for name, version in pins}


def test_the_lock_holds_every_dependency_in_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [line for extra in LOCKED_EXTRAS for line in extras[extra]]
    pins = locked()
    for line in wanted:
        requirement = Requirement(line)
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, line


def test_the_error_about_an_old_diffusers_names_the_release_that_is_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"diffusers>={DIFFUSERS}" in project["dependencies"]


def test_the_lock_brings_no_cuda() -> None:
    assert locked()["torch"] == "2.13.0"
    assert not [name for name in locked() if name.startswith(("nvidia", "cuda", "triton", "torchvision"))]


@pytest.mark.parametrize("file", ["requirements.lock", "Makefile", "pyproject.toml", ".ci/run"])
def test_no_registry_is_named(file: str) -> None:
    text = (ROOT / file).read_text()
    assert not [word for word in ("http:", "https:", "index-url", "find-links") if word in text]


def test_onnxruntime_reports_nothing_to_its_makers(tmp_path: Path) -> None:
    """It keeps what it would send, and a number of the machine, in the user's cache."""
    pytest.importorskip("onnxruntime")
    silencing = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in silencing}
    command = [sys.executable, "-c", "import likeness, onnxruntime"]
    subprocess.run(command, env=environment | {"HOME": str(tmp_path)}, cwd=ROOT, check=True)
    assert list(tmp_path.rglob("*")) == []


PYTHON = r"""#!/bin/sh
case "$*" in
  "-m venv "*) mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  "-m pip "*) echo "$*" >> pip.log ;;
  "-c import torch") grep -q " -c requirements.lock torch$" pip.log ;;
esac
"""
"""A stand-in, whose torch cannot be loaded until pip has been asked for it with all that it needs."""


def test_make_adds_the_libraries_of_a_torch_that_came_without(tmp_path: Path) -> None:
    """As pip's own torch is on Linux, of which the lock leaves the libraries for CUDA out."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    stand_in = tmp_path / "python"
    stand_in.write_text(PYTHON)
    stand_in.chmod(0o755)
    for _ in "once", "and again":
        subprocess.run(["make", "install", f"PYTHON={stand_in}"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "pip.log").read_text().count("\n") == 3


@pytest.mark.slow
def test_the_wheel_holds_data_and_configurations(tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, inside in (("likeness/assets", "likeness/assets"), ("configs", "likeness/configs")):
        files = {path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert files
        assert {f"{inside}/{path.as_posix()}" for path in files} <= names
    assert {"training/__init__.py", "inference/__init__.py", "likeness/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests/", "people/"))]
