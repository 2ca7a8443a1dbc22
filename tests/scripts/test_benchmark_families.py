"""scripts/benchmark_families.py takes the trainer's steps on tiny models of the true classes, and says what fails."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from likeness.bases import KnownBase, Part
from scripts import benchmark_families
from tests import tiny_families
from tests.tiny_families import SIDE
from training.config import TrainConfig

CONDITIONING = {
    "sdxl": {"encoder_hidden_states": [77, 40], "text_embeds": [20]},
    "flux2-klein": {"encoder_hidden_states": [64, 24]},
    "z-image": {"states": [64, 8], "mask": [64]},
}
SETTINGS = ["lora.rank=2", "lora.alpha=2"]


def part(module: Any) -> Part:
    config = {key: value for key, value in module.config.items() if not key.startswith("_")}
    return Part(class_name=type(module).__name__, config=config)


def tiny_base(family: str) -> KnownBase:
    parts = tiny_families.MAKERS[family]().components
    denoiser = "unet" if family == "sdxl" else "transformer"
    return KnownBase(
        name=f"tiny-{family}",
        family=family,
        hub="nobody/tiny",
        licence="apache-2.0",
        recipe=f"{family}.yaml",
        resolution=SIDE,
        parts={name: part(parts[name]) for name in (denoiser, "vae")},
        scheduler=part(parts["scheduler"]),
        conditioning=CONDITIONING[family],
    )


@pytest.fixture
def bases(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made = [tiny_base(family) for family in CONDITIONING]
    monkeypatch.setattr(benchmark_families, "known_bases", lambda: made)
    return [base.name for base in made]


def run(bases: list[str], out: Path, *more: str) -> list[dict[str, Any]]:
    command = ["--base", *bases, "--batch", "2", "--px", str(SIDE), "--steps", "2", "--backend", "aot_eager", *more]
    benchmark_families.main([*SETTINGS, *command, "--out", str(out)])
    rows: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))["rows"]
    return rows


@pytest.mark.slow
def test_every_base_is_timed_plain_first_and_then_compiled(
    bases: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run(bases, tmp_path / "families.json")
    assert [(row["base"], row["blocks"]) for row in rows] == [(n, b) for b in ("plain", "compiled") for n in bases]
    for row in rows:
        assert not row["error"]
        assert len(row["all_s"]) == 2 and row["batch_size"] == 2
        assert row["images_s"] == pytest.approx(2 / row["step_s"])
        assert 0 < row["utilisation"] < 1 and row["loss"] > 0
    # The very same weights, data and noise: what is compiled computes what it computed before.
    plain, compiled = rows[:3], rows[3:]
    assert [row["loss"] for row in plain] == pytest.approx([row["loss"] for row in compiled], rel=0.02)
    assert capsys.readouterr().out.count("\n| tiny-") == 6


def test_a_base_that_fails_does_not_end_the_others(
    bases: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_loop = benchmark_families.make_loop

    def too_large(base: KnownBase, *more: Any) -> Any:
        if base.family == "flux2-klein":
            raise torch.OutOfMemoryError("it does not fit\nand more")
        return make_loop(base, *more)

    monkeypatch.setattr(benchmark_families, "make_loop", too_large)
    rows = run(bases[:2][::-1], tmp_path / "families.json", "--blocks", "plain")
    assert [row["error"] for row in rows] == ["OutOfMemoryError: it does not fit", ""]


def test_when_the_time_is_up_nothing_is_begun(bases: list[str], tmp_path: Path) -> None:
    rows = run(bases[:1], tmp_path / "families.json", "--blocks", "plain")
    assert len(rows) == 1
    benchmark_families.main([*SETTINGS, "--base", *bases, "--seconds", "0", "--out", str(tmp_path / "none.json")])
    assert not (tmp_path / "none.json").exists()


def test_the_documented_commands_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, TrainConfig]] = []
    monkeypatch.setattr(benchmark_families, "benchmark", lambda options, chosen, bases: asked.append(chosen))
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    python scripts/benchmark_families.py (.+)$", page, re.MULTILINE)
    for command in commands:
        benchmark_families.main(command.split())
    assert len(commands) >= 9
    kinds = [config.quantize.kind for chosen in asked for config in chosen.values()]
    assert {"none", "int8", "fp8", "nf4", "llm-int8"} == set(kinds)
    assert {config.gradient_checkpointing for chosen in asked for config in chosen.values()} == {False, True}


def test_operations_are_those_of_a_step_that_leaves_the_base_frozen() -> None:
    """A frozen matrix costs as much backwards as forwards, for its own gradient is not asked for; all else twice."""
    base = tiny_base("flux2-klein")
    frozen = trained = 0

    def note(layer: nn.Module, _: Any, out: torch.Tensor) -> None:
        nonlocal frozen, trained
        if type(layer) is nn.Linear:
            cost = 2 * out.numel() * layer.in_features
            trained += cost * layer.weight.requires_grad
            frozen += cost * (not layer.weight.requires_grad)

    with nn.modules.module.register_module_forward_hook(note):  # type: ignore[arg-type]
        counted = benchmark_families.model_flops(base, benchmark_families.settings(base, SETTINGS), SIDE)
    tokens, width, blocks = 64 + (SIDE // 8) ** 2, 16, 3
    attention = blocks * 4 * tokens**2 * width
    # What comes before the first LoRA has no backward pass.
    assert 2 * frozen + 3 * (trained + attention) == pytest.approx(counted, rel=0.06)
