"""Whole runs on a tiny base, in this process: what they write, how they stop, go on and are refused."""

import errno
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from likeness import files
from likeness.adapter import read_info
from likeness.errors import LikenessError
from likeness.person import Person
from tests.tiny import make_tiny_base
from tests.training.made import make_person
from tests.training.runs import WEIGHTS, config, difference, interrupt_at, metrics, steps_saved
from training import run, setup
from training.config import TrainConfig
from training.loop import Loop
from training.resume import find_start, only_one
from training.run import main, train
from training.samples import Samples
from training.signals import EXIT_INTERRUPTED, Interrupted


def test_a_run_writes_all_it_should_and_says_so(v_base: Path, person: Person) -> None:
    changes = {"evaluation": {"every": 2}, "samples": {"every": 4, "count": 1, "steps": 2}}
    adapter = train(config(v_base, person, **changes))
    assert adapter == person.adapters / "run"
    info = read_info(adapter)
    assert info is not None and (info.steps, info.rank, info.resolution) == (4, 2, 32)
    (kept,) = info.held_out
    assert kept in {files.sha256(path) for path in person.selfie_files()}
    lines = metrics(person)
    training = [line for line in lines if "loss" in line]
    assert [line["step"] for line in training] == [1, 2, 3, 4]
    expected = {"loss_average", "loss_person", "loss_prior", "lr", "gradient_norm", "images_per_second"}
    assert expected | {"peak_memory_gib"} <= training[0].keys()
    assert any(key.startswith("loss_by_timestep/") for key in training[0])
    assert [line["step"] for line in lines if "evaluation/loss" in line] == [0, 2, 4]
    assert [path.name for path in (person.runs / "run" / "samples").iterdir()] == ["step-000004-00.png"]
    assert "tiny" not in (person.runs / "run" / "metrics.jsonl").read_text()
    assert TrainConfig.load(person.runs / "run" / "config.yaml").steps == 4


@pytest.mark.parametrize(("photos", "worn"), [(2, False), (3, True)])
def test_who_wears_glasses_on_most_selfies_is_drawn_with_them(
    v_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: int, worn: bool
) -> None:
    """Of four photographs that are trained on; the captions say so, and so do the prompts of samples, and the adapter."""
    drawn: list[list[str]] = []
    draw = Samples.draw

    def noted(self: Samples, *given: Any) -> Any:
        drawn.append(self.prompts)
        return draw(self, *given)

    monkeypatch.setattr(Samples, "draw", noted)
    person = make_person(tmp_path / "zebulon", glasses=photos)
    info = read_info(train(config(v_base, person, steps=1, samples={"every": 1, "count": 1, "steps": 1})))
    assert info is not None and info.glasses is worn
    assert drawn == [["a headshot of sks person" + ", wearing glasses" * worn]]


def test_a_longer_run_is_the_same_run_gone_on_with(v_base: Path, person: Person) -> None:
    train(config(v_base, person, steps=3))
    before = (person.adapters / "run" / WEIGHTS).stat().st_mtime_ns
    train(config(v_base, person, steps=3))
    assert (person.adapters / "run" / WEIGHTS).stat().st_mtime_ns == before, "finished runs are left alone"
    train(config(v_base, person, steps=5))
    train(config(v_base, person, steps=7))
    train(config(v_base, person, steps=7, name="straight"))
    assert difference(person.adapters / "run", person.adapters / "straight") == 0
    assert [line["step"] for line in metrics(person)] == list(range(1, 8))
    assert [line["loss"] for line in metrics(person)] == [line["loss"] for line in metrics(person, "straight")]
    assert steps_saved(person) == [6, 7]
    with pytest.raises(LikenessError, match="gone to step 7"):
        train(config(v_base, person, steps=5))


