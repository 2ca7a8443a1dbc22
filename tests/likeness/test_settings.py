from datetime import date
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, model_validator

from likeness.errors import LikenessError
from likeness.settings import Settings, dump


class Optim(Settings):
    name: Literal["adamw", "prodigy"] = "adamw"
    lr: float = Field(default=1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)


class Objective(Settings):
    min_snr_gamma: float | None = None
    noise_offset: float = 0.0


class Config(Settings):
    person: Path
    steps: int = Field(default=100, ge=1)
    trigger: str = "sks"
    optim: Optim = Optim()
    objective: Objective | None = None
    prompts: list[str] = []
    when: date = date(2026, 1, 2)

    @model_validator(mode="after")
    def _steps_suit_prodigy(self) -> "Config":
        if self.optim.name == "prodigy" and self.steps < 10:
            raise ValueError("prodigy with at least 10 steps")
        return self


def fails(tmp_path: Path, text: str, *overrides: str) -> str:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LikenessError) as caught:
        Config.load(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{path}: ", "")


def test_yaml_then_overrides(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("person: people/ana\noptim: {lr: 1e-5}\nsteps: 20\n")
    config = Config.load(path, ["steps=30", "objective.min_snr_gamma=5", "prompts=[a, 'b, c']", "trigger=no"])
    assert config.person == Path("people/ana")
    assert config.optim.lr == 1e-5
    assert config.steps == 30
    assert config.objective == Objective(min_snr_gamma=5)
    assert config.prompts == ["a", "b, c"]
    assert config.trigger == "no"
    assert Config.load(None, ["person=people/ana", "when=2026-11-23"]).when == date(2026, 11, 23)


def test_what_is_told_for_a_text_stays_a_text(tmp_path: Path) -> None:
    """YAML takes 2024 for a number, and an abbreviated commit such as 12345e7 too."""
    for text in ("2024", "007", "12345e7", "1.50", "2026-11-23", "true"):
        assert Config.load(None, ["person=p", f"trigger={text}"]).trigger == text
    assert Config.load(None, ["person=2024"]).person == Path("2024")
    assert "trigger is [1]" in fails(tmp_path, "person: p", "trigger=[1]")


def test_a_file_may_write_keys_as_overrides_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("person: p\noptim: {name: prodigy}\noptim.lr: 1e-5\nobjective.noise_offset: 0.1\n")
    config = Config.load(path)
    assert (config.optim.name, config.optim.lr, config.objective) == ("prodigy", 1e-5, Objective(noise_offset=0.1))
    assert "sets optim.lr twice" in fails(tmp_path, "person: p\noptim: {lr: 1e-5}\noptim.lr: 1e-4")


def test_settings_are_frozen() -> None:
    config = Config.load(None, ["person=a"])
    with pytest.raises(ValueError):
        config.steps = 3  # type: ignore[misc]


@pytest.mark.parametrize("trigger", ["no", "on", "1e-4", "12", "12:30:00", "2026-11-23", "~", "", "a: b", "0x1F", "ü"])
def test_dump_is_read_back_unchanged(tmp_path: Path, trigger: str) -> None:
    config = Config(person=Path("a"), trigger=trigger, optim=Optim(lr=1e-5, name="prodigy"), objective=Objective())
    path = tmp_path / "a.yaml"
    path.write_text(dump(config), encoding="utf-8")
    assert Config.load(path) == config


def test_unknown_keys_name_the_nearest(tmp_path: Path) -> None:
    assert fails(tmp_path, "person: a\nstpes: 5") == "there is no setting 'stpes'. Did you mean 'steps'?"
    nested = fails(tmp_path, "person: a", "objective.min_snr_gama=5")
    assert nested == "there is no setting 'objective.min_snr_gama'. Did you mean 'objective.min_snr_gamma'?"
    assert fails(tmp_path, "person: a", "lr=1") == "there is no setting 'lr'. Did you mean 'optim.lr'?"
    assert fails(tmp_path, "person: a", "optimizer.learning_rate=1").startswith("there is no setting 'optimizer'.")
    assert fails(tmp_path, "person: a\nzzzzzz: 5") == "there is no setting 'zzzzzz'. Leave it out"


def test_a_misspelt_key_is_told_before_what_follows_from_it(tmp_path: Path) -> None:
    assert fails(tmp_path, "persn: a") == "there is no setting 'persn' (and 1 more). Did you mean 'person'?"


def test_wrong_values_name_key_value_and_expectation(tmp_path: Path) -> None:
    assert fails(tmp_path, "person: a", "optim.name=sgd") == "optim.name is 'sgd'. Expected: 'adamw' or 'prodigy'"
    assert fails(tmp_path, "person: a", "steps=0") == "steps is 0. Expected: greater than or equal to 1"
    assert fails(tmp_path, "person: a", "steps=ten").startswith("steps is 'ten'. Expected: a valid integer")
    assert fails(tmp_path, "steps: 3") == "the setting 'person' is missing. Give it: person=..."
    rule = fails(tmp_path, "person: a", "steps=3", "optim.name=prodigy")
    assert rule == "a setting is wrong. Expected: prodigy with at least 10 steps"
    assert len(fails(tmp_path, "person: a", f"steps={'x' * 500}")) < 250


def test_overrides_that_are_none(tmp_path: Path) -> None:
    assert fails(tmp_path, "person: a", "steps") == "'steps' is not a setting. Write key=value, for instance steps=200"
    assert "is not a setting" in fails(tmp_path, "person: a", "optim..lr=3")
    assert "not a group of settings" in fails(tmp_path, "person: a", "person.x=3")
    assert "not valid YAML" in fails(tmp_path, "person: a", "prompts=[a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("person: a\nsteps: 1\nsteps: 2", "the key 'steps' is there twice (line 3)"),
        ("person: [a", "is not valid YAML"),
        ("- person", "holds no settings"),
        ("? [a]\n: b", "a key must be a plain word"),
        ("a: !!python/object:os.system x", "is not valid YAML"),
        ("[" * 5000, "is not valid YAML"),
        ("a: \x00", "is not valid YAML"),
    ],
)
def test_broken_yaml(tmp_path: Path, text: str, message: str) -> None:
    assert message in fails(tmp_path, text)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(LikenessError, match=r"absent\.yaml: cannot be read: no such file"):
        Config.load(tmp_path / "absent.yaml")
    (tmp_path / "b.yaml").write_bytes(b"person: \xff\xfe")
    with pytest.raises(LikenessError, match="not valid YAML"):
        Config.load(tmp_path / "b.yaml")


def test_yaml_merges_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("person: a\nsteps: 010\noptim: &o {lr: .5}\n")
    config = Config.load(path)
    assert (config.steps, config.optim.lr) == (10, 0.5)


def test_a_value_that_stands_for_more_than_memory_holds_is_one_line() -> None:
    """As ten lines of YAML can make it, whose names stand for lists of names."""
    values: object = "lol"
    for _ in range(12):
        values = [values] * 9
    with pytest.raises(LikenessError) as caught:
        Config.parse({"person": values})
    assert len(str(caught.value)) < 500
