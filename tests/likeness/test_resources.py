from pathlib import Path

import pytest

from likeness import resources
from likeness.errors import LikenessError


def test_packaged_folders() -> None:
    assert resources.assets().parent.name == "likeness"
    assert resources.configs() == Path(__file__).parents[2] / "configs"


def test_configs_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "likeness" / "configs").mkdir(parents=True)
    monkeypatch.setattr(resources, "__file__", str(tmp_path / "likeness" / "resources.py"))
    assert resources.configs() == tmp_path / "likeness" / "configs"


def test_a_packaged_configuration_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    packaged = resources.configs() / "sdxl.yaml"
    assert resources.config(Path("configs/sdxl.yaml")) == resources.config(Path("sdxl.yaml")) == packaged
    assert resources.config(Path("mine/sdxl.yaml")) == Path("mine/sdxl.yaml")  # which is not there
    Path("configs").mkdir()
    Path("configs/sdxl.yaml").touch()
    assert resources.config(Path("configs/sdxl.yaml")) == Path("configs/sdxl.yaml")


def test_what_a_base_is_called_tells_no_path(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").touch()
    for path in (tmp_path / "mine.safetensors", tmp_path / "moved" / "mine.safetensors", Path("~/mine.safetensors")):
        assert resources.without_path(str(path)) == "mine.safetensors"
    assert resources.without_path("org/name") == "org/name" and resources.without_path("pocket") == "pocket"
    assert resources.without_path(str(tmp_path / "pocket")) == "./pocket"  # which the packaged one is not


def test_bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LikenessError, match=r"not a base model: it has no model_index\.json"):
        resources.base(str(tmp_path))
    (tmp_path / "org" / "local").mkdir(parents=True)
    (tmp_path / "org" / "local" / "model_index.json").touch()
    assert resources.base("org/local") == "org/local"
    assert resources.base("org/name-1.5") == "org/name-1.5"


@pytest.mark.parametrize(
    "name", ["", "poket", "./org/name", "/no/such/folder", "a/b/c", "../x", "org/", "~/nothing here"]
)
def test_bases_that_are_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LikenessError):
        resources.base(name)


def test_the_packaged_base_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pocket").mkdir()
    (tmp_path / "pocket" / "model_index.json").touch()
    monkeypatch.setattr(resources, "assets", lambda: tmp_path)
    assert resources.base("pocket") == str(tmp_path / "pocket")
