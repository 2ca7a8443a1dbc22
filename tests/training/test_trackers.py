"""What wandb and TensorBoard get to see of a run."""

from pathlib import Path
from typing import Any

import pytest
import wandb
from accelerate.tracking import TensorBoardTracker
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from likeness.person import Person
from training.config import TrainConfig
from training.run import main, train

SECRETS = (b"zebulon", b"a photo of", b"quagmire")


def run_tracked(base: Path, person: Person, **tracking: Any) -> Path:
    config = {
        "base": str(base),
        "person": str(person.folder),
        "name": "tracked-zebulon",
        "steps": 4,
        "batch_size": 2,
        "lora": {"rank": 2},
        "trigger": "quagmire",
        "samples": {"every": 4, "count": 2, "steps": 1, "prompts": ["a photo of {subject}"]},
        "tracking": {"trackers": ["wandb", "tensorboard"], **tracking},
    }
    train(TrainConfig.parse(config))
    return person.runs / "tracked-zebulon"


def wandb_run(folder: Path) -> tuple[bytes, list[Path]]:
    """The records of the one offline run, and the media files beside them."""
    # wandb's service writes behind the process's back; a process that ends waits for it, and so does this.
    wandb.teardown()
    (record,) = folder.glob("wandb/offline-run-*/*.wandb")
    return record.read_bytes(), [path for path in record.parent.rglob("*") if path.suffix in (".png", ".jpg")]


def tensorboard(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / "likeness")).Reload()


def test_trackers_get_curves_and_neither_pictures_nor_names(v_base: Path, person: Person) -> None:
    folder = run_tracked(v_base, person)
    assert len(list((folder / "samples").iterdir())) == 2
    records, media = wandb_run(folder)
    assert records.count(b"loss_average") >= 4, "the curve has a point a step"
    assert all(name in records for name in (b"loss_average", b"gradient_norm", b"images_per_second", b"optim.lr"))
    assert not media and b"image-file" not in records and b"images/separated" not in records
    assert not [secret for secret in SECRETS if secret in records]
    curves = tensorboard(folder)
    assert [event.step for event in curves.Scalars("loss")] == [1, 2, 3, 4]
    assert curves.Tags()["images"] == []
    for path in folder.rglob("events.out.tfevents*"):
        assert not [secret for secret in SECRETS if secret in path.read_bytes()]


def test_trackers_get_pictures_when_the_person_shares_them(v_base: Path, person: Person) -> None:
    folder = run_tracked(v_base, person, share_images=True)
    _, media = wandb_run(folder)
    assert len(media) == 2
    assert tensorboard(folder).Tags()["images"] != []


def test_names_are_shown_only_on_request(v_base: Path, person: Person) -> None:
    records, _ = wandb_run(run_tracked(v_base, person, share_names=True))
    assert b"zebulon-tracked-zebulon" in records


@pytest.mark.parametrize(("key", "logged_in", "mode"), [("auto", False, "offline"), ("auto", True, "online")])
def test_wandb_is_online_only_when_logged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, logged_in: bool, mode: str
) -> None:
    from training import tracking

    asked: list[dict[str, Any]] = []

    def login(**how: Any) -> bool:
        asked.append(how)
        return logged_in

    monkeypatch.setattr(wandb, "login", login)
    settings = tracking.TrackingSettings.parse({"wandb_mode": key})
    assert tracking._wandb_options(settings, tmp_path, "label", "id")["mode"] == mode
    assert asked == [{"prompt": False}]


@pytest.mark.parametrize("where", ["login", "init"])
def test_a_wandb_that_does_not_start_is_one_line(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    """As it refuses without a key; a tracker that was never started is not finished."""

    def refused(**_: Any) -> None:
        raise wandb.errors.UsageError("No API key configured. Use `wandb login` to log in.\nMore of that.")

    monkeypatch.setattr(wandb, where, refused)
    settings = [f"base={v_base}", f"person={person.folder}", "steps=1", "batch_size=1", "evaluation.every=0"]
    assert main([*settings, "tracking.trackers=[tensorboard, wandb]"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "wandb does not start: No API key configured" in line and "tracking.wandb_mode=offline" in line
    assert "More" not in line


@pytest.mark.parametrize("gives_up", ["log", "finish"])
def test_a_tracker_that_gives_up_ends_no_run(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gives_up: str
) -> None:
    """As wandb's service does when a scheduler sends SIGTERM to all processes of a job, of which the run is to save itself."""
    told: list[str] = []

    def failing(*_: Any, **__: Any) -> None:
        told.append(gives_up)
        raise ConnectionResetError("Connection lost")

    monkeypatch.setattr(TensorBoardTracker, gives_up, failing)
    settings = [
        f"base={v_base}",
        f"person={person.folder}",
        "steps=2",
        "batch_size=1",
        "evaluation.every=0",
        "name=run",
    ]
    assert main([*settings, "tracking.trackers=[tensorboard]"]) == 0
    assert told == [gives_up], "who has given up is left alone"
    shown = capsys.readouterr()
    assert "note: tensorboard gave up (Connection lost); all numbers are in metrics.jsonl" in shown.out
    assert len((person.runs / "run" / "metrics.jsonl").read_text().splitlines()) == 2
