"""Adapters on bases in fewer bits, trained and drawn with the real weights of bitsandbytes and torchao, where these and a GPU are."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch

from inference.renderer import Renderer, RenderJob, Sampling
from likeness.errors import LikenessError
from likeness.families import quantization
from likeness.families.quantization import Kind, Quantization
from likeness.person import Person
from tests.families.common import NEGATIVE, PROMPT, SEED, SIDE, STEPS, config
from training.run import train

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


# An adapter of the tiny klein changes 1 of 255, no more than the rounding of bfloat16 does: there its alpha is larger.
@pytest.mark.parametrize(("name", "alpha"), [("sdxl", 3), ("flux2-klein", 90), ("z-image", 3)])
@pytest.mark.parametrize("kind", [kind for kind in get_args(Kind) if kind != "none"])
def test_an_adapter_is_trained_and_drawn_on_fewer_bits(
    kind: Kind, name: str, alpha: float, bases: Callable[[str], Path], person: Person
) -> None:
    bits = Quantization(kind=kind, text_encoders=True)
    try:
        quantization.check(bits, DEVICE)
    except LikenessError as error:
        pytest.skip(str(error))
    base, jobs = str(bases(name)), [RenderJob(PROMPT, NEGATIVE, SEED)]
    changes = {"quantize": bits.model_dump(), "lora": {"rank": 2, "alpha": alpha}}
    adapter = train(config(bases(name), person, f"{name}-{kind}", **changes))

    def drawn(adapter: Path | None, bits: Quantization) -> npt.NDArray[np.float64]:
        renderer = Renderer(base, adapter, DEVICE, quantize=bits)
        kept.append(quantization.precision(renderer.family.denoiser))
        (picture,) = renderer.render(jobs, Sampling(steps=STEPS, width=SIDE, height=SIDE))
        return np.asarray(picture, np.float64)

    kept: list[str] = []
    plain, low = (drawn(None, one) for one in (Quantization(), bits))
    adapted, low_adapted = (drawn(adapter, one) for one in (Quantization(), bits))
    assert kept[0] != kept[1]
    # Fewer bits move a picture a little, of 255, and the adapter does to it what it does on the whole base.
    assert 0 < np.abs(low - plain).mean() < 5
    assert np.corrcoef((low_adapted - low).ravel(), (adapted - plain).ravel())[0, 1] > 0.9
