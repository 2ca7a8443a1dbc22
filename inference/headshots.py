"""The whole of rendering for one person: from a request to ranked headshots in the person's folder.

Every candidate is written as soon as it is drawn, so that an interruption keeps what is there. At the end the worst of
the candidates beyond the number asked for go, and the contact sheet and `headshots.json` are made of the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import Field

from inference import credentials, finish
from inference.finish import Format
from inference.prompts import Prompt, compose
from inference.ranking import Assessment, Judge, best_first
from inference.renderer import LATENT_STREAM, Renderer, RenderJob, Sampling
from inference.styles import SlotName, find_style
from likeness import __version__, files
from likeness.adapter import weights_sha256
from likeness.errors import LikenessError
from likeness.faces import FaceFinder, Reference, embedder
from likeness.images import PhotoError, load_photo
from likeness.person import Person
from likeness.settings import Settings
from likeness.sheets import tile

_log = logging.getLogger(__name__)

SHEET, INDEX = "sheet.jpg", "headshots.json"
PACKAGES = ("torch", "diffusers", "transformers", "peft")


class RenderRequest(Settings):
    """What is wanted."""

    style: str = "studio-grey"
    choices: dict[SlotName, str] = {}
    count: int = Field(8, ge=1, le=1000)
    oversample: float = Field(1.0, ge=1, le=20)
    """Candidates drawn for each headshot that is kept."""
    seed: int = Field(0, ge=0)
    """Of the first candidate; the others follow on."""
    subject: str | None = None
    """Words for the person in the prompt; None: the adapter's trigger and class word."""
    size: int | None = Field(1024, ge=16, le=8192)
    """Longer side of the written pictures in px; None: as drawn."""
    format: Format = "png"
    batch: int = Field(4, ge=1)
    sampling: Sampling = Sampling()
    recogniser: str = "dlib"


@dataclass(frozen=True)
class Headshot:
    """One written picture."""

    path: Path
    seed: int
    assessment: Assessment


Progress = Callable[[int, int], None]
"""Called with the number of candidates done, and of all."""


def render(
    person: Person,
    request: RenderRequest,
    renderer: Renderer,
    adapter: Path | None = None,
    progress: Progress = lambda done, total: None,
    judge: Judge | None = None,
) -> tuple[Path, list[Headshot]]:
    """Draw, judge and write headshots; gives their folder and them, best first.

    `renderer` holds the base and the adapter, whose path is only recorded. `judge`: from `judge_of`, to be given where one
    person is rendered in several styles, so that their selfies are looked at once. An interruption (KeyboardInterrupt) passes
    on after what was drawn until then has been ranked. Raises LikenessError without consent or when the disk refuses.
    """
    person.require_consent()
    style = find_style(request.style)
    prompt = compose(style, request.choices, request.subject or _subject(renderer))
    if renderer.family.unread(prompt.positive):
        _log.warning("the prompt is longer than this base reads: what you chose last may not show")
    folder = _new_run(person.headshots, style.name)
    writer = _Writer(folder, request, style.name, prompt, _origin(renderer, adapter, request), _signer())
    judge = judge or judge_of(person, request.recogniser, renderer.info.held_out if renderer.info else [])
    total = round(request.count * request.oversample)
    jobs = [RenderJob(prompt.positive, prompt.negative, request.seed + number) for number in range(total)]
    done: list[Headshot] = []
    try:
        for job, image in zip(jobs, renderer.stream(jobs, request.sampling, request.batch), strict=True):
            done.append(writer.write(image, job.seed, judge))
            progress(len(done), total)
    finally:
        kept = _keep_best(writer, done, request.count)
    return folder, kept


