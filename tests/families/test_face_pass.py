"""The face pass on every family: what the stock image-to-image pipeline draws of the square, put back where it was."""

from collections.abc import Callable
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from inference.face_pass import Closeup, FacePass
from inference.renderer import Renderer, RenderJob, Sampling
from likeness.errors import LikenessError
from likeness.families import family_named
from tests.families.common import FLOWS, NAMES, NEGATIVE, PROMPT, SEED, SIDE, STEPS, STOCK

CLOSER = f"{PROMPT}, close-up"
LEFT, TOP, LARGER = 7, 3, 2
STRENGTH = 0.5
REDRAWN = [name for name in NAMES if family_named(name).redraw_class]


def closeup(_: FacePass, picture: Image.Image) -> Closeup:
    """As if a tiny random base drew a face there."""
    size = picture.width * LARGER, picture.height * LARGER
    return Closeup(picture.resize(size, Image.Resampling.LANCZOS), (LEFT, TOP))


@pytest.mark.parametrize("name", REDRAWN)
def test_a_face_is_drawn_again_as_the_stock_pipeline_does(
    name: str,
    bases: Callable[[str], Path],
    adapters: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FacePass, "_closeup", closeup)
    renderer = Renderer(str(bases(name)), adapters(name), "cpu")
    monkeypatch.setattr(type(renderer.family), "resolution", SIDE)
    jobs = [RenderJob(PROMPT, NEGATIVE, SEED + number, CLOSER) for number in range(2)]
    sampling = {"steps": 2 * STEPS, "guidance_scale": 3.0, "width": SIDE, "height": SIDE}
    first, plain = renderer.render(jobs, Sampling.parse(sampling))
    _, again = renderer.render(jobs, Sampling.parse(sampling | {"face_strength": STRENGTH}))

    whole = closeup(None, plain).picture  # type: ignore[arg-type]
    square = (LEFT, TOP, LEFT + SIDE, TOP + SIDE)
    stock = getattr(diffusers, renderer.family.redraw_class).from_pretrained(bases(name))
    stock.load_lora_weights(adapters(name))
    stock.set_progress_bar_config(disable=True)
    expected = stock(
        prompt=CLOSER,
        image=whole.crop(square),
        strength=STRENGTH,
        num_inference_steps=2 * STEPS,
        generator=torch.Generator().manual_seed(SEED + 1),
        **STOCK[name][1],
        **({"height": SIDE, "width": SIDE} if name in FLOWS else {}),
    ).images[0]
    assert again.size == whole.size
    inside = np.s_[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4]
    drawn, theirs, before = (
        np.asarray(one, np.int16)[inside] for one in (again.crop(square), expected, whole.crop(square))
    )
    assert np.abs(drawn - theirs).max() <= 2 < np.abs(drawn - before).max()
    outside = np.s_[TOP + SIDE + 1 :]
    np.testing.assert_array_equal(np.asarray(again)[outside], np.asarray(whole)[outside])
    assert first.size == plain.size == (SIDE, SIDE)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in REDRAWN])
def test_a_family_that_diffusers_draws_not_again_is_refused(name: str, bases: Callable[[str], Path]) -> None:
    renderer = Renderer(str(bases(name)), None, "cpu")
    with pytest.raises(LikenessError, match="Leave face_strength at 0"):
        renderer.render(
            [RenderJob(PROMPT, "", 0)], Sampling.parse({"face_strength": 0.3, "width": SIDE, "height": SIDE})
        )
