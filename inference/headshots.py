"""The whole of rendering for one person: from a request to ranked headshots in the person's folder.

Candidates are drawn until as many pass the gates as were asked for, or the patience is at its end. Every one is written as
soon as it is drawn, and `headshots.json` with it, which says what became of each: so whatever ends a render keeps what is there. At
the end the candidates beyond the number asked for go, and the contact sheet is made of the rest.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from pydantic import Field

from inference import credentials, finish
from inference.face_pass import CORNER
from inference.finish import Format
from inference.gates import JUDGED
from inference.index import Candidate, Index
from inference.origin import origin, words
from inference.prompts import Prompt, compose
from inference.ranking import Assessment, Judge, best_first, judge_of
from inference.renderer import Renderer, RenderJob, Sampling
from inference.styles import SlotName, Style, find_style
from likeness import files
from likeness.bases import DRAWN
from likeness.errors import LikenessError
from likeness.faces.embed import SELECTING
from likeness.gates import GateName, Gates, Mode
from likeness.images import enlarge
from likeness.person import Person
from likeness.settings import Settings
from likeness.sheets import tile

_log = logging.getLogger(__name__)

SHEET = "sheet.jpg"
NOT_PASSING = "-not-passing"
"""In the name of a picture that a gate rejected: nobody should take it for a good one, whatever they read."""


class RenderRequest(Settings):
    """What is wanted."""

    style: str = "studio-grey"
    choices: dict[SlotName, str] = {}
    count: int = Field(8, ge=1, le=1000)
    """Headshots that pass the gates."""
    oversample: float = Field(1.0, ge=1, le=20)
    """Candidates drawn at least for each headshot that is kept, to choose the best from."""
    max_oversample: float = Field(4.0, ge=1, le=100)
    """Candidates drawn at most for each headshot asked for. Where half of them pass, which is what a good adapter does, four
    times as many nearly always hold enough; where less than a quarter passes, the adapter wants mending, not patience."""
    gates: dict[GateName, Mode] = {}
    """What is done about failures, where it is not what the base's recipe says."""
    keep_rejected: bool = False
    """Whether the pictures of rejected candidates stay."""
    seed: int = Field(0, ge=0, le=2**53)
    """Of the first candidate; the others follow on. Up to what every reader of JSON takes for a whole number."""
    subject: str | None = None
    """Words for the person in the prompt; None: the adapter's trigger and class word."""
    glasses: bool | None = None
    """Whether the person wears glasses; None: as on most of the portraits that the adapter was trained on."""
    size: int | None = Field(1024, ge=16, le=8192)
    """Longer side of the written pictures in px; None: as drawn."""
    format: Format = "png"
    batch: int = Field(DRAWN, ge=1)
    """Pictures drawn at once."""
    sampling: Sampling = Sampling()
    recogniser: str = SELECTING
    """Ranks; another one reports."""


@dataclass(frozen=True)
class Headshot:
    """One written picture. passes: whether no gate rejected it."""

    path: Path
    seed: int
    assessment: Assessment
    passes: bool


Progress = Callable[[int, int], None]
"""Called with the number of candidates done, and of all that are to be drawn at least."""


