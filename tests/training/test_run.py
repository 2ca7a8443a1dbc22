"""Whole runs on a tiny base, in this process."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from likeness import files
from likeness.adapter import read_info
from likeness.errors import LikenessError
from likeness.person import Person
from tests.training.made import make_person
from training import checkpoint, run, setup
from training.config import TrainConfig
from training.loop import Loop
from training.resume import only_one
from training.run import main, train
from training.samples import Samples
from training.signals import EXIT_INTERRUPTED, Interrupted

WEIGHTS = "pytorch_lora_weights.safetensors"
FAST: dict[str, Any] = {
    "steps": 4,
    "batch_size": 2,
    "lora": {"rank": 2},
    "optim": {"lr": 1e-2},
    "checkpoint": {"every": 2},
    "evaluation": {"every": 0},
}


def config(base: Path, person: Person, **changes: Any) -> TrainConfig:
    return TrainConfig.parse({**FAST, "base": str(base), "person": str(person.folder), "name": "run", **changes})


def metrics(person: Person, name: str = "run") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (person.runs / name / "metrics.jsonl").read_text().splitlines()]


def steps_saved(person: Person, name: str = "run") -> list[int]:
    return [int(path.name[5:]) for path in checkpoint.saved(person.runs / name / "checkpoints")]


def difference(one: Path, other: Path, file: str = WEIGHTS) -> float:
    first, second = load_file(one / file), load_file(other / file)
    assert first.keys() == second.keys()
    return max(float((first[key].float() - second[key].float()).abs().max()) for key in first)


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


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int, number: int = signal.SIGTERM) -> None:
    log = Loop._log

    def log_and_signal(loop: Loop, norm: torch.Tensor) -> None:
        log(loop, norm)
        if loop.done == step:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Loop, "_log", log_and_signal)


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
    assert [line["step"] for line in metrics(person, f"{v_base.name}-lora")] == [0, 1, 2, 3, 3][:5]


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


class Scaler(torch.amp.GradScaler):
    """As fp16 has one on a GPU: it leaves out steps whose gradients overflowed."""

    def __init__(self) -> None:
        super().__init__("cpu", init_scale=1.0)


def test_an_overflow_in_fp16_is_left_to_the_scaler(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, accelerator = Loop._forward, run._accelerator

    def scaled(*given: Any) -> Any:
        made = accelerator(*given)
        made.scaler = Scaler()
        return made

    def overflowing(loop: Loop, step: int, round_: int) -> Any:
        cost, timesteps = forward(loop, step, round_)
        if step == 2:
            cost.total.register_hook(lambda gradient: gradient * torch.inf)
        return cost, timesteps

    monkeypatch.setattr(run, "_accelerator", scaled)
    monkeypatch.setattr(Loop, "_forward", overflowing)
    adapter = train(config(v_base, person))
    assert all(tensor.isfinite().all() for tensor in load_file(adapter / WEIGHTS).values())


@pytest.mark.parametrize("spoilt", ["loss", "gradient"])
def test_what_is_no_number_ends_a_run_before_its_weights_are_touched(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    """A gradient can overflow under a loss that does not. What the error advises then works."""
    forward, loops = Loop._forward, []

    def overflowing(loop: Loop, step: int, round_: int) -> Any:
        cost, timesteps = forward(loop, step, round_)
        if step == 2 and spoilt == "loss":
            cost = replace(cost, total=cost.total * torch.inf)
        elif step == 2:
            cost.total.register_hook(lambda gradient: gradient * torch.nan)
        loops.append(loop)
        return cost, timesteps

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_forward", overflowing)
        with pytest.raises(LikenessError, match=f"the {spoilt} is no longer a number at step 3") as error:
            train(config(v_base, person))
    assert all(parameter.isfinite().all() for parameter in loops[0].parameters)
    assert steps_saved(person) == [2] and not person.adapters.exists()
    assert "checkpoint.resume=never or another name" in error.value.remedy and "optim.lr" in error.value.remedy
    train(config(v_base, person, optim={"lr": 1e-3}, checkpoint={"resume": "never"}))


def test_accumulated_rounds_make_the_step_of_the_whole_batch(epsilon_base: Path, person: Person) -> None:
    # With a large eps Adam moves in proportion to the gradient, so that a wrong scale would show.
    common = {"batch_size": 4, "objective": {"min_snr_gamma": 5}, "optim": {"lr": 1.0, "eps": 1.0, "weight_decay": 0}}
    whole = train(config(epsilon_base, person, **common))
    split = train(config(epsilon_base, person, **common, name="split", gradient_accumulation=4))
    assert difference(whole, split) < 1e-6
    for one, other in zip(metrics(person), metrics(person, "split"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)


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


@pytest.mark.parametrize("mode", ["images", "none"])
def test_the_other_priors_train(v_base: Path, person: Person, mode: str) -> None:
    train(config(v_base, person, steps=2, objective={"prior": {"mode": mode, "images": 3, "batch_size": 1}}))
    assert ("loss_prior" in metrics(person)[-1]) == (mode == "images")
    assert (person.cache / "class").exists() == (mode == "images")


def test_the_frozen_prior_starts_at_zero_and_holds_the_base_in_place(v_base: Path, person: Person) -> None:
    train(config(v_base, person, steps=6))
    prior = [line["loss_prior"] for line in metrics(person)]
    assert prior[0] == pytest.approx(0, abs=1e-12) and prior[-1] > 0


@pytest.mark.parametrize("changes", [{}, {"method": "dreambooth"}, {"gradient_checkpointing": True}])
def test_what_is_compiled_trains_the_same(v_base: Path, person: Person, changes: dict[str, Any]) -> None:
    train(config(v_base, person, steps=2, **changes))
    torch._dynamo.reset()
    counters.clear()
    adapter = train(config(v_base, person, steps=2, **changes, compile="aot_eager", name="compiled"))
    assert counters["stats"]["unique_graphs"] > 0
    for one, other in zip(metrics(person), metrics(person, "compiled"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-3)
    for file in adapter.rglob("*.safetensors"):
        assert load_file(file).keys() == load_file(person.adapters / "run" / file.relative_to(adapter)).keys()


def test_a_base_without_repeated_blocks_is_not_compiled(
    v_base: Path, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UNet2DConditionModel, "_repeated_blocks", [])
    with pytest.raises(LikenessError, match="no blocks of UNet2DConditionModel"):
        train(config(v_base, person, compile="aot_eager"))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_dreambooth_with_average_goes_on_exactly(v_base: Path, person: Person, precision: str) -> None:
    changes = {"method": "dreambooth", "mixed_precision": precision, "optim": {"lr": 1e-3}}
    train(config(v_base, person, **changes, steps=3))
    train(config(v_base, person, **changes, steps=5))
    train(config(v_base, person, **changes, steps=5, name="straight"))
    file = "unet/diffusion_pytorch_model.safetensors"
    assert difference(person.adapters / "run", person.adapters / "straight", file) == 0
    newest = checkpoint.newest(person.runs / "run" / "checkpoints")
    assert newest is not None
    saved = checkpoint.load(newest)
    assert saved.ema is not None
    kept = load_file(person.adapters / "run" / file)
    key = "unet.conv_in.weight"
    torch.testing.assert_close(kept["conv_in.weight"], saved.ema[key].to(kept["conv_in.weight"].dtype))
    assert not torch.equal(saved.ema[key], saved.trained[key])


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"lora": {"rank": 2, "text_encoder": True, "dropout": 0.3, "dora": True}, "gradient_checkpointing": True},
        {"method": "dreambooth", "dreambooth": {"text_encoder": True, "ema": {"enabled": False}}},
        {"optim": {"name": "prodigy", "lr": 1.0}, "lora": {"rank": 2, "rslora": True}, "mixed_precision": "bf16"},
    ],
    ids=["text-dora-dropout", "dreambooth-text", "prodigy-bf16"],
)
def test_every_way_of_training_goes_on_exactly(v_base: Path, person: Person, changes: dict[str, Any]) -> None:
    train(config(v_base, person, **changes, steps=2))
    train(config(v_base, person, **changes, steps=4))
    train(config(v_base, person, **changes, steps=4, name="straight"))
    for file in (person.adapters / "straight").rglob("*.safetensors"):
        name = str(file.relative_to(person.adapters / "straight"))
        assert difference(person.adapters / "run", person.adapters / "straight", name) == 0


@pytest.mark.slow
def test_gradient_checkpointing_changes_nothing(v_base: Path, person: Person) -> None:
    plain = train(config(v_base, person))
    frugal = train(config(v_base, person, name="frugal", gradient_checkpointing=True))
    # Not bit by bit: attention is another kernel's where gradients are checkpointed, and rounds otherwise.
    assert difference(plain, frugal) < 2e-5


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
