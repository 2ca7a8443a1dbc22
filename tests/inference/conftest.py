"""A person with a small adapter of a tiny base, for the tests of rendering."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from likeness import adapter
from likeness.adapter import LoraSettings
from likeness.families import load_family
from likeness.person import Consent, Person
from tests.likeness.test_adapter import info, train_a_little
from tests.tiny import make_tiny_base

CONSENT = Consent(who="Ana", basis="self", when=date(2026, 11, 23))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("base") / "tiny", "v_prediction")


@pytest.fixture
def person(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    person = Person.create(tmp_path / "people" / "ana", CONSENT)
    family = load_family(str(base))
    adapter.inject(family, LoraSettings(rank=2), seed=1)
    train_a_little(family)
    adapter.save(family, person.adapters / "first", info(family))
    yield person
