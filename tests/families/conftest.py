"""A tiny base of every family and an adapter trained on it, each made when it is first asked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from likeness.person import Person
from tests import tiny_families
from tests.families.common import SIDE, config
from tests.training.made import make_person
from training.run import train


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny base, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("bases")

    def base(name: str) -> Path:
        return folder / name if (folder / name).exists() else tiny_families.make(name, folder / name)

    return base


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return make_person(tmp_path_factory.mktemp("people") / "zebulon", resolution=SIDE)


@pytest.fixture(scope="session")
def adapters(bases: Callable[[str], Path], person: Person) -> Callable[[str], Path]:
    """The folder of an adapter of a family's tiny base, trained when it is first asked for."""

    def made(name: str) -> Path:
        folder = person.adapters / name
        return folder if folder.exists() else train(config(bases(name), person, name))

    return made