def test_more_steps_are_another_curve_of_the_rate_and_it_is_said(
    v_base: Path, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    note = "note: this run was to have 2 steps: from here on its learning rate is that of cosine over 4"
    for schedule, steps, told in (
        ("cosine", 2, False),
        ("cosine", 4, True),
        ("constant", 2, False),
        ("constant", 4, False),
    ):
        train(config(v_base, person, steps=steps, name=schedule, optim={"schedule": schedule}))
        assert (note in capsys.readouterr().out) is told
    rates = [line["lr"] for line in metrics(person, "cosine")]
    assert rates[1] < rates[2], "which jumps up"


@pytest.mark.parametrize("by", ["drawn", "varied", "alike"])
def test_fewer_selfies_are_among_more_and_the_others_are_held_out(v_base: Path, person: Person, by: str) -> None:
    """Five photographs, one held out: of the four others three, then two, are trained on."""
    seen = {}
    for count in (2, 3, 9):
        data = {"photos": count, "photos_by": by}
        info = read_info(train(config(v_base, person, steps=1, name=f"of-{count}", data=data)))
        assert info is not None
        seen[count] = {files.sha256(path) for path in person.selfie_files()} - set(info.held_out)
    assert [len(photos) for photos in seen.values()] == [2, 3, 4]
    assert seen[2] < seen[3] < seen[9]
    assert files.sha256(person.selfie_files()[0]) not in seen[9], "what is held out stays so"


def test_a_run_is_not_gone_on_with_on_other_selfies(v_base: Path, person: Person) -> None:
    before = read_info(train(config(v_base, person, steps=1, data={"photos": 2, "photos_by": "varied"})))
    alike = {"photos": 2, "photos_by": "alike"}
    with pytest.raises(LikenessError, match="data.photos_by changed"):
        train(config(v_base, person, steps=2, data=alike))
    after = read_info(train(config(v_base, person, steps=1, data=alike, checkpoint={"resume": "never"})))
    assert before is not None and after is not None
    assert before.held_out != after.held_out and before.data_digest != after.data_digest


def test_a_finished_run_says_that_there_are_other_selfies_now(
    v_base: Path, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(v_base, person, steps=1))
    train(config(v_base, person, steps=1))
    assert "finished" in (said := capsys.readouterr().out) and "other selfies" not in said
    (person.selfies / "new.jpg").write_bytes(b"one more")
    train(config(v_base, person, steps=1))
    assert "other selfies than when it was trained" in capsys.readouterr().out


def test_a_lost_adapter_is_written_again_from_the_last_checkpoint(v_base: Path, person: Person) -> None:
    adapter = train(config(v_base, person))
    whole = (adapter / WEIGHTS).read_bytes()
    for path in adapter.iterdir():
        path.unlink()
    assert (train(config(v_base, person)) / WEIGHTS).read_bytes() == whole


def test_an_adapter_that_does_not_say_what_it_was_trained_on_is_written_again(v_base: Path, person: Person) -> None:
    """As those of an earlier version: by it held-out selfies could not report, and "train again" has to help."""
    adapter = train(config(v_base, person))
    info = read_info(adapter)
    assert info is not None and info.trained and set(info.trained).isdisjoint(info.held_out)
    files.write_json(adapter / "adapter.json", info.model_copy(update={"trained": []}).model_dump(mode="json"))
    again = read_info(train(config(v_base, person)))
    assert again is not None and again.trained == info.trained


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_leaves_and_the_run_goes_on(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, number)
        with pytest.raises(Interrupted):
            train(config(v_base, person))
    assert signal.getsignal(number) is before
    assert steps_saved(person) == [2, 3]
    assert not person.adapters.exists()
    train(config(v_base, person))
    train(config(v_base, person, name="straight"))
    assert difference(person.adapters / "run", person.adapters / "straight") == 0


def ctrl_c(*_: Any) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_where_there_is_nothing_to_save_is_one_line(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "assemble", ctrl_c)
    assert main([f"base={v_base}", f"person={person.folder}", "steps=1"]) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("stopped; ")


def test_a_run_that_is_to_begin_anew_does_not_say_that_the_same_command_goes_on(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_at(monkeypatch, 1)
    arguments = [f"base={v_base}", f"person={person.folder}", "steps=3", "batch_size=2", "checkpoint.resume=never"]
    assert main(arguments) == EXIT_INTERRUPTED
    assert "the same command, but for checkpoint.resume=never, goes on" in capsys.readouterr().err


def test_the_command_line_tells_a_stop_from_a_mistake(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"base={v_base}", f"person={person.folder}", "steps=3", "batch_size=2"]
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1)
        assert main(arguments) == EXIT_INTERRUPTED == 75
    assert "step 1" in capsys.readouterr().err
    assert main([*arguments, "optim.lr=0.5", "seed=3"]) == 2
    error = capsys.readouterr().err
    assert "optim.lr, seed changed" in error and "error: " in error and "Traceback" not in error
    assert main([*arguments, "optim.lr=0.5", "seed=3", "checkpoint.resume=never"]) == 0
    assert [line["step"] for line in metrics(person, f"{v_base.name}-lora")] == [0, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["optim.lrr=1"], "optim.lr"),
        (["person=nobody/here"], "there is no such person"),
        (["base=no-such-base"], "there is no base model"),
        (["batch_size=3", "gradient_accumulation=2"], "batch_size is 3"),
        (["mixed_precision=fp16"], "needs a GPU"),
        (["data.resolution=33"], "33"),
        (["--config", "absent.yaml"], "absent.yaml"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    v_base: Path, person: Person, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    before = sorted(path for path in person.folder.rglob("*") if "cache" not in path.parts)
    assert main([f"base={v_base}", f"person={person.folder}", "steps=1", *arguments]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert expected in line
    assert sorted(path for path in person.folder.rglob("*") if "cache" not in path.parts) == before


def test_a_folder_that_cannot_be_written_is_one_line(
    v_base: Path, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    person.runs.write_text("a file where a folder should be")
    assert main([f"base={v_base}", f"person={person.folder}", "steps=1"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_run_is_trained_by_one_process_at_a_time(v_base: Path, person: Person) -> None:
    with only_one(person, "run"), pytest.raises(LikenessError, match="another process is training this run"):
        train(config(v_base, person))
    train(config(v_base, person))


def test_what_another_process_trained_while_the_base_was_loaded_is_not_thrown_away(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config(v_base, person, steps=2))
    theirs = (person.runs / "run").rename(person.runs / "theirs")

    def and_another(*given: Any) -> Any:
        theirs.rename(person.runs / "run")
        return setup.assemble(*given)

    monkeypatch.setattr(run, "assemble", and_another)
    with pytest.raises(LikenessError, match="another process trained this run in the meantime"):
        train(config(v_base, person, steps=3))
    assert steps_saved(person) == [2] and (person.adapters / "run" / WEIGHTS).is_file()


def test_what_a_killed_run_left_half_written_is_removed_and_nothing_else(v_base: Path, person: Person) -> None:
    train(config(v_base, person, steps=2))
    run_folder, ending = person.runs / "run", ".0123456789ab.tmp"
    mine = [run_folder / "checkpoints" / f".step-000003{ending}", person.adapters / f".run{ending}"]
    mine.append(run_folder / "selection" / f".step-000002.safetensors{ending}")
    others = [person.adapters / f".run-2{ending}", person.runs / "other" / "checkpoints" / f".step-000003{ending}"]
    others.append(run_folder / "checkpoints" / ".step-000003.tmp")
    for path in [*mine, *others]:
        path.mkdir(parents=True)
        (path / "trained.safetensors").write_bytes(b"half")
    train(config(v_base, person, steps=3))
    assert not any(path.exists() for path in mine) and all(path.exists() for path in others)
    assert steps_saved(person) == [2, 3]


def test_a_folder_of_somebody_elses_is_one_line(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which nobody else may enter: to ask whether a file is there is refused there."""

    def refused(person: Person) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(person.folder / "consent.json"))

    monkeypatch.setattr(Person, "require_consent", refused)
    assert main([f"base={v_base}", f"person={person.folder}"]) == 2
    assert "consent.json: cannot be entered or read: permission denied. Give yourself" in capsys.readouterr().err


def test_without_consent_nobody_is_trained(v_base: Path, person: Person) -> None:
    (person.folder / "consent.json").unlink()
    with pytest.raises(LikenessError, match="consent"):
        train(config(v_base, person))


def test_changed_portraits_are_not_gone_on_with(v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    train(config(v_base, person, steps=1))
    from training import portraits

    load = portraits.load_portraits
    monkeypatch.setattr(portraits, "load_portraits", lambda *a: load(*a).select(range(3, 12)))
    with pytest.raises(LikenessError, match="portraits changed"):
        train(config(v_base, person, steps=2))


def test_another_base_of_the_same_name_is_not_gone_on_with(person: Person, tmp_path: Path) -> None:
    base = make_tiny_base(tmp_path / "base", "v_prediction")
    train(config(base, person, steps=1))
    shutil.rmtree(base)
    make_tiny_base(base, "v_prediction", seed=1)
    with pytest.raises(LikenessError, match="the base's weights changed"):
        train(config(base, person, steps=2))


@pytest.mark.parametrize(
    "settings",
    [{"batch_size": 3}, {"batch_size": 4, "objective": {"prior": {"batch_size": 1}}}],
    ids=["person", "prior"],
)
def test_a_batch_that_cannot_be_shared_is_said_before_the_base_is_loaded(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.setattr(setup, "load_base", lambda *_: pytest.fail("the base was loaded"))
    with pytest.raises(LikenessError, match=r"batch_size is \d, which 1 processes x 2"):
        train(config(v_base, person, gradient_accumulation=2, **settings))


def test_rounds_may_change_on_the_way_but_where_dropout_is_drawn_for_them(v_base: Path, person: Person) -> None:
    train(config(v_base, person, steps=1))
    train(config(v_base, person, steps=2, gradient_accumulation=2))
    lora = {"rank": 2, "dropout": 0.5}
    train(config(v_base, person, steps=1, lora=lora, name="dropped"))
    with pytest.raises(LikenessError, match="gradient_accumulation changed"):
        train(config(v_base, person, steps=2, lora=lora, name="dropped", gradient_accumulation=2))
    assert steps_saved(person, "dropped") == [1]


def test_processes_may_change_on_the_way_but_where_dropout_is_drawn_for_them(v_base: Path, person: Person) -> None:
    dropped = config(v_base, person, steps=1, lora={"rank": 2, "dropout": 0.5})
    train(dropped)
    assert find_start(dropped, person, shares=2).finished, "nothing more is drawn"
    longer = dropped.model_copy(update={"steps": 2})
    assert not find_start(longer, person, shares=1).finished
    with pytest.raises(LikenessError, match="processes x gradient_accumulation changed from 1 to 2"):
        find_start(longer, person, shares=2)


def test_an_adapter_of_an_earlier_run_of_its_name_is_not_taken_for_a_run_s_own(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later run was begun anew, and killed between its last checkpoint and its adapter."""
    adapter = train(config(v_base, person))
    anew = config(v_base, person, optim={"lr": 1e-3}, checkpoint={"every": 2, "resume": "never"})
    with monkeypatch.context() as patch:
        patch.setattr(run, "_save", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            train(anew)
    train(config(v_base, person, optim={"lr": 1e-3}))
    straight = train(config(v_base, person, optim={"lr": 1e-3}, name="straight"))
    assert difference(adapter, straight) == 0


@pytest.mark.parametrize("name", ["DEEPSPEED", "FSDP"])
def test_a_launcher_that_would_shard_is_refused(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    with pytest.raises(LikenessError, match=f"set up for {name}"):
        train(config(v_base, person))


def test_rounds_that_the_environment_names_divide_no_loss(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config(v_base, person, steps=1))
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    train(config(v_base, person, steps=1, name="told"))
    assert metrics(person)[0]["gradient_norm"] == metrics(person, "told")[0]["gradient_norm"]


@pytest.mark.parametrize("mode", ["images", "none"])
def test_the_other_priors_train(v_base: Path, person: Person, mode: str) -> None:
    train(config(v_base, person, steps=2, objective={"prior": {"mode": mode, "images": 3, "batch_size": 1}}))
    assert ("loss_prior" in metrics(person)[-1]) == (mode == "images")
    assert (person.cache / "class").exists() == (mode == "images")


@pytest.mark.slow
def test_training_learns(v_base: Path, person: Person) -> None:
    """Whole weights on one batch of noise levels after another: the held-out and the training loss both fall."""
    changes = {"method": "dreambooth", "steps": 30, "batch_size": 4, "optim": {"lr": 3e-3, "warmup": 3}}
    changes["objective"] = {"prior": {"mode": "none"}}
    train(config(v_base, person, **changes, evaluation={"every": 30}))
    found = [line["evaluation/loss"] for line in metrics(person) if "evaluation/loss" in line]
    assert found[-1] < 0.9 * found[0]


@pytest.mark.parametrize("samples", [0, 1])
def test_who_is_forgotten_during_a_run_does_not_come_back(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, samples: int
) -> None:
    """Neither by the next checkpoint nor by a picture that was being drawn."""
    step, draw = Loop._step, Samples.draw

    def forgetting(self: Loop, number: int) -> torch.Tensor:
        if number == 1 and not samples:
            shutil.rmtree(person.folder)
        return step(self, number)

    def forgetting_while_drawing(self: Samples, *given: Any) -> Any:
        shutil.rmtree(person.folder)
        return draw(self, *given)

    monkeypatch.setattr(Loop, "_step", forgetting)
    monkeypatch.setattr(Samples, "draw", forgetting_while_drawing)
    changes = {"tracking": {"every": 100}, "samples": {"every": 2 * samples, "count": 1, "steps": 1}}
    with pytest.raises(LikenessError, match="no consent is recorded"):
        train(config(v_base, person, **changes))
    assert not person.folder.exists()


def test_a_gpu_that_is_too_small_is_said_in_one_line(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Loop, step: int) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB.")

    monkeypatch.setattr(Loop, "_step", full)
    assert main([f"base={v_base}", f"person={person.folder}", "steps=1", "batch_size=2"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "memory is full: CUDA out of memory. Tried" in line and "gradient_checkpointing=true" in line
