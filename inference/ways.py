"""The ways in which one adapter's headshots were drawn, side by side: the adapter alone, with reference photos, by a fast variant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from inference.examination import Examined, passing
from inference.material import Shot
from likeness.statistics import mean_interval

ALONE = "the adapter alone"

_SAMPLING = {
    "steps": "steps",
    "guidance_scale": "guidance",
    "guidance_rescale": "rescale",
    "words_scale": "words",
    "eta": "eta",
    "scheduler": "scheduler",
}


def way_of(record: Mapping[str, Any], varied: Collection[str] = ()) -> str:
    """In words, what a headshot's record says it was drawn with beside its adapter. varied: settings of the sampling to be told too."""
    photos, variant, weight = (record.get(name) for name in ("references_sha256", "variant", "adapter_weight"))
    sampling = record.get("sampling") or {}
    words = ["guided from the base"] if sampling.get("guidance_from") == "base" else []
    if sampling.get("face_strength"):
        words.append(f"face pass {sampling['face_strength']:g}")
    if photos:
        words.append(f"{len(photos)} reference photo{'s' if len(photos) > 1 else ''}")
    if variant:
        words.append(f"variant {variant['lora'] if variant['kind'] == 'lora' else record.get('base')}")
    if weight is not None and weight != 1:
        words.append(f"strength {weight:g}")
    told = [f"{label} {sampling[name]}" for name, label in _SAMPLING.items() if name in varied and name in sampling]
    return ", ".join([*(words or [ALONE]), *told])


def compare(shots: Sequence[Shot], examined: Sequence[Examined], seed: int) -> list[dict[str, Any]]:
    """A row of every way, the adapter alone first; empty when all were drawn in one way.

    likeness: mean and 95% interval over pictures.  against_first: by how much likeness is above that of the first way
    of the same prompt and seed, over so many pairs; None without a pair.  seed: of the bootstrap.
    """
    sampled = [shot.record.get("sampling") or {} for shot in shots]
    varied = [name for name in _SAMPLING if len({one.get(name) for one in sampled}) > 1]
    ways: dict[str, list[int]] = {}
    for place, shot in enumerate(shots):
        ways.setdefault(way_of(shot.record, varied), []).append(place)
    if len(ways) < 2:
        return []
    likeness = [item.findings.likeness if item.findings else 0.0 for item in examined]
    first, *others = sorted(ways, key=lambda way: (not way.startswith(ALONE), way))
    of_first = {_drawn(shots[place]): likeness[place] for place in ways[first]}
    rows = []
    for way in (first, *others):
        places = ways[way]
        scores = [likeness[place] for place in places]
        found = [item.findings for place in places if (item := examined[place]).findings is not None]
        pairs = [(_drawn(shots[place]), likeness[place]) for place in places] if way != first else []
        pairs = [(key, value - of_first[key]) for key, value in pairs if key in of_first]
        rises, noises = [rise for _, rise in pairs], [key[2] for key, _ in pairs]
        rows.append(
            {
                "way": way,
                "pictures": len(places),
                "likeness": _mean(scores, [shots[place].noise for place in places], seed, way),
                "copying": float(np.mean([one.copy_score for one in found])) if found else None,
                "copies": sum(one.copied for one in found),
                "checks": passing([examined[place] for place in places], [shots[place].noise for place in places]),
                "against_first": _mean(rises, noises, seed, f"{way} against") | {"pairs": len(rises)}
                if rises
                else None,
            }
        )
    return rows


def _drawn(shot: Shot) -> tuple[Any, Any, Any]:
    """What two pictures have in common that start from the same noise and ask for the same."""
    return shot.record.get("style"), shot.record.get("prompt"), shot.record.get("seed")


def _mean(values: Sequence[float], noises: Sequence[Any], seed: int, stream: str) -> dict[str, Any]:
    interval = mean_interval(values, seed, stream, noises)  # pictures of one seed hang together
    return {"mean": float(np.mean(values)), "interval_95": asdict(interval) if interval else None}
