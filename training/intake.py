"""Intake: which of a person's photographs can be learnt from, and what is wrong with the others, in a person's words."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from likeness.errors import LikenessError
from likeness.faces import FaceEmbedder, FaceFinder
from likeness.faces.embed import embedder as make_embedder
from likeness.person import regular_files
from training.intake_photo import Examined, PhotoVerdict, examine
from training.intake_set import reject_duplicates, reject_others
from training.intake_settings import IntakeSettings


@dataclass(frozen=True)
class Finding:
    """Something about the photographs as a set. An error makes the set unusable, a warning does not."""

    severity: Literal["error", "warning"]
    code: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Report:
    """The verdict on every file, in the order of their names, and on the set. `ok`: the set can be trained on."""

    photos: list[PhotoVerdict]
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        return all(finding.severity != "error" for finding in self.findings)

    @property
    def accepted(self) -> list[PhotoVerdict]:
        """The photographs to learn from; some of them with a warning."""
        return [photo for photo in self.photos if photo.verdict != "rejected"]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values for programs."""
        return {
            "ok": self.ok,
            "accepted": len(self.accepted),
            "rejected": len(self.photos) - len(self.accepted),
            "photos": [photo.to_json() for photo in self.photos],
            "findings": [vars(finding) for finding in self.findings],
        }


def check(
    folder: Path,
    settings: IntakeSettings | None = None,
    progress: Callable[[Sequence[Path]], Iterable[Path]] = iter,
    finder: FaceFinder | None = None,
    embedder: FaceEmbedder | None = None,
) -> Report:
    """Judges every regular file in a folder, whatever it is called; a bad one never stops the rest.

    `progress` wraps the files while they are gone through. Raises LikenessError when the folder is not there.
    """
    if not folder.is_dir():
        raise LikenessError("there is no such folder", "Give a person's folder or a folder of photos", folder)
    return check_files(regular_files(folder), settings, progress, finder, embedder)


def check_files(
    files: Sequence[Path],
    settings: IntakeSettings | None = None,
    progress: Callable[[Sequence[Path]], Iterable[Path]] = iter,
    finder: FaceFinder | None = None,
    embedder: FaceEmbedder | None = None,
) -> Report:
    """The same for a list of files."""
    settings = settings or IntakeSettings()
    finder = finder or FaceFinder()
    embedder = embedder or make_embedder(settings.recogniser)
    examined = [examine(path, settings, finder, embedder) for path in progress(files)]
    kept = [photo for photo in examined if photo.identity is not None]
    kept = reject_duplicates(kept)
    kept, ambiguous = reject_others(kept, embedder.threshold)
    return Report([photo.verdict for photo in examined], set_findings(kept, ambiguous, settings))


def set_findings(kept: list[Examined], ambiguous: bool, settings: IntakeSettings) -> list[Finding]:
    """What is to be said of the accepted photographs together; `ambiguous`: two people are on equally many."""
    findings = []
    if ambiguous:
        reason = "the photos show two people equally often, and it cannot be told whose folder this is"
        findings.append(Finding("error", "two-people", reason, "Keep the photos of one person only"))
    if len(kept) < settings.min_photos:
        reason = f"{len(kept)} usable photo{'' if len(kept) == 1 else 's'}, at least {settings.min_photos} are needed"
        remedy = f"Add {settings.min_photos - len(kept)} or more; ten to twenty varied ones are best"
        findings.append(Finding("error", "too-few", reason, remedy))
    if len(kept) >= 2:
        findings += _sameness(kept, settings)
    return findings


def _sameness(kept: list[Examined], settings: IntakeSettings) -> list[Finding]:
    """Warnings that the accepted photographs, two or more, are all of a kind."""
    findings = []
    if _spread(photo.yaw for photo in kept) < settings.pose_variety_degrees and (
        _spread(photo.pitch for photo in kept) < settings.pose_variety_degrees
    ):
        remedy = "Add some that look a little left, right, up and down: only what is seen can be learnt"
        findings.append(Finding("warning", "one-pose", "the head is held the same way in every photo", remedy))
    if _spread(photo.light_side for photo in kept) < settings.light_variety_stops and (
        _spread(photo.brightness_stops for photo in kept) < settings.light_variety_stops
    ):
        remedy = "Add some in other light: by a window, outdoors, in the evening"
        findings.append(Finding("warning", "one-light", "the light is the same in every photo", remedy))
    if all(photo.glasses for photo in kept):
        remedy = "Add some without, if headshots are to show the face without glasses: otherwise it can only be guessed"
        findings.append(Finding("warning", "always-glasses", "glasses are worn in every photo", remedy))
    return findings


def _spread(values: Iterable[float]) -> float:
    listed = list(values)
    return max(listed) - min(listed)
