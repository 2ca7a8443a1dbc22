"""Which checkpoint is kept, and when a run has seen enough: pure functions of the curve of likeness and copying.

The training loss and the held-out loss tell neither (docs/pocket/recipe.md): the likeness of pictures does, and it must not
be bought by handing training photographs back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pydantic import Field

from likeness import randomness
from likeness.faces.embed import SELECTING
from likeness.settings import Settings


class SelectionSettings(Settings):
    """Pictures at fixed seeds are drawn at the checkpoints and scored on held-out selfies; the best checkpoint is kept."""

    enabled: bool = True
    """Off saves what drawing and scoring cost, which the dashboard and adapter.json show; the last checkpoint is kept then."""
    every: int | None = Field(None, ge=1)
    """Steps from one candidate to the next; none means at the checkpoints. The last step always is one."""
    recogniser: str = SELECTING
    """The one that chooses: a name or a manifest's path. Better not the one that reports: where there is one only, it reports by
    the held-out selfies that did not choose."""
    share: float = Field(0.5, gt=0, lt=1)
    """Share of the held-out selfies that choose; the others are left for the report. At least one each."""
    prompts: list[str] = Field(
        [
            f"a headshot of {{subject}}, {scene}"
            for scene in (
                "white studio background, a black blazer, soft studio light, soft smile, facing the camera, head and shoulders",
                "dark studio background, a grey suit and tie, rim light, neutral expression, facing the camera, head and shoulders",
                "office background, a white top, natural light, soft smile, facing the camera, head and shoulders",
                "outdoor background, a striped shirt, natural light, smiling, facing the camera, close-up",
            )
        ],
        min_length=1,
    )
    """Whole scenes as styles ask for them, for those are what will be drawn: what is left open is filled from the selfies.
    Several, so that a checkpoint which draws the person in one setting alone does not win."""
    count: int = Field(2, ge=1)
    """Pictures of every prompt: eight in all tell likenesses apart by about a tenth, for half a minute on a small base."""
    steps: int | None = Field(None, ge=1)
    """Denoising steps; none means as the base likes it."""
    guidance_scale: float | None = Field(None, ge=1)
    """1 guides nothing; none means as the base likes it."""
    max_copying: float = Field(0.15, ge=0, le=1)
    """Share of copies above which a checkpoint is not kept while one below it is there: what a good recipe stays under."""
    margin: float = Field(0.15, ge=0)
    """Likeness by which an earlier candidate must lead to be kept in a later one's place. Eight pictures tell
    likenesses apart by about a tenth: of 24 people of the cohort all four whose earlier checkpoint led by less were less like with it,
    by another recogniser, and the one whose led by more was liker (docs/pocket/recipe.md)."""
    patience: int | None = Field(3, ge=1)
    """Candidates in a row without a better one after which the run ends; none: never. Eight pictures are noisy, so that
    one or two mean nothing."""
    copying_patience: int | None = Field(2, ge=1)
    """Candidates in a row above ``max_copying`` after which the run ends; none: never. Copying does not go away again."""


class Point(Protocol):
    """A candidate."""

    @property
    def step(self) -> int: ...
    @property
    def likeness(self) -> float: ...
    @property
    def copying(self) -> float: ...


def best(points: Sequence[Point], max_copying: float, margin: float) -> int:
    """Position of the candidate to keep, of one or more in order of their steps.

    Of those that copy no more than ``max_copying`` the last that is as like as the likest, within ``margin``: what is chosen by
    chance alone should have been trained to the end. Where all copy more, the same of those that copy least, for eight pictures
    give few different shares.
    """
    allowed = max(max_copying, min(point.copying for point in points))
    fair = [place for place, point in enumerate(points) if point.copying <= allowed]
    likest = max(points[place].likeness for place in fair)
    return next(place for place in reversed(fair) if points[place].likeness >= likest - margin)


def enough(points: Sequence[Point], settings: SelectionSettings) -> str | None:
    """Why the run should end, in words; None while it should go on."""
    if not points:
        return None
    patience, copying_patience = settings.patience, settings.copying_patience
    copied = points[-copying_patience:] if copying_patience else []
    if copied and len(copied) == copying_patience and all(point.copying > settings.max_copying for point in copied):
        return f"copying was above {settings.max_copying:g} at {copying_patience} candidates in a row"
    place = best(points, settings.max_copying, settings.margin)
    if patience and len(points) - 1 - place >= patience:
        return f"no candidate was better than step {points[place].step} for {patience} in a row"
    return None


def split_held_out(digests: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """The held-out photographs (SHA-256) that choose and those that report, disjoint; none choose where there is one only.

    By their own draws, not by the run's seed: what reports on a person must not have chosen in another run of theirs.
    """
    ranked = sorted(set(digests), key=lambda digest: (randomness.uniform(0, "selecting", digest), digest))
    count = min(max(1, int(share * len(ranked))), len(ranked) - 1)
    return (sorted(ranked[:count]), sorted(ranked[count:])) if count > 0 else ([], sorted(ranked))
