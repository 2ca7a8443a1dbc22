"""One person of an audit: what their headshots show, as numbers that can be compared between people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.examination import Examined, examine
from inference.gates import recognised_above
from inference.index import Index
from inference.material import check_reporter, load_renders, load_selfies, load_shots
from likeness.faces import FaceEmbedder, FaceFinder
from likeness.faces.arrays import Floats
from likeness.faces.drift import MEASURES, OwnLooks
from likeness.faces.examiner import Examiner
from likeness.faces.reference import Reference
from likeness.gates import Failure, Gates
from likeness.images import load_photo
from likeness.person import Person

_SHAPE = [name for name, measure in MEASURES.items() if measure.kind == "shape"]

STRICT = Gates()
"""An audit holds every base to the same gates, whatever its recipe lets through."""


@dataclass(frozen=True)
class Subject:
    """A person who was measured.

    own, drawn: unit vectors (N, dim) of the selfies and (M, dim) of the headshots with a face.  against: (K, dim) of what drift
    is held against, genuine portraits or else the selfies.  reference: of the held-out selfies.  pictures: how many headshots there are.  values: the measures that need nobody else, NaN where one could not be
    taken.  rejected: headshots that do not pass, and why.
    """

    name: str
    reference: Reference
    own: Floats
    drawn: Floats
    against: Floats
    pictures: int
    values: dict[str, float]
    rejected: tuple[tuple[Path, tuple[str, ...]], ...]


def measure(
    person: Person,
    adapter: Path,
    finder: FaceFinder,
    recogniser: FaceEmbedder,
    cohort: Mapping[str, Sequence[Floats]],
    portraits: Sequence[Path] = (),
) -> Subject:
    """Looks at one person's headshots. `cohort`: unit vectors of others, by name; oneself among them is left out.

    `portraits`: genuine ones of the person, where there are any. Then what these show, and the selfies do not, is no drift: a
    studio's light changes how skin reads, and not by the same on every skin.

    Raises LikenessError without consent, headshots, or the photographs that the adapter was made from.
    """
    person.require_consent()
    check_reporter(adapter, recogniser)
    shots, selfies = load_shots(person, adapter), load_selfies(person, adapter)
    examiner = Examiner(selfies.photos, selfies.held_out, finder, recogniser, selfies.chose)
    others = [vector for name, vectors in cohort.items() if name != person.name for vector in vectors]
    accepted_above = recognised_above(examiner.reference, others)
    examined = [examine(shot.pixels(), examiner, accepted_above) for shot in shots]
    pictures = [np.asarray(load_photo(path)) for path in portraits]
    genuine = [face for rgb in pictures if (face := examiner.examine(rgb)) is not None]
    rejected = [(shot.path, _why(item.failures)) for shot, item in zip(shots, examined, strict=True)]
    vectors = [item.vector for item in examined if item.vector is not None]
    return Subject(
        person.name,
        examiner.reference,
        examiner.vectors,
        np.stack(vectors) if vectors else np.empty((0, recogniser.dim), np.float32),
        np.stack([vector for _, vector in genuine]) if genuine else examiner.vectors,
        len(shots),
        _values(examined, examiner.looks, [findings.looks for findings, _ in genuine])
        | _candidates([index for _, index in load_renders(person, adapter)]),
        tuple((path, why) for path, why in rejected if why),
    )


def _why(failures: Sequence[Failure]) -> tuple[str, ...]:
    return tuple(failure.what for failure in STRICT.rejecting(failures))


def _values(examined: Sequence[Examined], looks: OwnLooks, genuine: Sequence[Mapping[str, float]]) -> dict[str, float]:
    rows = [item.findings.looks for item in examined if item.findings is not None]
    drifts, usual = looks.drifts(rows), looks.drifts(genuine)
    shifts = {name: drift.shift - (usual[name].shift if name in usual else 0.0) for name, drift in drifts.items()}
    lighter = []
    if "lightness" in shifts:
        own = drifts["lightness"].own + drifts["lightness"].shift - shifts["lightness"]
        lighter = [row["lightness"] > own for row in rows]
    return {
        "rejected": float(np.mean([bool(_why(item.failures)) for item in examined])),
        # A picture without a face is like nobody: leaving it out would make failures flatter.
        "likeness": float(np.mean([item.findings.likeness if item.findings else 0.0 for item in examined])),
        "copied": float(np.mean([item.findings is not None and item.findings.copied for item in examined])),
        "lightened": float(np.mean(lighter)) if lighter else math.nan,
        **{name: shifts.get(name, math.nan) for name in ("lightness", "hue", "texture", "grey")},
        "shape": _root_mean_square([shifts[name] / drifts[name].spread for name in _SHAPE if name in shifts]),
    }


def _candidates(indexes: Sequence[Index]) -> dict[str, float]:
    passes = [not _why(candidate.assessment.failures) for index in indexes for candidate in index.candidates]
    return {"yield": float(np.mean(passes)) if passes else math.nan}


def _root_mean_square(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else math.nan


def between(subjects: Sequence[Subject]) -> list[dict[str, float]]:
    """The measures of each person that need the others.

    rank_1: share of the headshots that are more like the person than anybody else here; one without a face is not. NaN where
    there is nobody else.
    dispersion: how far the person's headshots are from the others' headshots, over the same of the selfies; below 1 people
    become more alike. NaN with fewer than two pictures or people.
    """
    drawn, own = (_distances([getattr(subject, side) for subject in subjects]) for side in ("drawn", "own"))
    return [
        {"rank_1": _rank_1(place, subjects), "dispersion": _ratio(drawn[place], own[place])}
        for place in range(len(subjects))
    ]


def dispersion(subjects: Sequence[Subject]) -> float:
    """The same among some people alone: between all pairs of them, drawn over photographed."""
    drawn, own = (_distances([getattr(subject, side) for subject in subjects]) for side in ("drawn", "own"))
    return _ratio(drawn, own)


def _rank_1(place: int, subjects: Sequence[Subject]) -> float:
    if len(subjects) < 2:
        return math.nan
    drawn = subjects[place].drawn
    among = np.array([(subject.reference.embeddings @ drawn.T).mean(axis=0) for subject in subjects])
    nearest = among[place] > np.delete(among, place, axis=0).max(axis=0)
    return float(nearest.sum() / subjects[place].pictures)


def _distances(sets: Sequence[Floats]) -> Floats:
    """Squared distances (people, people) between people's mean vectors; NaN on the diagonal and where pictures are too few.

    From the cosines of pairs of different pictures: 1/2 |a - b|^2 = (a.a + b.b) / 2 - a.b. So the scatter of a person's own
    pictures, which the mean of a few holds as well, does not count as distance from others.
    """
    middles = [
        vectors.mean(axis=0, dtype=np.float64) if len(vectors) else np.zeros(vectors.shape[1]) for vectors in sets
    ]
    within = np.array(
        [
            (len(vectors) * middle @ middle - 1) / (len(vectors) - 1) if len(vectors) > 1 else math.nan
            for vectors, middle in zip(sets, middles, strict=True)
        ]
    )
    found = within[:, None] + within[None, :] - 2 * np.array(middles) @ np.array(middles).T
    np.fill_diagonal(found, math.nan)
    return np.asarray(found)


def _ratio(drawn: Floats, own: Floats) -> float:
    known = np.isfinite(drawn) & np.isfinite(own)
    photographed = own[known].sum()
    if photographed <= 0:
        return math.nan
    return math.sqrt(max(0.0, float(drawn[known].sum())) / float(photographed))
