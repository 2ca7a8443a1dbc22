"""A panel tells whom pictures look like: tried on the cohort, where the truth is known."""

from __future__ import annotations

import pytest
from PIL import Image

from likeness import resources
from likeness.faces import FaceFinder, Reference, embedder
from likeness.faces.panel import Panel

COHORT = sorted(path for path in (resources.assets() / "cohort").iterdir() if path.is_dir())[:4]


@pytest.fixture(scope="module")
def panel() -> Panel:
    finder, recogniser = FaceFinder(), embedder()
    photos = [sorted(folder.glob("selfie_*.jpg"))[:3] for folder in COHORT]
    others = [Reference.of(each, finder, recogniser).embeddings.tolist() for each in photos[1:]]
    return Panel(Reference.of(photos[0], finder, recogniser), others, finder, recogniser)


def portraits(number: int) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(COHORT[number].glob("headshot_*.jpg"))[:2]]


def test_the_persons_own_portraits_come_first(panel: Panel) -> None:
    score = panel.score(portraits(0))
    assert (score.rank, score.rank_1, score.faces) == (1, 1.0, 1.0)
    assert score.likeness > 0.6


def test_another_persons_portraits_do_not(panel: Panel) -> None:
    score = panel.score(portraits(1))
    assert score.rank > 1
    assert score.likeness < panel.score(portraits(0)).likeness - 0.3


def test_pictures_without_a_face_count_as_nobody(panel: Panel) -> None:
    blank = Image.new("RGB", (128, 128), "grey")
    nobody, half = panel.score([blank]), panel.score([*portraits(0)[:1], blank])
    assert (nobody.likeness, nobody.rank, nobody.faces) == (0.0, 4, 0.0)
    assert half.faces == 0.5
    assert half.rank_1 == 0.5
