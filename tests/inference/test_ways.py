"""Headshots of one adapter that were drawn in several ways are told apart, and held against each other on the same seeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference import ways
from inference.certificate_page import _ways
from inference.examination import Examined
from inference.material import Shot
from likeness.faces.examiner import Findings

ALONE: dict[str, Any] = {"references_sha256": [], "variant": None, "adapter_weight": 1.0, "base": "klein"}
TWO = ALONE | {"references_sha256": ["a", "b"]}


def shot(seed: int, record: dict[str, Any]) -> Shot:
    return Shot(Path(f"{seed}.png"), {"style": "office", "prompt": "a headshot", "seed": seed, **record})


def seen(likeness: float, copied: bool = False) -> Examined:
    findings = Findings(0.9, likeness, 0.9 if copied else 0.0, 0.1, "selfie.jpg", None, None, {})
    return Examined(findings, np.zeros(3, np.float32), ())


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (ALONE, "the adapter alone"),
        ({}, "the adapter alone"),  # as headshots of the first versions were recorded
        (TWO, "2 reference photos"),
        (ALONE | {"references_sha256": ["a"], "adapter_weight": 0.8}, "1 reference photo, strength 0.8"),
        (ALONE | {"variant": {"kind": "base"}}, "variant klein"),
        (ALONE | {"sampling": {"guidance_from": "words"}}, "the adapter alone"),
        (TWO | {"sampling": {"guidance_from": "base"}}, "guided from the base, 2 reference photos"),
        (ALONE | {"sampling": {"guidance_from": "words", "face_strength": 0.5}}, "face pass 0.5"),
        (ALONE | {"sampling": {"face_strength": 0.0}}, "the adapter alone"),
        (TWO | {"variant": {"kind": "lora", "lora": "lightning.safetensors"}}, "2 reference photos, variant lightning.safetensors"),
    ],
)  # fmt: skip
def test_a_way_is_told_from_the_record(record: dict[str, Any], words: str) -> None:
    assert ways.way_of(record) == words


def test_ways_are_held_against_each_other_on_the_same_seeds() -> None:
    """The one with references is 0.2 liker on every seed that both have; one more seed of it, far liker, has no pair."""
    likeness = np.random.default_rng(0).uniform(0.3, 0.7, 8)
    shots = [shot(n, TWO) for n in range(9)] + [shot(n, ALONE) for n in range(8)]
    examined = (
        [seen(value + 0.2) for value in likeness] + [seen(5.0, copied=True)] + [seen(value) for value in likeness]
    )
    first, second = ways.compare(shots, examined, 0)
    assert (first["way"], first["pictures"], first["against_first"]) == (ways.ALONE, 8, None)
    assert first["likeness"]["mean"] == pytest.approx(likeness.mean()) and first["copies"] == 0
    assert (second["pictures"], second["copies"], second["checks"]["share"]) == (9, 1, 1.0)
    rise = second["against_first"]
    assert rise["pairs"] == 8 and rise["mean"] == pytest.approx(0.2)
    assert rise["interval_95"]["low"] == pytest.approx(0.2) == rise["interval_95"]["high"]
    page = _ways({"ways": [first, second]})
    assert "2 reference photos" in page and "+0.20 (" in page and "on 8 of the same prompt and seed" in page


def test_a_picture_without_a_face_is_like_nobody_and_other_seeds_make_no_pair() -> None:
    examined = [seen(0.8), Examined(None, None, ())]
    first, second = ways.compare([shot(1, ALONE), shot(2, TWO)], examined, 0)
    assert (first["likeness"]["mean"], second["likeness"]["mean"]) == (0.8, 0.0)
    assert second["against_first"] is None and second["copying"] is None


def test_settings_of_the_sampling_are_ways_where_they_differ() -> None:
    scales = [ALONE | {"sampling": {"guidance_scale": scale, "steps": 25}} for scale in (2.0, 3.0)]
    found = ways.compare([shot(1, record) for record in scales], [seen(0.8), seen(0.7)], 0)
    assert [one["way"] for one in found] == ["the adapter alone, guidance 2.0", "the adapter alone, guidance 3.0"]
    assert found[1]["against_first"]["mean"] == pytest.approx(-0.1)


def test_one_way_needs_no_comparison() -> None:
    assert ways.compare([shot(n, TWO) for n in range(3)], [seen(0.5)] * 3, 0) == [] and _ways({"ways": []}) == ""
