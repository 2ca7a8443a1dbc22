"""An adapter in a few numbers, for recipes to be compared by: pictures of fixed prompts and seeds, none thrown away.

A headshot that is rendered for somebody is the best of several. Here every picture counts as it was drawn, so that a recipe
is not flattered by what ranking hides.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from pathlib import Path

from pydantic import Field

from inference.examination import Examined, examine
from inference.gates import recognised_above
from inference.material import check_reporter, load_selfies
from inference.prompts import compose
from inference.renderer import Renderer, RenderJob, Sampling
from inference.styles import find_style
from inference.subjects import STRICT
from likeness.adapter_file import read_info
from likeness.errors import LikenessError
from likeness.faces import SELECTING, FaceFinder, embedder
from likeness.faces.arrays import Floats
from likeness.faces.examiner import Examiner
from likeness.faces.panel import Panel, cohort_vectors
from likeness.faces.scorer import looked_at
from likeness.person import Person
from likeness.settings import Settings

_OF_OTHERS = 2
"""Photographs of each person of the cohort."""


class ScorecardSettings(Settings):
    """What is drawn, and who looks at it."""

    recogniser: str = SELECTING
    styles: list[str] = Field(["studio-grey", "corporate", "outdoor", "office"], min_length=1)
    count: int = Field(2, ge=1)
    """Pictures of each style. What matters is the number of people, for one person's pictures hang together."""
    seed: int = Field(0, ge=0)
    """Of the first picture."""
    sampling: Sampling = Sampling()


class Scorecard:
    """Measures adapters, one after the other; what it knows of the cohort and of the last person is kept."""

    def __init__(self, settings: ScorecardSettings) -> None:
        """Raises LikenessError for a recogniser or a style that is not there."""
        self.settings = settings
        self._styles = [find_style(name) for name in settings.styles]
        self._finder, self._embedder = FaceFinder(), embedder(settings.recogniser)
        self._others: dict[str, list[Floats]] = {}
        self._last: tuple[object, Examiner] | None = None

    def measure(self, person: Person, adapter: Path, judging: Collection[str]) -> dict[str, float]:
        """Means over the pictures; one without a face is like nobody, passes no gate and copies nothing.

        judging: SHA-256 of the photographs that likeness is to, none of which may have been trained on.  likeness, copying,
        faces: as `likeness.faces.scorer.Reading` has them.  rank_1: share more like the person than anybody of the cohort.
        yield: share that passes the strict gates.

        Raises LikenessError for an adapter made elsewhere or trained by this recogniser, or when there are too few photographs.
        """
        info = read_info(adapter)
        if info is None:
            raise LikenessError("this adapter was made elsewhere: what it was trained on is not known", path=adapter)
        check_reporter(adapter, self._embedder)
        if not set(judging) <= set(info.held_out):
            raise LikenessError("the adapter was trained on photographs that are to judge it", path=adapter)
        examiner = self._examiner(person, adapter, frozenset(judging), frozenset(info.held_out))
        jobs = []
        for style in self._styles:
            prompt = compose(style, {}, info.subject, info.glasses)
            seeds = range(self.settings.seed, self.settings.seed + self.settings.count)
            jobs += [RenderJob(prompt.positive, prompt.negative, seed, prompt.closer) for seed in seeds]
        others = self._cohort(but=person.name)
        accepted_above = recognised_above(examiner.reference, itertools.chain(*others))
        # Whoever trained on the base a moment ago has accepted its licence.
        pictures = Renderer(info.base, adapter, accept_license=True).stream(jobs, self.settings.sampling)
        found = [examine(looked_at(picture), examiner, accepted_above) for picture in pictures]
        return _means(found, Panel(examiner.reference, others, self._finder, self._embedder))

    def _examiner(self, person: Person, adapter: Path, judging: frozenset[str], held_out: frozenset[str]) -> Examiner:
        key = (person.name, judging, held_out)
        if self._last is None or self._last[0] != key:
            photos = load_selfies(person, adapter).photos
            names = {digest: path.name for digest, path in person.selfies_by_digest().items()}
            own = {names[digest] for digest in judging}
            aside = {names[digest] for digest in held_out - judging}
            self._last = key, Examiner(photos, own, self._finder, self._embedder, aside)
        return self._last[1]

    def _cohort(self, but: str) -> list[list[Floats]]:
        if not self._others:
            self._others = cohort_vectors(_OF_OTHERS, self._finder, self._embedder)
        return [vectors for name, vectors in self._others.items() if name != but and vectors]


def _means(found: list[Examined], panel: Panel) -> dict[str, float]:
    total = len(found)
    score = panel.score_vectors([item.vector for item in found if item.vector is not None], total)
    return {
        "likeness": score.likeness,
        "copying": sum(item.findings is not None and item.findings.copied for item in found) / total,
        "faces": score.faces,
        "rank_1": score.rank_1,
        "yield": sum(not STRICT.rejecting(item.failures) for item in found) / total,
    }
