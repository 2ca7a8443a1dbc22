"""The recogniser that is shipped is the one that was measured, and tells the cohort apart."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.faces import FaceFinder, embedder
from likeness.faces.reference import embed_photo
from likeness.faces.world import SIDE, folder, load
from tests import photos
from tests.shipped import recorded


def test_files_are_those_recorded() -> None:
    assert folder() / "model.safetensors" in recorded(folder())
    assert 3e6 < (folder() / "model.safetensors").stat().st_size < 6e6
    assert load().side == SIDE


def test_selfies_lie_nearest_to_their_own_portrait_and_strangers_under_the_threshold() -> None:
    finder, world = FaceFinder(), embedder("world")
    people = photos.by_tone(2)
    portraits = [embed_photo(person / "headshot_00.jpg", finder, world) for person in people]
    selfies = [embed_photo(person / "selfie_00.jpg", finder, world) for person in people]
    cosines = (
        np.stack([vector for vector in selfies if vector is not None])
        @ np.stack([vector for vector in portraits if vector is not None]).T
    )
    assert cosines.shape == (20, 20)
    assert (cosines.argmax(axis=1) == np.arange(20)).mean() >= 0.9
    others = cosines[~np.eye(20, dtype=bool)]
    assert np.median(np.diag(cosines)) > world.threshold > np.quantile(others, 0.98)
    assert np.median(others) == pytest.approx(world.different, abs=0.1)
