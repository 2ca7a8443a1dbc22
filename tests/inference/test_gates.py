"""Where each gate begins to find something, on faces and findings that are made to lie just this side of it and just beyond."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from inference.gates import failures, faults
from likeness.faces import Face
from likeness.faces.drift import Drift
from likeness.faces.examiner import Findings
from likeness.faces.face import OVAL

FINE = Findings(0.9, 1.0, 0.0, 0.1, "selfie.jpg", None, None, {})


def disc(size: float, x: float = 500, y: float = 500) -> Face:
    """A face whose outline is a circle."""
    landmarks = np.tile(np.array([x, y, 0], np.float32), (468, 1))
    turns = np.linspace(0, 2 * math.pi, len(OVAL), endpoint=False)
    landmarks[list(OVAL), :2] += size / 2 * np.column_stack([np.cos(turns), np.sin(turns)])
    return Face.from_landmarks(landmarks, 1.0)


def whats(*faces: Face, height: int = 1000, width: int = 1000) -> list[str]:
    return [failure.what for failure in faults(faces, height, width)]


def test_a_face_is_too_small_by_the_shorter_side() -> None:
    assert whats(disc(151)) == [] == whats(disc(151), width=2000)
    (found,) = faults([disc(148)], 1000, 1000)
    assert (found.gate, found.what, found.limit) == ("faults", "face too small", 0.15)
    assert found.value == pytest.approx(0.148, abs=1e-4)
    assert whats() == ["no face"]


def test_a_second_face_counts_from_three_tenths_of_the_first() -> None:
    assert whats(disc(400), disc(118, 100, 100)) == [] != whats(disc(400), disc(122, 100, 100))
    assert whats(disc(400), disc(122, 100, 100), disc(10)) == ["several faces"]


def test_a_face_is_cut_off_where_more_than_three_hundredths_are_beyond_an_edge() -> None:
    for beyond in np.linspace(0.01, 0.3, 30):
        # The segment of a disc that lies beyond a chord, by the chord's distance from the middle in radii.
        far = 1 - beyond
        lost = (math.acos(far) - far * math.sqrt(1 - far**2)) / math.pi
        for place in ((far * 200, 500), (500, far * 200), (1000 - far * 200, 500), (500, 1000 - far * 200)):
            found = faults([disc(400, *place)], 1000, 1000)
            if abs(lost - 0.03) > 0.002:
                assert [failure.what for failure in found] == ["cut off"] * int(lost > 0.03), beyond
            assert all(failure.value == pytest.approx(1 - lost, abs=0.002) for failure in found)


def found_in(findings: Findings, accepted_above: float = 0.5, **z: float) -> list[tuple[str, float, float]]:
    drifts = {name: Drift(0.0, 1.0, value, value, 1) for name, value in z.items()}
    looks: Any = SimpleNamespace(drifts=lambda rows: drifts if rows == [findings.looks] else {})
    return [(one.gate, one.value, one.limit) for one in failures(findings, looks, accepted_above)]


def test_findings_fail_from_their_limits_on() -> None:
    assert found_in(FINE) == []
    assert found_in(replace(FINE, pixels=0.9)) == [("copying", 0.9, 0.9)] and replace(FINE, pixels=0.9).copied
    assert found_in(replace(FINE, copy_score=0.6)) == [("copying", 0.6, 0.6)] and replace(FINE, copy_score=0.6).copied
    under = replace(FINE, pixels=0.899, copy_score=0.599, setting=0.899)
    assert found_in(under) == [] and not under.copied and not under.setting_copied
    assert found_in(replace(FINE, setting=0.9)) == [("setting", 0.9, 0.9)] and replace(FINE, setting=0.9).setting_copied
    assert found_in(FINE, accepted_above=0.9) == [("likeness", 0.9, 0.9)]
    assert found_in(FINE, lightness=3.0, hue=-3.0) == []
    assert found_in(FINE, lightness=3.1, texture=-3.1) == [("skin", 3.1, 3.0), ("texture", -3.1, -3.0)]
