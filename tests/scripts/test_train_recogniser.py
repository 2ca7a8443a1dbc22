"""The recogniser of the drawn world is trained on true identities: its loss, its figures, and a run that goes on."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from likeness.faces.world import WorldRecogniser, WorldSettings, load
from scripts.recogniser import faces, learn

SIZES = {"id": "tiny", "side": 16, "stem": 4, "widths": (6,), "blocks": (1,), "dim": 8}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Six "people" of plain colours, two portraits and a selfie each, with the landmarks that a renderer would give."""
    rng = np.random.default_rng(0)
    points = {
        "eye_right": [30, 30],
        "eye_left": [60, 30],
        "nose": [45, 47],
        "mouth_right": [33, 64],
        "mouth_left": [57, 64],
    }
    for number in range(6):
        folder = tmp_path / "people" / f"p{number:06d}"
        folder.mkdir(parents=True)
        names = ("headshot_00.jpg", "headshot_01.jpg", "selfie_00.jpg")
        for name in names:
            rgb = np.clip(rng.integers(30, 220, 3) + rng.normal(0, 5, (96, 96, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(rgb).save(folder / name)
        (folder / "person.json").write_text(json.dumps({"shots": {name: {"landmarks": points} for name in names}}))
    return tmp_path / "people"


def test_the_margin_is_taken_off_the_own_person_s_cosine() -> None:
    torch.manual_seed(0)
    network = WorldRecogniser(WorldSettings.parse(SIZES)).eval()
    loss = learn.CosFace(network, people=5, scale=10.0, margin=0.25).eval()
    crops, person = torch.rand(4, 3, 16, 16), torch.tensor([0, 4, 2, 2])
    vectors = network(crops).double().detach().numpy()
    centres = loss.centres.double().detach().numpy()
    expected = []
    for vector, own in zip(vectors, person.tolist(), strict=True):
        logits = [10 * float(vector @ c) / float(np.linalg.norm(c)) for c in centres]
        logits[own] -= 10 * 0.25
        expected.append(np.log(np.exp(logits).sum()) - logits[own])
    assert float(loss(crops, person).detach()) == pytest.approx(np.mean(expected), abs=1e-4)


def test_figures_count_pairs_and_nearest_portraits() -> None:
    """Three people; the third's selfie lies nearest to the first's portrait."""
    found = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [-1, 0], [0.8, 0.6]])
    person = np.array([0, 0, 1, 1, 2, 2])
    portrait = np.array([True, False] * 3)
    figures = learn.judge(found, person, portrait, false_matches=0.5)
    assert figures["rank_1"] == pytest.approx(2 / 3)
    assert (figures["pairs_same"], figures["pairs_different"]) == (3, 12)
    assert figures["same_median"] == 1 and figures["threshold"] == figures["different_median"] == 0
    assert figures["true_matches"] == pytest.approx(2 / 3)


def test_faces_are_cut_by_their_true_points(people: Path, tmp_path: Path) -> None:
    read = faces.read([people], tmp_path / "faces.npz")
    assert read.cuts.shape == (18, faces.CUT, faces.CUT, 3) and read.portrait.sum() == 12
    eyes = read.points[0][1] - read.points[0][0]
    assert eyes[0] == pytest.approx(faces.CUT / faces.ROOM * 0.29, rel=0.05) and abs(eyes[1]) < 0.1
    again = faces.read([people / "nobody"], tmp_path / "faces.npz")  # kept, not cut anew
    assert np.array_equal(again.cuts, read.cuts)
    part = read.of(np.array([1, 4]))
    assert part.person.tolist() == [0] * 3 + [1] * 3
    rng = [np.random.default_rng([3, k]) for k in (0, 0, 1)]
    first, same, other = (faces.batch(read, 4, 16, r)[0] for r in rng)
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert first.shape == (4, 3, 16, 16) and first.min() >= -1 and first.max() <= 1


def test_a_run_writes_a_recogniser_that_loads_and_goes_on(people: Path, tmp_path: Path) -> None:
    overrides = [f"network.{key}={list(value) if isinstance(value, tuple) else value}" for key, value in SIZES.items()]
    overrides += ["training.held_out=2", "training.batch=4", "training.steps=3"]
    command = [sys.executable, "scripts/train_recogniser.py", "--config", "scripts/recogniser/cpu.yaml"]
    command += ["--people", str(people), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    subprocess.run([*command, *overrides], check=True, capture_output=True)
    first = (tmp_path / "out" / "SHA256SUMS").read_text()
    network = load(tmp_path / "out")
    figures = json.loads((tmp_path / "out" / "held_out.json").read_text())["held_out"]
    assert network.settings.threshold == round(figures["threshold"], 3) and figures["pairs_same"] == 6
    subprocess.run([*command, *overrides], check=True, capture_output=True)  # nothing left to do: the same again
    assert (tmp_path / "out" / "SHA256SUMS").read_text() == first