def render(
    person: Person,
    request: RenderRequest,
    renderer: Renderer,
    adapter: Path | None = None,
    progress: Progress = lambda done, total: None,
    judge: Judge | None = None,
) -> tuple[Path, list[Headshot]]:
    """Draw, judge and write headshots; gives their folder and them, best first.

    Fewer than asked for may pass: then a warning says how many and why, and the best of the others make up the number, with
    `passes` false and NOT_PASSING in their names.
    `renderer` holds the base and the adapter, whose path is only recorded. `judge`: from `judge_of`, to be given where one
    person is rendered in several styles, so that their selfies are looked at once. An interruption (KeyboardInterrupt) passes
    on after what was drawn until then has been ranked. Raises LikenessError without consent, also where it is taken back meanwhile, or when
    the disk refuses.
    """
    person.require_consent()
    style = find_style(request.style)
    info = renderer.info
    glasses = (info is not None and info.glasses) if request.glasses is None else request.glasses
    prompt = compose(style, request.choices, request.subject or (info.subject if info else "a person"), glasses)
    gates = renderer.recipe.gates.over(request.gates)
    _warn(request, renderer, prompt, made_elsewhere=adapter is not None and info is None)
    signer = _signer()
    folder = _new_run(person.headshots, style.name)
    writer = _Writer(person, folder, request, style, prompt, gates, origin(renderer, adapter, request.sampling), signer)
    judge = judge or judge_of(person, request.recogniser, info.trained if info else None)
    done: list[Headshot] = []
    try:
        for image, seed in _candidates(renderer, request, prompt, done):
            done.append(writer.write(image, seed, judge))
            writer.index(done).write(folder)
            progress(len(done), len(done) + _missing(request, done))
    finally:
        person.require_consent()  # who was forgotten meanwhile is not to come back by what was drawn of them
        kept, index = _keep_best(writer, done)
    if index.shortfall():
        _log.warning("%s", index.shortfall())
    return folder, kept


def _candidates(
    renderer: Renderer, request: RenderRequest, prompt: Prompt, done: list[Headshot]
) -> Iterator[tuple[Image.Image, int]]:
    """Pictures and their seeds, one after the other, for as long as any are missing; the caller puts them into `done`.

    A batch is never larger than what is missing: so which seeds are drawn does not depend on the batch.
    """
    while missing := _missing(request, done):
        first = request.seed + len(done)
        seeds = range(first, first + min(missing, request.batch))
        jobs = [RenderJob(prompt.positive, prompt.negative, seed, prompt.closer) for seed in seeds]
        yield from zip(renderer.stream(jobs, request.sampling, request.batch), seeds, strict=True)


def _missing(request: RenderRequest, done: list[Headshot]) -> int:
    """How many candidates must be drawn at least, as far as is known."""
    least = round(request.count * request.oversample)
    most = max(least, round(request.count * request.max_oversample))
    passing = sum(shot.passes for shot in done)
    return max(0, min(max(least - len(done), request.count - passing), most - len(done)))


