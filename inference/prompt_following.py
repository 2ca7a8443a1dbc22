"""Do headshots show what their prompts asked for? The checks of `likeness.faces.following`, and CLIP where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from inference.clip_score import ClipScore
from inference.material import Shot
from likeness.faces import FaceFinder
from likeness.faces.following import Followed, following
from likeness.images import load_photo
from likeness.statistics import hits_interval, mean_interval


def follow(shot: Shot, finder: FaceFinder) -> dict[str, Followed]:
    """What can be checked on one headshot, by what it is about; nothing without a face or a recorded prompt."""
    if "prompt" not in shot.record:
        return {}
    rgb = shot.pixels()
    faces, slots = finder.find(rgb), shot.record.get("slots", {})
    return following(rgb, faces[0], finder.person_mask(rgb), shot.record["prompt"], slots) if faces else {}


def summary(found: Sequence[dict[str, Followed]], shots: Sequence[Shot], clip: str | None, seed: int) -> dict[str, Any]:
    """How often each thing that was asked for was found, with its 95% interval, and the mean CLIPScore of the pictures."""
    names = sorted({name for each in found for name in each})
    checks = {}
    for name in names:
        asked = [(each[name].agrees, shot.noise) for each, shot in zip(found, shots, strict=True) if name in each]
        agreed, noises = zip(*asked, strict=True)
        checks[name] = {
            "asked": len(agreed),
            "agreed": sum(agreed),
            "share": sum(agreed) / len(agreed),
            "interval_95": asdict(hits_interval(agreed, noises)),
        }
    return {"checks": checks, "clip_score": None if clip is None else _clip(shots, clip, seed)}


def _clip(shots: Sequence[Shot], spec: str, seed: int) -> dict[str, Any] | None:
    model = ClipScore(spec)
    prompted = [shot for shot in shots if "prompt" in shot.record]
    scores = [model.score(load_photo(shot.path), shot.record["prompt"]) for shot in prompted]
    interval = mean_interval(scores, seed, "clip score", [shot.noise for shot in prompted])
    if not scores:
        return None
    return {"mean": float(np.mean(scores)), "interval_95": asdict(interval) if interval else None, "each": scores}
