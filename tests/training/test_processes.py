"""What only whole processes can show: death, several of them, and the trackers."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from likeness import randomness
from likeness.person import Person
from tests import tiny_families
from tests.training.made import make_person

ROOT = Path(__file__).parents[2]
WEIGHTS = "pytorch_lora_weights.safetensors"
# A large eps makes Adam move in proportion to the gradient, so that a wrong scale of it would show.
RECIPE = ["lora.rank=2", "optim.lr=1.0", "optim.eps=1.0", "optim.weight_decay=0", "evaluation.every=0"]

pytestmark = pytest.mark.slow


def command(base: Path, person: Person, name: str, *more: str) -> list[str]:
    settings = [f"base={base}", f"person={person.folder}", f"name={name}", *RECIPE, *more]
    return [sys.executable, str(ROOT / "train.py"), *settings]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "PYTHONPATH": str(ROOT)}


def attempt(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, check=False, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=900
    )


def run(arguments: list[str]) -> None:
    done = attempt(arguments)
    assert done.returncode == 0, done.stderr[-3000:]


def kill_at(arguments: list[str], metrics: Path, step: int) -> None:
    """Starts a run and kills it without warning as soon as it has logged ``step``."""
    with subprocess.Popen(arguments, env=environment(), cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 600
        while process.poll() is None and time.monotonic() < until:
            if metrics.is_file() and f'"step": {step},' in metrics.read_text():
                process.kill()
                break
            time.sleep(0.002)
    assert process.returncode == -9, "the run was over before it could be killed"


def test_killed_and_gone_on_with_twice_it_is_the_same_run(v_base: Path, person: Person) -> None:
    steps = 40
    more = (f"steps={steps}", "batch_size=2", "checkpoint.every=4", "optim.schedule=cosine")
    run(command(v_base, person, "whole", *more))
    seed = time.time_ns()
    first = 5 + randomness.integer(12, seed, "first kill")
    second = first + 5 + randomness.integer(12, seed, "second kill")
    print(f"killed at steps {first} and {second}")
    killed = command(v_base, person, "killed", *more)
    for step in (first, second):
        kill_at(killed, person.runs / "killed" / "metrics.jsonl", step)
        assert not (person.adapters / "killed").exists()
    run(killed)
    adapters = [person.adapters / name / WEIGHTS for name in ("whole", "killed")]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()
    lines = [(person.runs / name / "metrics.jsonl").read_text().splitlines() for name in ("whole", "killed")]
    losses = [[(line["step"], line["loss"]) for line in map(json.loads, of_run)] for of_run in lines]
    assert losses[0] == losses[1] and len(losses[0]) == steps


def test_accelerates_launcher_says_that_it_starts_one_process_on_cpus(v_base: Path, person: Person) -> None:
    launch = "-m accelerate.commands.launch --cpu --num_processes 2 --num_machines 1 --mixed_precision no"
    arguments = [
        sys.executable,
        *launch.split(),
        "--dynamo_backend",
        "no",
        *command(v_base, person, "lone", "steps=1")[1:],
    ]
    done = attempt(arguments)
    assert done.returncode == 0 and "torchrun --nproc_per_node" in done.stderr


def test_an_error_of_one_process_is_told_by_it_and_one_of_all_once(
    v_base: Path, person: Person, tmp_path: Path
) -> None:
    """As on two machines, the second of which lacks the base."""
    script = tmp_path / "node.py"
    script.write_text(
        "import os, sys\nfrom training.run import main\n"
        "absent = ['base=absent'] if os.environ['RANK'] in sys.argv[1] else []\nsys.exit(main(sys.argv[2:] + absent))\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    settings = command(v_base, person, "nodes", "steps=1", "batch_size=2")[2:]
    for lacking, expected in (("1", "error (process 1): there is no base"), ("01", "error: there is no base")):
        done = attempt([*launch, lacking, *settings])
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
        assert done.returncode != 0 and line.startswith(expected)


def test_machines_that_do_not_share_the_folder_do_not_go_on_from_different_steps(
    v_base: Path, person: Person, tmp_path: Path
) -> None:
    """The second one has no checkpoint: its weights would be others, and its last steps nobody's."""
    alone = make_person(tmp_path / "other" / person.name)
    script = tmp_path / "node.py"
    script.write_text(
        "import os, sys\nfrom training.run import main\n"
        "folder = [f'person={sys.argv[1]}'] if os.environ['RANK'] == '1' else []\nsys.exit(main(sys.argv[2:] + folder))\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    settings = command(v_base, person, "nodes", "steps=1", "batch_size=2")
    run(settings)
    done = attempt([*launch, str(script), str(alone.folder), *settings[2:], "steps=3"])
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert done.returncode != 0 and "do not have the same settings and checkpoints" in line and "share" in line


def test_two_processes_make_the_adapter_of_one(v_base: Path, person: Person) -> None:
    more = ("steps=6", "batch_size=4", "objective.min_snr_gamma=5", "optim.schedule=linear", "checkpoint.every=3")
    alone = command(v_base, person, "alone", *more)
    together = command(v_base, person, "together", *more, "gradient_accumulation=2")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    run(alone)
    run([*launch, *together[1:]])
    unequal = attempt([*launch, *together[1:], "name=unequal", "batch_size=6"])
    assert "batch_size is 6, which 2 processes x 2" in unequal.stderr, "there were not two processes"
    one, two = (load_file(person.adapters / name / WEIGHTS) for name in ("alone", "together"))
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-6
    assert max(float(tensor.abs().max()) for key, tensor in one.items() if "lora_B" in key) > 1e-3, "nothing was learnt"
    logs = [(person.runs / name / "metrics.jsonl").read_text().splitlines() for name in ("alone", "together")]
    for line, other in zip(*(map(json.loads, log) for log in logs), strict=True):
        assert (line["step"], line["lr"]) == (other["step"], other["lr"]), "the schedule counts steps, not processes"
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert line["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)
    resumed = command(v_base, person, "together", *more, "gradient_accumulation=2", "steps=8")
    run(resumed)
    assert json.loads((person.adapters / "together" / "adapter.json").read_text())["steps"] == 8


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("qwen-image", ["gradient_accumulation=2"]),
        ("sdxl", ["lora.text_encoder=true", "gradient_checkpointing=true"]),
    ],
)
def test_two_processes_do_not_wait_for_what_gets_no_gradient(
    tmp_path: Path, person: Person, name: str, more: list[str]
) -> None:
    base = tiny_families.make(name, tmp_path / name)
    settings = ("steps=3", "batch_size=4", "data.resolution=32")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    run(command(base, person, "alone", *settings, *more))
    run([*launch, *command(base, person, "together", *settings, *more)[1:]])
    one, two = (load_file(person.adapters / run_name / WEIGHTS) for run_name in ("alone", "together"))
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-5
    assert max(float(tensor.abs().max()) for key, tensor in one.items() if "lora_B" in key) > 1e-3, "nothing was learnt"


def test_two_processes_make_the_adapter_of_one_over_buckets(v_base: Path, tmp_path: Path) -> None:
    person = make_person(tmp_path / "people" / "bucket", more=[(32, "portrait"), (64, "square"), (64, "portrait")])
    more = ("steps=6", "batch_size=4", "data.resolution=[32, 64]", "data.shape=[square, portrait]")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    run(command(v_base, person, "alone", *more))
    run([*launch, *command(v_base, person, "together", *more, "gradient_accumulation=2")[1:]])
    one, two = (load_file(person.adapters / name / WEIGHTS) for name in ("alone", "together"))
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-6
    assert max(float(tensor.abs().max()) for key, tensor in one.items() if "lora_B" in key) > 1e-3, "nothing was learnt"
