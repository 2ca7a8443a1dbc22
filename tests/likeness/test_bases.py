"""`likeness bases` and what it reads."""

import json

import pytest

from likeness import resources
from likeness.bases import Needs, known_bases
from likeness.families import FAMILIES
from tests.likeness.test_cli import run


def test_every_base_belongs_to_a_family_and_has_a_recipe() -> None:
    bases = known_bases()
    assert {base.family for base in bases} == {family.name for family in FAMILIES}
    for base in bases:
        assert (resources.configs() / base.recipe).is_file()
        assert base.family_class.denoiser_folder in base.parts


def test_the_list_of_bases(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "bases", "--json") == 0
    records = {record["name"]: record for record in json.loads(capsys.readouterr().out)}
    klein, nine = records["flux.2-klein-base-4b"], records["flux.2-klein-base-9b"]
    assert klein["denoiser_parameters"] == pytest.approx(3.9e9, rel=0.01) and not klein["must_be_accepted"]
    assert nine["must_be_accepted"] and nine["config"] == "configs/flux2-klein.yaml"
    assert klein["train_gib"]["nf4 checkpointed"] < klein["train_gib"]["bf16 checkpointed"] < klein["train_gib"]["bf16"]
    assert klein["train_gib"]["bf16 checkpointed"] < klein["train_at_once_gib"]["bf16 checkpointed"]
    assert klein["render_gib"]["bf16"] < klein["render_at_once_gib"]["bf16"]
    # What the note under the table says.
    assert {record["gradient_accumulation"] for record in records.values()} == {4}
    assert {record["pictures_at_once"] for record in records.values()} == {1, 4}
    assert run(monkeypatch, "bases") == 0
    table = capsys.readouterr().out
    for record in records.values():
        (line,) = (line for line in table.splitlines() if f" {record['hub']} " in line)
        assert record["config"] in line and (f"{record['licence']}*" in line) == record["must_be_accepted"]


def test_what_is_needed_is_the_larger_of_what_comes_one_after_the_other() -> None:
    gib = 2**30
    plan = Needs(
        pictures=6,
        prior=3,
        drawn=4,
        parameters={},
        denoiser={"bf16": 8 * gib, "int8": 4 * gib, "nf4": 2 * gib},
        text_encoders={"bf16": 16 * gib, "int8": 8 * gib, "nf4": gib},
        vae=2 * gib,
        dequantised=gib,
        offloaded=3 * gib,
        offloaded_text=0,
        lora=gib // 16,
        step={"512": 20 * gib, "512 checkpointed": 2 * gib},
        full_step={"512": 20 * gib, "512 checkpointed": 2 * gib},
        drawing={"512": gib},
        encoding={"512": gib},
        decoding={"512": 2 * gib},
    )

    def net(size: float) -> float:
        return (size - 0.75) / 1.05

    # Six pictures and three of the prior split into three rounds of three rows, not into more.
    assert plan.rounds == 3
    assert net(plan.training(512, "bf16", False, rounds=1)) == pytest.approx(2 + 8 + 1 + 9 * 20)
    assert net(plan.training(512, "bf16", False, rounds=3)) == pytest.approx(2 + 8 + 1 + 3 * 20)
    assert net(plan.training(512, "bf16", True, rounds=3)) == pytest.approx(2 + 16 + 2)  # encoding
    assert net(plan.training(512, "nf4", True, rounds=3)) == pytest.approx(2 + 2 + 1 + 1 + 3 * 2)
    # 4 * 2**30 parameters in the denoiser, of 22 or of 10 bytes each; the prior's samples go with the former alone.
    assert net(plan.full_training(512, spare=False)) == pytest.approx(2 + 88 + 3 * 2)
    assert net(plan.full_training(512, spare=True)) == pytest.approx(2 + 40 + 2 * 2)
    assert net(plan.rendering(512, "bf16")) == pytest.approx(8 + 16 + 1 + 2)  # decoding
    assert net(plan.rendering(512, "bf16", count=4)) == pytest.approx(8 + 16 + 1 + 4)  # a step, decoding one by one
    assert net(plan.rendering(512, "bf16", offload=True)) == pytest.approx(1 + 3 + 1)
    assert net(plan.rendering(512, "bf16", offload=True, count=4)) == pytest.approx(1 + 3 + 4)
