"""Headshots as they lie in a person's folder, looked at again by the photographs that were held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inference.gates import failures, faults
from inference.index import Index
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.examiner import Examiner, Findings
from likeness.gates import Failure
from likeness.statistics import hits_interval


@dataclass(frozen=True)
class Examined:
    """One picture: its findings and unit vector (None without a face), and every failure (none: it passes)."""

    findings: Findings | None
    vector: Floats | None
    failures: tuple[Failure, ...]

    @property
    def rejected(self) -> tuple[str, ...]:
        """Why it does not pass, in words."""
        return tuple(failure.what for failure in self.failures)


def examine(rgb: Pixels, examiner: Examiner, accepted_above: float) -> Examined:
    """Looks at an RGB picture (height, width, 3) with every gate; `accepted_above`: the verification threshold."""
    faces = examiner.finder.find(rgb)
    found = faults(faces, *rgb.shape[:2])
    if not faces:
        return Examined(None, None, tuple(found))
    findings, vector = examiner.examine_face(rgb, faces[0])
    return Examined(findings, vector, (*found, *failures(findings, examiner.looks, accepted_above)))


def passing(examined: Sequence[Examined], noises: Sequence[object]) -> dict[str, Any]:
    """How many pictures pass every check, and why the others do not. `noises`: `Shot.noise` of each."""
    return _share([item.rejected for item in examined], noises)


def candidate_yield(indexes: Sequence[Index]) -> dict[str, Any] | None:
    """How many of all candidates that were drawn passed all gates, those that only warn too; None where none is on record.

    let_through: how many passed as the gates were set.  not_measured: how many were looked at for faults and likeness alone.
    """
    candidates = [candidate for index in indexes for candidate in index.candidates]
    if not candidates:
        return None
    found = [candidate.assessment for candidate in candidates]
    reasons = [tuple(failure.what for failure in assessment.failures) for assessment in found]
    return _share(reasons, [candidate.seed for candidate in candidates]) | {
        "let_through": sum(candidate.passes for candidate in candidates),
        "not_measured": sum(not assessment.measured for assessment in found),
    }


def _share(reasons: Sequence[tuple[str, ...]], noises: Sequence[object]) -> dict[str, Any]:
    passes = [not each for each in reasons]
    return {
        "of": len(passes),
        "passed": sum(passes),
        "share": sum(passes) / len(passes),
        "interval_95": asdict(hits_interval(passes, noises)),
        "rejected_for": dict(Counter(reason for each in reasons for reason in each).most_common()),
    }
