"""Three steps of ours cost what three of diffusers' own example script cost, and leave the same weights.

The numbers of the scripts lie in `tests/data/public_training.json`, with the releases that made them. With
LIKENESS_DIFFUSERS_CHECKOUT naming a folder of diffusers' sources the scripts themselves are run; with
LIKENESS_RECORD_PUBLIC=1 as well, what they find is written there.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likeness import adapter
from likeness.families import load_family
from tests.families import parity

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "tests" / "data" / "public_training.json"
CHECKOUT = os.environ.get("LIKENESS_DIFFUSERS_CHECKOUT")


def recorded() -> dict[str, Any]:
    record: dict[str, Any] = json.loads(RECORD.read_text())
    return record


def record(name: str, found: dict[str, Any]) -> None:
    """One line a family."""
    everything = dict(sorted({**recorded(), name: found}.items()))
    RECORD.write_text(
        "{\n" + ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in everything.items()) + "\n}\n"
    )


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5)
    assert found["weights"].keys() == expected["weights"].keys()
    for key, numbers in found["weights"].items():
        assert numbers == pytest.approx(expected["weights"][key], rel=1e-5, abs=1e-4), key


def begun(base: Path) -> dict[str, list[float]]:
    """The weights before the first step, summed up."""
    family = load_family(str(base))
    adapter.inject(family, adapter.LoraSettings(rank=parity.RANK, alpha=parity.RANK, targets="attention"), 0)
    return {key: parity.summary(tensor) for key, tensor in parity.start(family.denoiser)}


@pytest.mark.parametrize("name", parity.FAMILIES)
def test_three_steps_are_those_of_the_public_script(name: str, bases: Callable[[str], Path]) -> None:
    expected, found = recorded()[name], parity.ours(bases(name), name)
    assert expected["diffusers"] and expected["script"]
    assert_same(found, expected)
    first = begun(bases(name))
    moved = [max(abs(a - b) for a, b in zip(now, first[key], strict=True)) for key, now in found["weights"].items()]
    # What the last block says to the text is never looked at, so that a few layers of it only decay.
    assert sum(distance > parity.LEARNING_RATE for distance in moved) > 0.8 * len(moved)


@pytest.mark.slow
@pytest.mark.skipif(CHECKOUT is None, reason="LIKENESS_DIFFUSERS_CHECKOUT names no folder of diffusers' sources")
@pytest.mark.parametrize("name", parity.FAMILIES)
def test_the_script_itself_says_so(name: str, bases: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "tests.families.public_script", str(CHECKOUT), name, str(bases(name)), str(out)]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(out.read_text())
    if os.environ.get("LIKENESS_RECORD_PUBLIC"):
        record(name, found)
    assert_same(parity.ours(bases(name), name), found)
