"""The certificate: what was measured of an adapter's headshots, as JSON and as one page for the person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from inference import prompt_following, ways
from inference.bleed import bleed
from inference.certificate_page import page
from inference.examination import Examined, candidate_yield, examine, passing
from inference.gates import FALSE_ACCEPTS
from inference.material import Selfies, Shot, check_reporter, load_renders, load_selfies, load_shots
from likeness import __version__, files
from likeness.adapter_file import read_info, weights_sha256
from likeness.faces import FaceEmbedder, FaceFinder, embedder
from likeness.faces.copying import COPIED_FACE, COPIED_PIXELS, COPIED_SETTING
from likeness.faces.drift import LIMIT, MEASURES, Drift
from likeness.faces.embed import REPORTING
from likeness.faces.examiner import Examiner, Findings
from likeness.faces.following import Followed
from likeness.faces.panel import Panel, cohort_vectors
from likeness.person import Person
from likeness.settings import Settings
from likeness.statistics import Threshold, hits_interval, mean_interval, threshold

Progress = Callable[[int, int], None]
"""Called with the number of headshots examined, and of all."""


class CertificateSettings(Settings):
    """How headshots are examined."""

    recogniser: str = REPORTING
    """A name or the path of a manifest; best one that did not choose the pictures."""
    false_accepts: float = Field(FALSE_ACCEPTS, ge=0, lt=1)
    """Share of other people's photographs that the verification threshold lets through: with 2 of each of 47 people, less
    than 1 in 20 is told from none too badly to be aimed at."""
    photos_of_others: int = Field(2, ge=1)
    """Of each person of the cohort; each takes an eighth of a second. More people tell more than more of each."""
    bleed: int = Field(0, ge=0)
    """Pictures drawn a prompt, with and without the adapter, to see whether it draws the person unasked; 0: not looked at, for
    it takes as long as a render and needs the base."""
    accept_license: bool = False
    """Of the base, where the bleed is looked at and its licence is not open."""
    clip: str | None = None
    """A CLIP model's folder or Hub id, to score how well pictures fit their prompts; none ships."""
    seed: int = Field(0, ge=0)
    """Of the bootstrap, and the first one of what is drawn for the bleed."""


def certify(
    person: Person,
    adapter: Path,
    settings: CertificateSettings | None = None,
    progress: Progress = lambda done, total: None,
) -> tuple[Path, Path]:
    """Examines the adapter's headshots; writes `certificates/<adapter>.json` and `.html`, and returns their paths.

    Raises LikenessError without consent, headshots, or the photographs that the adapter was made from.
    """
    settings = settings or CertificateSettings()
    person.require_consent()
    recogniser = embedder(settings.recogniser)
    check_reporter(adapter, recogniser)
    shots, selfies = load_shots(person, adapter), load_selfies(person, adapter)
    renders = [index for _, index in load_renders(person, adapter)]
    examiner = Examiner(selfies.photos, selfies.held_out, FaceFinder(), recogniser, selfies.chose)
    others = cohort_vectors(settings.photos_of_others, examiner.finder, recogniser, but=person.name)
    panel = Panel(examiner.reference, others.values(), examiner.finder, recogniser)
    impostors = [examiner.reference.raw(vector) for other in panel.others for vector in other]
    accepts = threshold(impostors, settings.false_accepts)
    examined, followed = [], []
    for shot in shots:
        examined.append(examine(shot.pixels(), examiner, accepts.value))
        followed.append(prompt_following.follow(shot, examiner.finder))
        progress(len(examined), len(shots))
    report = _about(person, adapter, settings, recogniser, examiner, selfies)
    report |= _measured(examined, [shot.noise for shot in shots], examiner, panel, accepts, settings.seed)
    report |= _choosing(adapter, shots)
    report["yield"] = candidate_yield(renders)
    report["ways"] = ways.compare(shots, examined, settings.seed)
    report["prompt"] = prompt_following.summary(followed, shots, settings.clip, settings.seed)
    report["bleed"] = _bleed(adapter, examiner, settings)
    report["each"] = [_each(*row) for row in zip(shots, examined, followed, strict=True)]
    report["cannot_tell"] = _cannot_tell(report)
    scores = {"own": examiner.own_cosines().tolist(), "others": impostors}
    html = page(
        report, [(shot.path, item.rejected) for shot, item in zip(shots, examined, strict=True)], selfies, scores
    )
    person.require_consent()  # it may have been taken back meanwhile
    record, sheet = (person.certificates / f"{adapter.name}{suffix}" for suffix in (".json", ".html"))
    files.write_json(record, report)
    files.write_text(sheet, html)
    return record, sheet