@dataclass(frozen=True)
class _Writer:
    """Finishes, judges and writes one candidate after the other."""

    person: Person
    folder: Path
    request: RenderRequest
    style: Style
    prompt: Prompt
    gates: Gates
    origin: dict[str, Any]
    signer: credentials.Signer | None

    def write(self, drawn: Image.Image, seed: int, judge: Judge) -> Headshot:
        image = self._finished(drawn, self.request.size)
        assessment = judge.assess(self._finished(drawn, _judged(max(drawn.size), max(image.size))))
        passes = not self.gates.rejecting(assessment.failures)
        name = f"{seed:06d}{'' if passes else NOT_PASSING}{finish.SUFFIXES[self.request.format]}"
        record = {
            "seed": seed,
            **words(self.prompt, self.origin["sampling"]),
            "style": self.style.name,
            "turned_grey": self.style.monochrome,
            "slots": self.prompt.slots,
            **self.origin,
            "drawn_size": drawn.size,
            CORNER: drawn.info.get(CORNER),
            "size": image.size,
            "passes": passes,
            "assessment": asdict(assessment) | {"faults": assessment.faults, "recogniser": self.request.recogniser},
            "digital_source_type": credentials.DIGITAL_SOURCE_TYPE,
            "signed": self.signer is not None,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self.person.require_consent()
        finish.write(self.folder / name, image, record, self.signer)
        return Headshot(self.folder / name, seed, assessment, passes)

    def _finished(self, drawn: Image.Image, size: int | None) -> Image.Image:
        image = enlarge(drawn, size)
        return ImageOps.grayscale(image).convert("RGB") if self.style.monochrome else image

    def index(self, done: Sequence[Headshot], gone: Collection[int] = ()) -> Index:
        """Of what has been drawn, as if that were all; `gone`: seeds of those whose pictures do not stay."""
        kept, rest = self.ranked(done)

        def candidates(shots: Sequence[Headshot]) -> tuple[Candidate, ...]:
            return tuple(
                Candidate(shot.seed, None if shot.seed in gone else shot.path.name, shot.passes, shot.assessment)
                for shot in shots
            )

        weights = self.origin["adapter_sha256"]
        return Index(self.style.name, weights, self.request.count, self.gates, candidates(kept), candidates(rest))

    def ranked(self, done: Sequence[Headshot]) -> tuple[list[Headshot], list[Headshot]]:
        """As many as were asked for, best first, and the others in the order of drawing."""
        best = [done[place] for place in best_first([shot.assessment for shot in done], self.gates)]
        return best[: self.request.count], sorted(best[self.request.count :], key=lambda shot: shot.seed)


def _warn(request: RenderRequest, renderer: Renderer, prompt: Prompt, made_elsewhere: bool) -> None:
    """Of what draws or measures less than one might think."""
    if renderer.family.unread(prompt.positive):
        _log.warning("the prompt is longer than this base reads: what you chose last may not show")
    if made_elsewhere and not request.subject:
        _log.warning("by which words this adapter draws its person is not on record: give them (--subject)")
    if made_elsewhere or (renderer.info is not None and not renderer.info.trained):
        _log.warning(
            "which selfies this adapter was trained on is not on record: all of them choose, and none can report"
        )


def _judged(drawn: int, written: int) -> int:
    """The longer side in px at which a picture is looked at: as it is written, but no smaller than drawn, where skin loses its
    texture, and no larger than JUDGED, where a look takes minutes and finds nothing more."""
    return max(drawn, min(written, JUDGED))


def _signer() -> credentials.Signer | None:
    return credentials.Signer() if credentials.available() else None


def _new_run(headshots: Path, style: str) -> Path:
    """A new folder named after the time and the style. Made first, so that a disk that refuses is known at once."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    with files.explained(headshots):
        headshots.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            folder = headshots / (f"{stamp}-{style}" if number == 1 else f"{stamp}-{style}-{number}")
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
    raise LikenessError("a thousand renders were begun in one second", "Wait a moment", headshots)


def _keep_best(writer: _Writer, done: list[Headshot]) -> tuple[list[Headshot], Index]:
    """Rank; write the index of all, remove what is beyond the number asked for, and write the contact sheet."""
    request, gates = writer.request, writer.gates
    done = [shot for shot in done if shot.path.is_file()]  # somebody may have thrown one away meanwhile
    kept, rest = writer.ranked(done)
    gone = [shot for shot in rest if shot.passes or not request.keep_rejected]
    index = writer.index(done, {shot.seed for shot in gone})
    if not kept:
        with suppress(OSError):  # not empty: something half-way was left to be looked at
            writer.folder.rmdir()
        return [], index
    index.write(writer.folder)
    for shot in gone:
        shot.path.unlink(missing_ok=True)
        shot.path.with_suffix(".json").unlink(missing_ok=True)
    files.write_bytes(writer.folder / SHEET, finish.encode(_sheet(kept, gates), ".jpg", writer.signer))
    return kept, index


def _sheet(shots: Sequence[Headshot], gates: Gates) -> Image.Image:
    """Many of them are smaller and in more columns: a JPEG is 65,535 px high at most."""
    side, small = 256 if len(shots) <= 100 else 128, []
    for shot in shots:  # one after the other: a system lets a process hold few hundred files open
        with Image.open(shot.path) as picture:
            small.append(ImageOps.contain(picture, (side, side), Image.Resampling.LANCZOS))
    return tile(small, [_caption(shot, gates) for shot in shots], max(4, math.isqrt(len(shots))), side)


def _caption(shot: Headshot, gates: Gates) -> str:
    likeness = shot.assessment.likeness
    measured = "" if likeness is None else f"  likeness {likeness:.2f}"
    return f"{shot.seed:06d}{measured}\n{gates.remarks(shot.assessment.failures)}"
