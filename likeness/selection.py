"""Which checkpoint of a run became the adapter, and why: what training writes and who reports must know."""

from __future__ import annotations

from likeness.settings import Settings


class CurvePoint(Settings):
    """What a checkpoint's sample pictures showed; means over them, as `likeness.faces.scorer.Reading` has them."""

    step: int
    likeness: float
    copying: float
    faces: float
    seconds: float
    """What drawing and scoring took."""


class Selection(Settings):
    """The choice among a run's checkpoints."""

    step: int
    """Of the checkpoint that was kept."""
    note: str
    """Why this one, in words."""
    recogniser: str = ""
    """Id of the one that chose; it should not be the one that reports."""
    photos: list[str] = []
    """SHA-256 of the held-out photographs that it was chosen by: likeness is reported by the others."""
    curve: list[CurvePoint] = []
    stopped_early: bool = False

    @property
    def seconds(self) -> float:
        """What choosing cost."""
        return sum(point.seconds for point in self.curve)