def _about(
    person: Person,
    adapter: Path,
    settings: CertificateSettings,
    recogniser: FaceEmbedder,
    examiner: Examiner,
    selfies: Selfies,
) -> dict[str, Any]:
    return {
        "person": person.name,
        "adapter": adapter.name,
        "adapter_sha256": weights_sha256(adapter),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "recogniser": recogniser.id,
        # A manifest by its name alone: its path would tell where somebody keeps their files.
        "settings": settings.model_dump(mode="json")
        | {"recogniser": Path(settings.recogniser).name, "clip": Path(settings.clip).name if settings.clip else None},
        "selfies": {
            "held_out": examiner.held_out,
            "chose_the_checkpoint": sorted(selfies.chose),
            "trained_on": [name for name in examiner.names if name in selfies.trained],
            "without_face": examiner.faceless,
        },
    }


def _bleed(adapter: Path, examiner: Examiner, settings: CertificateSettings) -> list[dict[str, Any]] | None:
    if not settings.bleed:
        return None
    return bleed(adapter, examiner, settings.bleed, settings.seed, accept_license=settings.accept_license)


def _choosing(adapter: Path, shots: Sequence[Shot]) -> dict[str, Any]:
    """By which recognisers the pictures were ranked, and the checkpoint was chosen."""
    info = read_info(adapter)
    return {
        "chosen_by": sorted({Path(str(shot.record["assessment"]["recogniser"])).name for shot in shots}),
        "checkpoint_chosen_by": info.selection.recogniser if info and info.selection else None,
    }


def _measured(
    examined: Sequence[Examined],
    noises: Sequence[object],
    examiner: Examiner,
    panel: Panel,
    accepts: Threshold,
    seed: int,
) -> dict[str, Any]:
    found = [item.findings for item in examined if item.findings is not None]
    of_found = [noise for item, noise in zip(examined, noises, strict=True) if item.findings is not None]
    total = len(examined)
    # A picture without a face is like nobody: leaving it out would make failures flatter.
    likeness = [item.findings.likeness if item.findings else 0.0 for item in examined]
    accepted = [item.findings is not None and item.findings.cosine > accepts.value for item in examined]
    score = panel.score_vectors([item.vector for item in examined if item.vector is not None], total)
    drifts = examiner.looks.drifts([item.looks for item in found])
    return {
        "pictures": total,
        "with_face": len(found),
        "likeness": {"mean": float(np.mean(likeness)), "interval_95": _interval(likeness, noises, seed, "likeness")},
        "cohort": {"rank": score.rank, "people": 1 + len(panel.others), "nearest_to_the_person": score.rank_1},
        "verification": asdict(accepts)
        | {
            "value_as_likeness": examiner.reference.as_likeness(accepts.value),
            "accepted": sum(accepted) / total,
            "accepted_interval_95": asdict(hits_interval(accepted, noises)),
        },
        "copying": _copying(found, of_found, seed),
        "drift": {name: _drift_record(name, drift) for name, drift in drifts.items()},
        "marks_on_selfies": len(examiner.looks.marks.places),
        "checks": passing(examined, noises),
    }


