"""A base's licence is told once, kept with the adapter, and must be accepted where it is not open; so is its revision."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import huggingface_hub
import pytest
from diffusers import DiffusionPipeline
from huggingface_hub.errors import GatedRepoError

from inference import bleed
from inference.renderer import Renderer, Sampling
from likeness import adapter
from likeness.errors import LikenessError
from likeness.families import family_class, licence_of
from likeness.families.stable_diffusion import StableDiffusion
from likeness.families.variant import Variant
from likeness.person import Person
from tests.families.common import NAMES, SIDE, config
from tests.likeness.test_cli import run
from training.run import train

QUIET: dict[str, Any] = {"steps": 1, "evaluation": {"every": 0}, "samples": {"every": 0}}
MUST_BE_ACCEPTED = {
    "krea2": ("krea-2-community-license", "is free only below a yearly revenue"),
    "sd35": ("stabilityai-ai-community", "is free only below a yearly revenue"),
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def with_card(base: Path, folder: Path, front: str | None) -> Path:
    """A copy of the base under a model card that declares this; without a card for None."""
    shutil.copytree(base, folder)
    (folder / "README.md").unlink()
    if front is not None:
        (folder / "README.md").write_text(f"---\n{front}\n---\n# A base\n")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_licence_that_is_not_open_must_be_accepted(
    name: str, bases: Callable[[str], Path], person: Person, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = with_card(bases(name), tmp_path / name, None)
    settings = config(base, person, f"{name}-licensed", **QUIET)
    if name in MUST_BE_ACCEPTED:
        licence, limits = MUST_BE_ACCEPTED[name]
        for refused in (lambda: train(settings), lambda: Renderer(str(base), None, "cpu")):
            with pytest.raises(LikenessError, match=rf"{licence}, {limits}.*accept_license=true.*--accept-l"):
                refused()
        assert not (person.runs / settings.run_name).exists()
        settings = settings.model_copy(update={"accept_license": True})
        Renderer(str(base), None, "cpu", accept_license=True)
    capsys.readouterr()
    info = adapter.read_info(train(settings))
    assert info is not None and info.licence == licence_of(str(base)) != ""
    assert capsys.readouterr().out.count(info.licence) == 1
    assert info.revision == ""


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ("license: cc-by-nc-4.0", "cc-by-nc-4.0, forbids commercial use"),
        (
            "license: other\nlicense_name: flux-non-commercial-license",
            "flux-non-commercial-license, forbids commercial",
        ),
        ("license: other", "other, is none of those known to be open"),
    ],
)
def test_what_a_model_card_declares_counts(front: str, said: str, bases: Callable[[str], Path], tmp_path: Path) -> None:
    base = with_card(bases("sd15"), tmp_path / "base", front)
    with pytest.raises(LikenessError, match=said):
        Renderer(str(base), None, "cpu")
    assert Renderer(str(base), None, "cpu", accept_license=True).family.licence in said


def test_the_larger_klein_is_not_for_business(bases: Callable[[str], Path], tmp_path: Path) -> None:
    base = with_card(bases("flux2-klein"), tmp_path / "klein", None)
    assert licence_of(str(base)) == "apache-2.0"
    file = base / "transformer" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"joint_attention_dim": 3 * 4096}))
    with pytest.raises(LikenessError, match="flux-non-commercial-license, forbids commercial use"):
        Renderer(str(base), None, "cpu")


def test_the_command_tells_the_licence_and_takes_the_acceptance(
    bases: Callable[[str], Path],
    person: Person,
    adapters: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base, trained = with_card(bases("sd15"), tmp_path / "base", "license: cc-by-nc-4.0"), adapters("sd15")
    common = ["--base", str(base), "--adapter", str(trained), "--count", "1", "--steps", "1", "--size", "32"]
    capsys.readouterr()
    assert run(monkeypatch, "render", str(person.folder), *common) == 2
    said = capsys.readouterr().err.strip()
    assert "--accept-license" in said and "\n" not in said
    more = ["--max-oversample", "1", "--device", "cpu", "--accept-license"]
    assert run(monkeypatch, "render", str(person.folder), *common, *more) == 0
    assert capsys.readouterr().err.count("cc-by-nc-4.0") == 1


def test_a_base_of_the_hub_is_pinned_by_its_commit(
    bases: Callable[[str], Path],
    person: Person,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The hub is played by a folder laid out as its cache; what it is asked for is what counts."""
    snapshot = tmp_path / "models--some--base" / "snapshots" / COMMIT
    shutil.copytree(bases("sd15"), snapshot)
    small, whole = [], []

    def glance(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        assert not any("safetensors" in pattern for pattern in allow_patterns)
        small.append(revision)
        return str(snapshot)

    def download(name: str, **options: Any) -> str:
        whole.append(options["revision"])
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", glance)
    monkeypatch.setattr(DiffusionPipeline, "download", download)
    settings = config(bases("sd15"), person, "pinned", **QUIET)
    folder = train(settings.model_copy(update={"base": "some/base", "revision": "main"}))
    info = adapter.read_info(folder)
    assert info is not None and info.revision == COMMIT
    assert {*small, *whole} == {"main"}
    small.clear()
    whole.clear()
    with monkeypatch.context() as drawing_alone:
        drawing_alone.setattr(StableDiffusion, "sha256", lambda _: "of the same weights in half precision")
        Renderer("some/base", folder, "cpu")
    assert {*small, *whole} == {COMMIT}, "drawn with the commit that it was trained on"
    assert "other weights" not in caplog.text
    small.clear()
    whole.clear()
    monkeypatch.setattr(bleed, "_likenesses", lambda pictures, examiner: [0.0] * len(pictures))
    bleed.bleed(folder, cast(Any, None), 2, seed=0, sampling=Sampling(steps=1, width=SIDE, height=SIDE))
    assert {*small, *whole} == {COMMIT}, "and compared with that commit alone"


def test_a_revision_of_what_is_on_the_disk_is_refused(bases: Callable[[str], Path], person: Person) -> None:
    """Nothing there could be another one: it would be left out unsaid."""
    settings = config(bases("sd15"), person, "revised", **QUIET)
    with pytest.raises(LikenessError, match="revision=main names a commit of a base on the Hub.*Leave out revision"):
        train(settings.model_copy(update={"revision": "main"}))
    assert not (person.adapters / "revised").exists()


def test_a_base_that_must_be_accepted_is_not_fetched_first(
    bases: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = with_card(bases("sd35"), tmp_path / "base", None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(base))
    monkeypatch.setattr(DiffusionPipeline, "download", lambda *_, **__: pytest.fail("fetched"))
    with pytest.raises(LikenessError, match="stabilityai-ai-community"):
        Renderer("some/base", None, "cpu")
    assert family_class("some/base").name == "sd35", "nor to know its family"


@pytest.mark.parametrize("name", ["org/base", "org/lora/file.safetensors"])
def test_what_the_hub_gives_to_some_accounts_alone_says_how_to_get_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gated(*_: Any, **__: Any) -> None:
        answer: Any = SimpleNamespace(headers={}, request=None)
        raise GatedRepoError("401 Client Error. (Request ID: 1)\n\nAccess is restricted.", response=answer)

    monkeypatch.setattr("huggingface_hub.snapshot_download", gated)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", gated)
    with pytest.raises(
        LikenessError, match=r"accepted .* terms\. .*https://huggingface\.co/org/\w+ and log in \(hf auth"
    ):
        Variant(lora=name).lora_file() if name.endswith("tensors") else licence_of(name)