class _Writer:
    """Finishes, judges and writes one candidate after the other."""

    def __init__(
        self,
        folder: Path,
        request: RenderRequest,
        style: str,
        prompt: Prompt,
        origin: dict[str, Any],
        signer: credentials.Signer | None,
    ) -> None:
        self.folder = folder
        self.request = request
        self.style = style
        self.prompt = prompt
        self.origin = origin
        self.signer = signer

    def write(self, drawn: Image.Image, seed: int, judge: Judge) -> Headshot:
        image = finish.enlarge(drawn, self.request.size)
        assessment = judge.assess(image)
        path = self.folder / f"{seed:06d}{finish.SUFFIXES[self.request.format]}"
        record = {
            "seed": seed,
            "prompt": self.prompt.positive,
            "negative_prompt": self.prompt.negative,
            "style": self.style,
            "slots": self.prompt.slots,
            **self.origin,
            "drawn_size": drawn.size,
            "size": image.size,
            "assessment": asdict(assessment) | {"recogniser": self.request.recogniser},
            "digital_source_type": credentials.DIGITAL_SOURCE_TYPE,
            "signed": self.signer is not None,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        finish.write(path, image, record, self.signer)
        return Headshot(path, seed, assessment)


def _subject(renderer: Renderer) -> str:
    return renderer.info.subject if renderer.info else "a person"


def _origin(renderer: Renderer, adapter: Path | None, request: RenderRequest) -> dict[str, Any]:
    """What the pictures are drawn with, without a path: those tell where a person keeps their files."""
    packages = {name: version(name) for name in PACKAGES}
    return {
        "base": Path(renderer.base).name if Path(renderer.base).is_dir() else renderer.base,
        "base_sha256": renderer.base_sha256,
        "licence": renderer.family.licence,
        "adapter": None if adapter is None else adapter.name,
        "adapter_sha256": None if adapter is None else weights_sha256(adapter),
        "adapter_weight": renderer.weight,
        "sampling": request.sampling.over(renderer.family.recipe).model_dump(),
        "latents": f"likeness.randomness.normal(shape, seed, {LATENT_STREAM!r})",
        "device": renderer.device,
        "dtype": str(renderer.dtype).removeprefix("torch."),
        "versions": {"likeness": __version__, **packages},
    }


def _signer() -> credentials.Signer | None:
    return credentials.Signer() if credentials.available() else None


def judge_of(person: Person, recogniser: str, held_out: Collection[str]) -> Judge:
    """A judge that knows the person, or only faults when there are not two selfies to know them by.

    The photographs that were kept from training are kept from choosing too: whoever reports by them reports fairly.
    """
    finder, recognise = FaceFinder(), embedder(recogniser)
    photos = []
    for path in (path for path in person.selfie_files() if files.sha256(path) not in held_out):
        # A broken photograph is what `likeness check` is for; it is no reason not to render.
        with suppress(PhotoError):
            photos.append(load_photo(path))
    try:
        reference = Reference.of(photos, finder, recognise)
    except LikenessError as error:
        _log.warning("headshots are ranked by their faults alone: %s", error)
        reference = None
    return Judge(reference, finder, recognise)


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


def _keep_best(writer: _Writer, done: list[Headshot], count: int) -> list[Headshot]:
    """Rank; remove what is beyond `count`; write the contact sheet and the index of the rest."""
    ranked = [done[position] for position in best_first([shot.assessment for shot in done])]
    for shot in ranked[count:]:
        shot.path.unlink()
        shot.path.with_suffix(".json").unlink()
    kept = ranked[:count]
    if not kept:
        with suppress(OSError):  # not empty: something half-way was left to be looked at
            writer.folder.rmdir()
        return []
    entries = [{"file": shot.path.name, "seed": shot.seed, **asdict(shot.assessment)} for shot in kept]
    files.write_json(writer.folder / INDEX, entries)
    sheet = tile([Image.open(shot.path) for shot in kept], [_caption(shot) for shot in kept], 4, 256)
    files.write_bytes(writer.folder / SHEET, finish.encode(sheet, ".jpg", writer.signer))
    return kept


def _caption(shot: Headshot) -> str:
    likeness = shot.assessment.likeness
    measured = "" if likeness is None else f"  likeness {likeness:.2f}"
    return f"{shot.path.stem}{measured}\n{', '.join(shot.assessment.faults)}"