def _copying(found: Sequence[Findings], noises: Sequence[object], seed: int) -> dict[str, Any]:
    scores = [item.copy_score for item in found]
    return {
        "score": float(np.mean(scores)) if scores else None,
        "interval_95": _interval(scores, noises, seed, "copying"),
        "copies": sum(item.copied for item in found),
        "backgrounds": sum(item.setting_copied for item in found),
        "limits": {"score": COPIED_FACE, "pixels": COPIED_PIXELS, "setting": COPIED_SETTING},
    }


def _drift_record(name: str, drift: Drift) -> dict[str, Any]:
    measure = MEASURES[name]
    # Of the Monk scale only the difference is told: where somebody stands on it is nobody's business.
    known = asdict(drift) if name != "monk" else {key: value for key, value in asdict(drift).items() if key != "own"}
    return {
        "kind": measure.kind,
        "title": measure.title,
        "unit": measure.unit,
        **known,
        "limit": LIMIT,
        "beyond": drift.beyond,
    }


def _each(shot: Shot, item: Examined, followed: dict[str, Followed]) -> dict[str, Any]:
    measured = asdict(item.findings) if item.findings else {}
    looks = measured.pop("looks", {})
    shown = {name: value for name, value in looks.items() if np.isfinite(value) and name != "monk"}
    return {
        "file": f"{shot.path.parent.name}/{shot.path.name}",
        "style": shot.record.get("style"),
        **measured,
        "looks": shown,
        "prompt": {name: asdict(one) for name, one in followed.items()},
        "rejected_for": item.rejected,
    }


def _interval(values: Sequence[float], noises: Sequence[object], seed: int, stream: str) -> dict[str, float] | None:
    interval = mean_interval(values, seed, stream, noises)
    return None if interval is None else asdict(interval)


def _on_recognisers(report: dict[str, Any]) -> list[str]:
    ranked = report["settings"]["recogniser"] in report["chosen_by"]
    chose = report["recogniser"] == report["checkpoint_chosen_by"]
    return [
        words
        for words, said in (
            ("The recogniser that reports the likeness also ranked these pictures, which flatters them.", ranked),
            ("The recogniser that reports the likeness also chose the checkpoint, though by other selfies.", chose),
        )
        if said
    ]


def _cannot_tell(report: dict[str, Any]) -> list[str]:
    """What the reader must not conclude, in words for the person."""
    held_out, people = len(report["selfies"]["held_out"]), report["cohort"]["people"]
    return [
        *_on_recognisers(report),
        *(
            ["Nearly every number here stands on few pictures: the intervals say how few."]
            if report["pictures"] < 20
            else []
        ),
        *(
            [
                "These pictures were drawn in several ways: all numbers but those of the ways are of all of them together."
            ]
            if report["ways"]
            else []
        ),
        f"Likeness is to {held_out} held-out selfie{'s' if held_out != 1 else ''}; other ones would give somewhat another number.",
        (
            f"The {people - 1} other people are drawn, not photographed, and are more alike than people are: how often a real "
            "stranger would pass for you is not measured."
        ),
        *(
            []
            if report["marks_on_selfies"]
            else ["No mole or mark shows on three quarters of your selfies, so that none can be missed."]
        ),
        *(
            ["Drift and copying were not measured on every candidate, for want of selfies: the yield is too high."]
            if report["yield"] and report["yield"]["not_measured"]
            else []
        ),
        "Skin lightened together with lips, brows and eyes looks like more light, and is not seen; with thin or pale brows it is half seen.",
        *(
            ["Whether the adapter draws the person where nobody asked for them was not looked at (--bleed)."]
            if report["bleed"] is None
            else []
        ),
        "Of the prompts only colours, the kind of background, framing, pose and glasses are checked; the light and the expression are not.",
        (
            "A hat or a scarf counts as hair, and hair that a picture leaves out is no drift of its greyness."
            if "grey" in report["drift"]
            else "Whether the hair turned greyer or darker was not measured: too little of it is seen."
        ),
        "The noise of a phone's camera counts as texture: a clean picture reads as slightly smoother than it is.",
        "Age, teeth, ears, hands, clothes and expression are not measured. Whether it feels like you, only you can tell.",
    ]
