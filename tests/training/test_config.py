import itertools
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from likeness.cli import app
from likeness.errors import LikenessError
from likeness.families import FAMILIES
from likeness.resources import configs
from likeness.settings import _keys, dump
from training.config import TrainConfig, differing_keys, usual_recipe
from training.setup import check_split

ROOT = Path(__file__).parents[2]


def config(**changes: object) -> TrainConfig:
    return TrainConfig.parse({"person": "people/ana", **changes})


@pytest.mark.parametrize("name", ["pocket", *(family.name for family in FAMILIES)])
def test_the_shipped_configurations_load_and_say_what_they_say(name: str, tmp_path: Path) -> None:
    found = TrainConfig.load(configs() / f"{name}.yaml", ["person=people/ana"])
    copy = tmp_path / "config.yaml"
    copy.write_text(dump(found))
    assert TrainConfig.load(copy) == found


@pytest.mark.parametrize("file", ["README.md", "configs/accelerate/multi_gpu.yaml"])
def test_the_batch_of_a_command_for_several_processes_can_be_shared(file: str) -> None:
    """With the configuration that the command names, or any that is shipped where it leaves that open."""
    lines = (ROOT / file).read_text().splitlines()
    commands = [line for line in lines if re.search(r"(num_processes|nproc_per_node) \d", line) and "train.py" in line]
    assert commands
    for line in commands:
        words = line.partition("    #")[0].split()
        processes = int(
            next(after for word, after in itertools.pairwise(words) if word.endswith(("processes", "node")))
        )
        own = [word for word in words if word.startswith("batch_size=")]
        named = [ROOT / word for word in words if word.startswith("configs/") and "accelerate" not in word]
        for path in named or (configs() / f"{family.name}.yaml" for family in FAMILIES):
            check_split(TrainConfig.load(path, ["person=people/ana", *own]), processes)


def test_a_misspelt_key_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(LikenessError, match="objective.min_snr_gama.*objective.min_snr_gamma"):
        TrainConfig.load(None, ["person=people/ana", "objective.min_snr_gama=5"])


def test_names_are_made_of_base_and_method() -> None:
    assert config().run_name == "pocket-lora"
    assert config(base="org/Some_Model.v1", method="dreambooth").run_name == "some-model-v1-dreambooth"
    assert config(name="second").run_name == "second"
    with pytest.raises(LikenessError, match="run's name"):
        config(name="../elsewhere")


def test_only_what_changes_the_steps_counts_as_a_difference() -> None:
    old = config().model_dump(mode="json")
    harmless = config(steps=7, person="elsewhere/ana", tracking={"every": 5}, checkpoint={"keep": 9})
    assert differing_keys(old, harmless.model_dump(mode="json")) == []
    other = config(optim={"lr": 0.5}, seed=1).model_dump(mode="json")
    assert differing_keys(old, other) == ["optim.lr", "seed"]


def test_how_many_prior_samples_a_step_has() -> None:
    assert config().prior_slots == 4
    assert config(objective={"prior": {"batch_size": 2}}).prior_slots == 2
    assert config(objective={"prior": {"mode": "none"}}).prior_slots == 0
    assert config(objective={"prior": {"weight": 0}}).prior_slots == 0


def test_without_a_file_the_base_s_own_recipe_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usual_recipe([]) == usual_recipe(["steps=3", "base=pocket"]) == configs() / "pocket.yaml"
    assert usual_recipe(["base=stabilityai/stable-diffusion-xl-base-1.0"]) == configs() / "sdxl.yaml"
    assert usual_recipe(["base='pocket'"]) == configs() / "pocket.yaml"
    assert usual_recipe([f"base={tmp_path}"]) is None
    monkeypatch.chdir(tmp_path)
    shown = [
        CliRunner().invoke(app, ["config", "show", *given, "person=p"])
        for given in ([], ["--config", "configs/pocket.yaml"])
    ]
    assert shown[0].exit_code == 0 and shown[0].stdout == shown[1].stdout and "rank: 64" in shown[0].stdout


def test_the_resolved_configuration_is_shown(tmp_path: Path) -> None:
    settings = ["--config", str(configs() / "pocket.yaml"), "person=people/ana", "optim.lr=0.25"]
    shown = CliRunner().invoke(app, ["config", "show", *settings])
    assert shown.exit_code == 0
    copy = tmp_path / "config.yaml"
    copy.write_text(shown.stdout)
    assert TrainConfig.load(copy).optim.lr == 0.25


def test_every_setting_is_explained_and_what_explains_is_a_recipe(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["config", "show", "--explain", "person=people/ana"]).stdout
    lines = shown.splitlines()
    settings = [number for number, line in enumerate(lines) if re.match(r" *[a-z_]+:", line)]
    assert {lines[number].split(":")[0].strip() for number in settings} == {
        key.split(".")[-1] for key in _keys(TrainConfig)
    }
    assert [lines[number] for number in settings if not lines[number - 1].lstrip().startswith("# ")] == []
    assert "# What is trained stays in fp32" in shown and "One of: fp32, bf16," in shown
    copy = tmp_path / "config.yaml"
    copy.write_text(shown)
    assert TrainConfig.load(copy) == TrainConfig.load(configs() / "pocket.yaml", ["person=people/ana"])
