"""What a family cannot do is said before anything is begun."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.renderer import Renderer, RenderJob, Sampling
from likeness.errors import LikenessError
from likeness.families import Family, load_family
from likeness.person import Person
from tests.families.common import FLOWS, NAMES, PROMPT, READERS, SIDE, config
from training.run import train


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective": {"min_snr_gamma": 5}}, "min-SNR weighting has no meaning"),
        ({"data": {"resolution": SIDE + 2}}, "not a size of this base"),
    ],
)
def test_what_a_flow_cannot_do_is_refused(
    name: str, changes: dict[str, Any], said: str, bases: Callable[[str], Path], person: Person
) -> None:
    with pytest.raises(LikenessError, match=said):
        train(config(bases(name), person, "refused", **changes))
    assert not (person.runs / "refused").exists()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in READERS])
def test_a_text_encoder_whose_lora_no_pipeline_loads_is_not_trained(
    name: str, bases: Callable[[str], Path], person: Person
) -> None:
    with pytest.raises(LikenessError, match="load no LoRA of a text encoder"):
        train(config(bases(name), person, "refused", lora={"text_encoder": True}))
    assert not (person.runs / "refused").exists()
    # Should diffusers learn it, the refusal is to go.
    assert load_family(str(bases(name))).pipeline()._lora_loadable_modules == ["transformer"]


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_is_drawn_by_its_own_scheduler(name: str, bases: Callable[[str], Path]) -> None:
    renderer, size = Renderer(str(bases(name)), None, "cpu"), {"width": SIDE, "height": SIDE}
    for changes, said in (
        ({"scheduler": "ddim"}, "its own scheduler alone"),
        ({"guidance_rescale": 0.5}, "guidance_resc"),
        ({"eta": 0.5}, "eta"),
    ):
        with pytest.raises(LikenessError, match=said):
            renderer.render([RenderJob(PROMPT, "", 0)], Sampling.parse({**size, **changes}))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_base_cannot_read_is_told(name: str, bases: Callable[[str], Path]) -> None:
    family: Family = load_family(str(bases(name)))
    assert family.unread(PROMPT) == ""
    assert family.unread("a" * 1200 + "bcd").endswith("abcd")


def test_a_picture_that_aura_flow_has_no_places_for_is_refused(bases: Callable[[str], Path]) -> None:
    family = load_family(str(bases("aura-flow")))
    assert family.latent_shape(2 * SIDE, SIDE) == (4, 16, 8)
    with pytest.raises(LikenessError, match="72 x 32 px is too large for this base.*at most 64 px"):
        family.latent_shape(SIDE, 2 * SIDE + 8)


def test_a_qwen_image_that_is_told_its_guidance_is_refused(bases: Callable[[str], Path], tmp_path: Path) -> None:
    base = shutil.copytree(bases("qwen-image"), tmp_path / "distilled")
    config = base / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"guidance_embeds": True}))
    with pytest.raises(LikenessError, match="guidance_embeds.*undistilled"):
        load_family(str(base))
