"""Tiny bases and a person to train on them."""

from pathlib import Path

import pytest
import torch

from likeness.person import Person
from tests.tiny import make_tiny_base
from tests.training.made import make_person


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums in one order, so that runs can be compared bit by bit."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def epsilon_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("bases") / "epsilon", "epsilon")


@pytest.fixture(scope="session")
def v_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("bases") / "v", "v_prediction")


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return make_person(tmp_path / "people" / "zebulon")
