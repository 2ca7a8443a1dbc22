"""The fairness report: do headshots serve people of one group worse than others?

What is measured on each person's headshots is compared between groups that somebody who knows has labelled; no group is
ever inferred from a face. People are the units, not pictures: every interval and every test is over people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from inference.audit_page import page
from inference.audit_report import AuditSettings, report_of
from inference.labels import load_labels
from inference.material import load_renders
from inference.subjects import Subject, measure
from likeness import files, resources
from likeness.adapter_file import read_info
from likeness.errors import LikenessError
from likeness.faces import FaceFinder, embedder
from likeness.faces.panel import cohort_vectors
from likeness.person import Person

Progress = Callable[[int, int], None]
"""Called with the number of people done, and of all."""

_AGAINST_SELFIES = (
    "Drift is against selfies, and a studio's light alone changes how skin reads, not by the same on light and on dark skin: "
    "differences of some L* between tones of skin may be the light's."
)


def audit(
    folder: Path,
    labels: Path | None = None,
    settings: AuditSettings | None = None,
    out: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> tuple[dict[str, Any], Path]:
    """Audits the people in a folder; writes audit.json and audit.html to `out` (the folder), returns the report and the page.

    `labels`: see `labels.load_labels`. People whose headshots cannot be measured are named with the reason, as are those
    without a label, who count in "everyone" alone. Raises LikenessError when nobody can be measured or is labelled.
    """
    settings = settings or AuditSettings()
    people = people_in(folder)
    known = load_labels(folder, labels, [person.name for person in people])
    portraits = _portraits(people)
    subjects, left_out = _measure_all(people, portraits, settings, progress)
    if not subjects:
        raise LikenessError(f"nobody here can be measured; {left_out[0]['person']}: {left_out[0]['why']}", path=folder)
    report = report_of(subjects, known, settings) | {"left_out": left_out}
    report["against"] = "genuine portraits" if portraits else "selfies"
    report["cannot_tell"] += [] if portraits else [_AGAINST_SELFIES]
    html = page(report, {subject.name: subject.rejected for subject in subjects})
    record, sheet = ((out or folder) / f"audit{suffix}" for suffix in (".json", ".html"))
    files.write_json(record, report)
    files.write_text(sheet, html)
    for written in (record, sheet):
        # Pictures of people, and their numbers by name, outside their folders that nobody else may enter.
        with suppress(OSError):  # some disks know no owners
            written.chmod(0o600)
    return report, sheet


def people_in(folder: Path) -> list[Person]:
    """The people whose folders lie in this one. Raises LikenessError when there are none."""
    with files.explained(folder, "cannot be read"):
        inside = sorted(path for path in folder.iterdir() if (path / "consent.json").is_file())
    if not inside:
        raise LikenessError(
            "there are no people in this folder", "Give the folder that people's folders lie in", folder
        )
    return [Person.open(path) for path in inside]


def render_missing(people: Sequence[Person], adapter: str | None, count: int, accept_license: bool = False) -> None:
    """Draws `count` headshots in the first style of everybody whose adapter has none yet; who has no adapter is passed over."""
    from inference.headshots import RenderRequest, render
    from inference.renderer import Renderer

    for person in people:
        try:
            chosen = person.adapter(adapter)
        except LikenessError:
            continue  # the audit names who is left out, and why
        if not any(index.complete for _, index in load_renders(person, chosen)):
            info = read_info(chosen)
            renderer = Renderer(info.base if info else "pocket", chosen, accept_license=accept_license)
            render(person, RenderRequest(count=count), renderer, chosen)


def _portraits(people: Sequence[Person]) -> dict[str, list[Path]]:
    """Genuine portraits of everybody, or of nobody: groups must be measured alike."""
    found = {person.name: resources.cohort_portraits(person.name) for person in people}
    return found if all(found.values()) else {}


def _measure_all(
    people: Sequence[Person], portraits: Mapping[str, Sequence[Path]], settings: AuditSettings, progress: Progress
) -> tuple[list[Subject], list[dict[str, str]]]:
    finder, recogniser = FaceFinder(), embedder(settings.recogniser)
    cohort = cohort_vectors(2, finder, recogniser)
    subjects, left_out = [], []
    for number, person in enumerate(people, 1):
        try:
            adapter = person.adapter(settings.adapter)
            subjects.append(measure(person, adapter, finder, recogniser, cohort, portraits.get(person.name, ())))
        except LikenessError as error:
            left_out.append({"person": person.name, "why": error.what})
        progress(number, len(people))
    return subjects, left_out
