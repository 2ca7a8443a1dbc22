"""The recogniser of the drawn world: alignment against an independent one, gradients, and its files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from likeness import files
from likeness.errors import LikenessError
from likeness.faces import FaceFinder, embedder
from likeness.faces.geometry import similarity_transform
from likeness.faces.world import WorldEmbedder, WorldRecogniser, WorldSettings, align, load, template
from tests import photos

TINY = WorldSettings(id="tiny", side=24, stem=4, widths=(6, 8), blocks=(1, 2), dim=10, threshold=0.6, different=0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny random recogniser, saved as the shipped one is."""
    torch.manual_seed(0)
    network = WorldRecogniser(TINY)
    state = {name: value.half() if value.dim() > 1 else value for name, value in network.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    files.write_json(tmp_path / "recogniser.json", TINY.model_dump(mode="json"))
    return tmp_path


def turned(angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """The template of 24 px, turned, scaled and shifted, its points not quite in place: as a face lies on a picture."""
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    scatter = np.random.default_rng(5).normal(0, 0.8, (5, 2))
    return template(24).numpy() @ np.array([[cos, sin], [-sin, cos]]) + np.array(shift) + scatter


def test_alignment_is_the_least_squares_similarity() -> None:
    """Pictures that hold their own coordinates say where every pixel of a crop came from."""
    width, height = 96, 80
    y, x = np.mgrid[:height, :width].astype(np.float64)
    picture = torch.from_numpy(np.stack([x, y, np.ones_like(x)]))[None]
    for points in (turned(0.3, 1.4, (30, 15)), turned(-0.7, 0.9, (20, 40)), turned(0.0, 2.2, (12, 9))):
        crop = align(picture, torch.from_numpy(points)[None], 24)[0].numpy()
        matrix = similarity_transform(points, template(24).numpy())
        back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
        j, i = np.mgrid[:24, :24].astype(np.float64)
        came_from = np.einsum("ab,bij->aij", back, np.stack([i, j, np.ones_like(i)]))
        inside = (came_from[0] > 1) & (came_from[0] < width - 2) & (came_from[1] > 1) & (came_from[1] < height - 2)
        assert inside.mean() > 0.5
        assert np.abs(crop[:2] - came_from[:2])[:, inside].max() < 1e-6


def test_gradients_reach_pixels_and_points() -> None:
    torch.manual_seed(1)
    picture = torch.rand(1, 1, 14, 15, dtype=torch.float64, requires_grad=True)
    points = (torch.from_numpy(turned(0.2, 0.4, (3, 2)))[None]).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: align(a, b, 4), (picture, points), eps=1e-7, atol=1e-4)


def test_a_crop_does_not_depend_on_the_others_of_its_batch() -> None:
    torch.manual_seed(2)
    pictures = torch.rand(2, 3, 60, 60)
    points = torch.from_numpy(np.stack([turned(0.1, 1.5, (8, 8)), turned(-0.2, 0.8, (20, 20))])).float()
    together = align(pictures, points, 24)
    alone = [align(pictures[k : k + 1], points[k : k + 1], 24)[0] for k in range(2)]
    assert torch.equal(together, torch.stack(alone))


def test_vectors_have_length_one_and_a_gradient(folder: Path) -> None:
    network = load(folder)
    crops = torch.rand(3, 3, network.side, network.side).requires_grad_()
    vectors = network(crops)
    assert vectors.shape == (3, 10) and torch.allclose(vectors.norm(dim=-1), torch.ones(3), atol=1e-6)
    (gradient,) = torch.autograd.grad(vectors[0, 0], crops)
    assert gradient[0].abs().sum() > 0 and gradient[1:].abs().sum() == 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_it_keeps_to_the_protocol_of_recognisers(folder: Path) -> None:
    recogniser = WorldEmbedder(folder)
    assert (recogniser.id, recogniser.dim, recogniser.threshold, recogniser.different) == ("tiny", 10, 0.6, 0.1)
    rgb = photos.pixels(photos.selfies(photos.people()[0])[0])
    (face, *_) = FaceFinder().find(rgb)
    vector = recogniser.embed(rgb, face)
    assert vector.shape == (10,) and vector.dtype == np.float32 and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    # The same face on a picture five times as large, which is shrunk before it is looked at.
    large = np.asarray(np.kron(rgb, np.ones((5, 5, 1), np.uint8)))
    moved = face.from_landmarks((face.landmarks + 0.5) * 5 - 0.5, face.score)
    assert float(vector @ recogniser.embed(large, moved)) > 0.995


def test_wrong_files_are_told_in_one_line(folder: Path) -> None:
    files.write_json(folder / "recogniser.json", TINY.model_copy(update={"dim": 11}).model_dump(mode="json"))
    with pytest.raises(LikenessError, match="do not fit"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(LikenessError, match="missing"):
        load(folder)
    with pytest.raises(LikenessError, match='no face recogniser "nobody"'):
        embedder("nobody")
