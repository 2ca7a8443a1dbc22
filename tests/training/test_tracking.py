import errno
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from likeness import files
from likeness.errors import LikenessError
from training import tracking
from training.config import TrainConfig
from training.tracking import JsonLines, TrackingSettings


def test_metrics_are_cut_to_the_step_that_is_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = JsonLines(path)
    for step in range(6):
        log.log({"loss": 1 / (step + 1), "strange": float("nan")}, step=step)
    with open(path, "a") as stream:
        stream.write('{"step": 6, "lo')
    tracking.truncate(path, 3)
    lines = path.read_text().splitlines()
    assert [line[:10] for line in lines] == [f'{{"step": {step}' for step in range(4)]
    assert lines[3] == '{"step": 3, "loss": 0.25, "strange": null}'
    tracking.truncate(tmp_path / "absent.jsonl", 3)
    assert not (tmp_path / "absent.jsonl").exists()


def test_trackers_are_told_numbers_and_choices_but_no_free_text() -> None:
    config = TrainConfig.parse(
        {
            "person": "people/zebulon",
            "name": "zebulon-1",
            "base": "/home/zebulon/base",
            "samples": {"prompts": ["zebulon at work"]},
            "objective": {"prior": {"prompts": ["zebulon"]}},
            "trigger": "zebulon",
        }
    )
    values = tracking.config_values(config)
    assert "zebulon" not in str(values)
    assert values["method"] == "lora" and values["optim.lr"] == 1e-4 and values["optim.schedule"] == "constant"


def test_a_tracker_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LikenessError, match="pip install wandb"):
        tracking.check(TrackingSettings(trackers=["wandb"]))


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    files.write_text(tmp_path / "file", "")
    with pytest.raises(LikenessError, match="metrics.jsonl"):
        JsonLines(tmp_path / "file" / "metrics.jsonl").log({"loss": 1.0}, step=1)


def test_ids_of_runs_say_nothing_and_differ() -> None:
    first, second = tracking.new_id("zebulon-pocket-lora"), tracking.new_id("zebulon-pocket-lora")
    assert first != second and len(first) == 10 and "zebulon" not in first


def test_threads_and_logs_that_cannot_write_tell_no_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    """TensorBoard's thread and wandb's log, on a full disk; another error of a thread is told."""
    told: list[type[BaseException]] = []

    def run(error: Exception) -> None:
        raise error

    class Full(logging.StreamHandler[Any]):
        def format(self, record: logging.LogRecord) -> str:
            raise OSError(errno.ENOSPC, "No space left on device")

    before = threading.excepthook
    threading.excepthook = lambda end: told.append(end.exc_type)
    try:
        with tracking.hushed():
            Full().handle(logging.makeLogRecord({}))
            for error in (OSError(errno.ENOSPC, "No space left on device"), ValueError()):
                thread = threading.Thread(target=run, args=(error,))
                thread.start()
                thread.join()
        threading.excepthook(threading.ExceptHookArgs((OSError, OSError(), None, None)))
    finally:
        threading.excepthook = before
    assert told == [ValueError, OSError], "outside, everything is told"
    assert capsys.readouterr().err == ""
