"""What each gate finds on a picture: the measured value and the limit that it lies beyond."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from likeness.faces.arrays import Floats
from likeness.faces.copying import COPIED_FACE, COPIED_PIXELS, COPIED_SETTING
from likeness.faces.drift import LIMIT, MEASURES, OwnLooks
from likeness.faces.examiner import Findings
from likeness.faces.face import Face
from likeness.faces.quality import share_on_picture
from likeness.faces.reference import Reference
from likeness.gates import Failure
from likeness.statistics import threshold

Fault = Literal["no face", "several faces", "cut off", "face too small"]

FALSE_ACCEPTS = 0.05
"""Share of other people's photographs that are recognised as the person."""
MIN_SHARE_ON_PICTURE = 0.97
MIN_FACE_SHARE = 0.15
JUDGED = 1024
"""Longer side in px that pictures are looked at with at most, unless they were drawn larger."""
OTHER_FACE_SHARE = 0.3
"""A second face counts when it is at least this large beside the first: smaller ones are pictures on a wall."""


def faults(faces: Sequence[Face], height: int, width: int) -> list[Failure]:
    """What anybody sees is wrong with a picture of that size; `faces` are those on it, largest first."""
    if not faces:
        return [_fault("no face", 0, 1)]
    face, found = faces[0], []
    other = faces[1].size / face.size if len(faces) > 1 else 0.0
    if other >= OTHER_FACE_SHARE:
        found.append(_fault("several faces", other, OTHER_FACE_SHARE))
    if (share := share_on_picture(face, height, width)) < MIN_SHARE_ON_PICTURE:
        found.append(_fault("cut off", share, MIN_SHARE_ON_PICTURE))
    if (size := face.size / min(height, width)) < MIN_FACE_SHARE:
        found.append(_fault("face too small", size, MIN_FACE_SHARE))
    return found


def failures(findings: Findings, looks: OwnLooks, accepted_above: float) -> list[Failure]:
    """What the measures find wrong on a face: drift beyond the person's own spread (|z|), copying (correlation and score), and
    likeness under the verification threshold (mean cosine). `looks`: the person's own."""
    found = []
    for name, drift in looks.drifts([findings.looks]).items():
        if drift.beyond:
            # An absolute value past the limit reads the same in both directions; which way it went is in the sign.
            found.append(Failure(MEASURES[name].kind, MEASURES[name].title, drift.z, LIMIT if drift.z > 0 else -LIMIT))
    for what, value, limit in (
        ("copy of a selfie, by its pixels", findings.pixels, COPIED_PIXELS),
        ("copy of a selfie, by its face", findings.copy_score, COPIED_FACE),
    ):
        if value >= limit:
            found.append(Failure("copying", what, value, limit))
    if findings.setting is not None and findings.setting >= COPIED_SETTING:
        found.append(Failure("setting", "background of a selfie", findings.setting, COPIED_SETTING))
    if findings.cosine <= accepted_above:
        found.append(Failure("likeness", "not recognised as the person", findings.cosine, accepted_above))
    return found


def recognised_above(reference: Reference, others: Iterable[Floats]) -> float:
    """Mean cosine with the reference's photographs above which a face is recognised; `others`: unit vectors of other people's."""
    return threshold([reference.raw(vector) for vector in others], FALSE_ACCEPTS).value


def _fault(what: Fault, value: float, limit: float) -> Failure:
    return Failure("faults", what, float(value), float(limit))
