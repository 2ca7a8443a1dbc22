"""The command that makes the pocket base, in a size that is nothing but its ways: by one process, by two, and cut short."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from diffusers import StableDiffusionPipeline
from PIL import Image

from tests.scripts.test_pocket_base import FACES

ROOT = Path(__file__).parents[2]
TINY = [
    "size=32", "mixed_precision=no", "vae.channels=[16,32,64]", "vae.latent_channels=4", "vae.batch=2", "vae.steps=1", "vae.pool=4",
    "vae.minutes=[1,1,1]", "denoiser.channels=[32,32]", "denoiser.heads=[1,1]", "denoiser.attention=[false,true]",
    "denoiser.text_width=16", "denoiser.text_layers=1", "denoiser.text_heads=1", "denoiser.text_length=24",
    "denoiser.vocabulary=500", "denoiser.batch=2", "denoiser.views=1", "denoiser.steps=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    words = {
        "kind": "headshot", "background": "grey background", "outfit": "a blue top", "light": "soft light",
        "expression": "smiling", "pose": "", "glasses": False,
    }  # fmt: skip
    for number in range(3):
        own = folder / f"p{number}"
        own.mkdir()
        pixels = np.random.default_rng(number).integers(0, 256, (256, 256, 3), np.uint8)
        Image.fromarray(pixels).save(own / "headshot_00.png")
        (own / "person.json").write_text(
            json.dumps({"shots": {"headshot_00.png": {"words": words, "landmarks": FACES}}})
        )
    return folder


def make(people: Path, work: Path, *settings: str, processes: int = 1) -> Path:
    launch = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)] if processes > 1 else []
    )
    command = [sys.executable, *launch, "scripts/train_pocket_base.py", "--config", "scripts/pocket_base/gpu.yaml"]
    command += ["--people", str(people), "--work", str(work), "--out", str(work / "out"), *TINY, *settings]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return work / "out"


@pytest.mark.slow
def test_two_processes_make_one_base_together(people: Path, tmp_path: Path) -> None:
    """From nothing, where one that waited for the other's autoencoder would wait for ever."""
    out = make(people, tmp_path / "work", processes=2)
    assert StableDiffusionPipeline.from_pretrained(out).unet.config.sample_size == 8


@pytest.mark.slow
def test_minutes_end_a_run_of_two_processes_at_one_step(people: Path, tmp_path: Path) -> None:
    """By one clock: with one each they would part at the last step."""
    make(people, tmp_path / "work", "denoiser.steps=100000", "denoiser.minutes=0.05", processes=2)


@pytest.mark.slow
def test_what_a_cut_run_left_is_not_taken_for_whole(people: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / ".vae.0123456789ab.tmp").mkdir(parents=True)
    (work / "latents.tmp").write_bytes(b"half")
    made = (make(people, work) / "SHA256SUMS").read_text()
    assert (make(people, work) / "SHA256SUMS").read_text() == made
