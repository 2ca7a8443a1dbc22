import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from likeness import files
from likeness.errors import LikenessError
from training import checkpoint
from training.checkpoint import Checkpoint


def moment(step: int) -> Checkpoint:
    return Checkpoint(
        step=step,
        trained={"a": torch.full((2, 3), float(step))},
        ema={"a": torch.zeros(2, 3)},
        optimizer={"optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": []}, "scaler": None},
        state={"loss_average": 0.25},
    )


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, moment(7), keep=2)
    found = checkpoint.load(path)
    assert (found.step, found.state) == (7, {"loss_average": 0.25})
    assert torch.equal(found.trained["a"], torch.full((2, 3), 7.0))
    assert found.ema is not None and torch.equal(found.ema["a"], torch.zeros(2, 3))
    assert found.optimizer["optimizer"]["state"][0]["step"] == 3


def test_the_last_few_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15, 1_000_000):
        checkpoint.save(tmp_path, moment(step), keep=2)
    assert [path.name for path in checkpoint.saved(tmp_path)] == ["step-000015", "step-1000000"]
    newest = checkpoint.newest(tmp_path)
    assert newest is not None and checkpoint.read_state(newest)["step"] == 1_000_000


def test_a_failed_save_leaves_the_earlier_one_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, moment(5), keep=1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(LikenessError, match="no space left.*Free some space"):
        checkpoint.save(tmp_path, moment(10), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000005"]


def test_a_disk_that_is_full_in_the_middle_of_a_file_is_one_line(tmp_path: Path) -> None:
    """torch.save hides the system's error behind one of its own."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = replace(moment(5), optimizer={"optimizer": torch.zeros(100, 100), "scaler": None})
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))  # Python ignores the signal: writes fail
    try:
        with pytest.raises(LikenessError, match="cannot be written: file too large"):
            checkpoint.save(tmp_path, large, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(tmp_path.iterdir()) == []


def test_half_written_folders_are_not_checkpoints(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, moment(5), keep=2)
    (tmp_path / ".step-000010.0123456789ab.tmp").mkdir()
    assert [path.name for path in checkpoint.saved(tmp_path)] == ["step-000005"]


@pytest.mark.parametrize("name", ["trained.safetensors", "optimizer.pt", "state.json"])
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str) -> None:
    path = checkpoint.save(tmp_path, moment(5), keep=2)
    for damage in (b"\x00 nonsense", b"{}"):
        files.write_bytes(path / name, damage)
        with pytest.raises(LikenessError, match="damaged"):
            checkpoint.load(path)
