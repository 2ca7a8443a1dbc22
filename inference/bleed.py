"""Bleed: how much an adapter draws its person where nobody asked for them.

The same seeds are drawn by the base alone and with the adapter, from prompts without the trigger. What the likeness to the
person rises by is bleed: 0 is none, 1 would be the person on every picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inference.renderer import Renderer, RenderJob, Sampling
from likeness.adapter import read_info
from likeness.errors import LikenessError
from likeness.faces.examiner import Examiner
from likeness.faces.scorer import looked_at
from likeness.statistics import mean_interval

_ONE, _TWO = "a headshot of a {}", "a photo of two people"


def bleed(
    adapter: Path,
    examiner: Examiner,
    count: int,
    seed: int,
    sampling: Sampling | None = None,
    accept_license: bool = False,
) -> list[dict[str, Any]]:
    """One record a prompt: likeness drawn by the base alone and with the adapter, and the rise with its 95% interval.

    The rise is paired by seed, `count` (2 or more) pictures a prompt; of several faces on a picture the one most like them counts, and
    seeds without a face on either picture count for nothing. Raises LikenessError for an adapter made elsewhere, or a base that
    is not there.
    """
    info = read_info(adapter)
    if info is None:
        raise LikenessError("this adapter was made elsewhere: its class word is not known", path=adapter)
    prompts = (_ONE.format(info.class_word or "person"), _TWO)
    jobs = [RenderJob(prompt, "", seed + number) for prompt in prompts for number in range(count)]

    def drawn(with_adapter: Path | None) -> list[Image.Image]:
        # The same commit both times, or what the publisher changed since would be counted as the adapter's.
        renderer = Renderer(info.base, with_adapter, accept_license=accept_license, revision=info.revision or None)
        return renderer.render(jobs, sampling)

    # One after the other: two large bases may not fit side by side.
    alone, loaded = (_likenesses(drawn(chosen), examiner) for chosen in (None, adapter))
    return [
        _record(prompt, alone[start : start + count], loaded[start : start + count], seed)
        for prompt, start in zip(prompts, (0, count), strict=True)
    ]


def _record(prompt: str, alone: Sequence[float | None], loaded: Sequence[float | None], seed: int) -> dict[str, Any]:
    pairs = [(one, other) for one, other in zip(alone, loaded, strict=True) if one is not None and other is not None]
    rises = [other - one for one, other in pairs]
    interval = mean_interval(rises, seed, f"bleed {prompt}")
    return {
        "prompt": prompt,
        "pictures": len(alone),
        "compared": len(pairs),
        "likeness_alone": float(np.mean([one for one, _ in pairs])) if pairs else None,
        "likeness_with_adapter": float(np.mean([other for _, other in pairs])) if pairs else None,
        "rise": float(np.mean(rises)) if rises else None,
        "interval_95": asdict(interval) if interval else None,
    }


def _likenesses(pictures: Sequence[Image.Image], examiner: Examiner) -> list[float | None]:
    """Likeness of the face on each picture that is most like the person; None without a face."""
    found: list[float | None] = []
    for picture in pictures:
        rgb = looked_at(picture)
        vectors = [examiner.embedder.embed(rgb, face) for face in examiner.finder.find(rgb)]
        found.append(max((examiner.reference.likeness(vector) for vector in vectors), default=None))
    return found
