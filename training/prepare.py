"""Preparation: from a person's usable photographs to a `datasets` dataset of portraits, masks and captions.

The dataset lies in the person's folder and is written whole or not at all; when neither photographs nor settings have
changed it is kept.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from likeness import randomness
from likeness.errors import LikenessError
from likeness.faces import FaceFinder
from likeness.files import claim, new_folder, remove_leftovers, sha256, write_json
from likeness.images import load_photo
from likeness.person import Person
from likeness.settings import Settings
from training.captions import CaptionSettings, Scene, caption
from training.crops import Photograph, Shape, portrait_size
from training.intake import check_files
from training.intake_photo import PhotoVerdict
from training.intake_settings import IntakeSettings
from training.variety import TRAITS, read_traits

if TYPE_CHECKING:
    from datasets import Dataset

_RECIPE = 6  # raise it when the same photographs would be prepared differently
_NOTE = "recipe.json"
_ENOUGH_TO_HOLD_OUT = 5


class PrepareSettings(Settings):
    """How portraits are made."""

    held_out: float = Field(default=0.2, ge=0, lt=1)
    """Share of the photographs that is never trained on, by which likeness is measured; at least one of five."""
    intake: IntakeSettings = IntakeSettings()
    captions: CaptionSettings = CaptionSettings()


def prepare(
    person: Person,
    resolution: int,
    settings: PrepareSettings | None = None,
    shape: Shape = "square",
    progress: Callable[[Sequence[Path]], Iterable[Path]] = iter,
) -> Path:
    """Makes the portraits of that width in pixels; returns their folder, `prepared/<width>` or `prepared/<width>x<height>`.

    Columns as in `load_portraits`. Raises LikenessError without consent, or when intake finds the photographs unusable.
    """
    settings = settings or PrepareSettings()
    person.require_consent()
    files = person.selfie_files()
    folder = _folder(person, resolution, shape)
    recipe = _recipe(files, resolution, settings)
    if not _is_prepared(folder, recipe):
        # Several runs of one person are often started at once. Each would take the place of what another is about to read.
        with claim(person.folder / ".preparing.lock", wait=True):
            if not _is_prepared(folder, recipe):
                remove_leftovers(folder.parent, folder.name)
                _save(_rows(person, files, resolution, shape, settings, progress), folder, recipe)
    return folder


def _rows(
    person: Person,
    files: Sequence[Path],
    resolution: int,
    shape: Shape,
    settings: PrepareSettings,
    progress: Callable[[Sequence[Path]], Iterable[Path]],
) -> list[dict[str, Any]]:
    finder = FaceFinder()
    report = check_files(files, settings.intake, progress, finder)
    if not report.ok:
        reasons = "; ".join(finding.reason for finding in report.findings if finding.severity == "error")
        raise LikenessError(
            f"these photos cannot be trained on: {reasons}", f"See: likeness check {person.folder}", person.folder
        )
    digests = {photo.file: sha256(photo.file) for photo in report.accepted}
    # A matter of the person, not of a run: so not by its seed.
    held_out = choose_held_out(list(digests.values()), settings.held_out, seed=0)
    rows = []
    for photo in report.accepted:
        split = "held-out" if digests[photo.file] in held_out else "train"
        common = {"photo": photo.file.name, "digest": digests[photo.file], "split": split}
        rows += [row | common for row in _portraits(photo, resolution, shape, finder, settings.captions)]
    person.require_consent()  # it may have been taken back while the photographs were looked at
    return rows


def load_portraits(person: Person, resolution: int, shape: Shape = "square") -> "Dataset":
    """The prepared portraits: image (RGB) and mask (L, how much each pixel is face) of that width in pixels, caption (with
    "{subject}"), photo (file name), digest (SHA-256 of the photograph), crop ("full", "shoulders" or "close"), also (the closer
    one that a full one hardly differs from, or ""), original_width and original_height (px before it was scaled), split ("train"
    or "held-out"), and the photograph's TRAITS.

    Raises LikenessError when they have not been made.
    """
    from datasets import load_from_disk

    folder = _folder(person, resolution, shape)
    if not (folder / _NOTE).is_file():
        remedy = f"Make them: likeness prepare {person.folder} --resolution {resolution} --shape {shape}"
        raise LikenessError("the portraits are not prepared", remedy, folder)
    return load_from_disk(str(folder))


def choose_held_out(digests: Sequence[str], share: float, seed: int) -> set[str]:
    """Which photographs are held out: those with the smallest draw, so that adding one hardly changes the others."""
    if len(digests) < _ENOUGH_TO_HOLD_OUT or share == 0:
        return set()
    draws = sorted(set(digests), key=lambda digest: (randomness.uniform(seed, "held-out", digest), digest))
    return set(draws[: max(1, round(share * len(draws)))])


def _folder(person: Person, resolution: int, shape: Shape) -> Path:
    return person.prepared / (
        str(resolution) if shape == "square" else "{}x{}".format(*portrait_size(shape, resolution))
    )


def _recipe(files: Sequence[Path], resolution: int, settings: PrepareSettings) -> str:
    """SHA-256 of all that the portraits depend on."""
    contents = [[path.name, sha256(path)] for path in files]
    made_of = [_RECIPE, contents, resolution, settings.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def _is_prepared(folder: Path, recipe: str) -> bool:
    try:
        return bool(json.loads((folder / _NOTE).read_text())["recipe"] == recipe)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _portraits(
    photo: PhotoVerdict, resolution: int, shape: Shape, finder: FaceFinder, captions: CaptionSettings
) -> Iterator[dict[str, Any]]:
    picture = load_photo(photo.file)
    rgb = np.asarray(picture)
    face = photo.face
    if face is None:
        raise ValueError(f"{photo.file.name} was accepted without a face")
    scene, traits = Scene.of(rgb, face, bool(photo.glasses)), read_traits(rgb, face)
    photograph = Photograph(picture, face, finder, photo.others)
    for frame in photograph.frames(resolution, shape):
        portrait, mask = photograph.cut(frame, portrait_size(shape, resolution))
        yield {
            "image": portrait,
            "mask": mask,
            "caption": caption(scene, face, frame.width, captions),
            "crop": frame.crop,
            "also": frame.also or "",
            "original_width": round(frame.width),
            "original_height": round(frame.height),
            **traits,
        }


def _save(rows: list[dict[str, Any]], folder: Path, recipe: str) -> None:
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    texts = {name: Value("string") for name in ("caption", "photo", "digest", "crop", "also", "split")}
    sizes = {name: Value("int32") for name in ("original_width", "original_height")}
    traits = {name: Value("float32") for name in TRAITS}
    features = Features({"image": ImageFeature(mode="RGB"), "mask": ImageFeature(mode="L"), **texts, **sizes, **traits})
    with new_folder(folder) as fresh, _quiet():
        Dataset.from_list(rows, features=features).save_to_disk(str(fresh))
        write_json(fresh / _NOTE, {"recipe": recipe})


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own progress bars: writing a few dozen portraits takes no time."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_on = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if were_on:
            enable_progress_bars()
