"""A person whose portraits are already prepared: random pictures in the trainer's columns, made in a moment."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image

from likeness import randomness
from likeness.person import Consent, Person
from tests.tiny import RESOLUTION
from training import prepare
from training.crops import Shape, portrait_size
from training.variety import TRAITS

SQUARE: Shape = "square"
CROPS = ("full", "shoulders", "close")


def make_person(
    folder: Path,
    photos: int = 5,
    resolution: int = RESOLUTION,
    more: Sequence[tuple[int, Shape]] = (),
    held_out: int = 1,
    glasses: int = 0,
    only_full: Collection[tuple[int, int]] = (),
) -> Person:
    """A person with consent whose prepared portraits ``training.prepare`` takes for its own; the first photos are held out.

    ``more``: (resolution, shape) of further sets of portraits.  ``glasses``: photos, from the last, on which they are worn.
    ``only_full``: (resolution, number) of photos that give no closer portrait there.
    """
    person = Person.create(folder, Consent(who="Nobody", basis="self", when=date(2026, 1, 1)))
    for number in range(photos):
        (person.selfies / f"photo-{number}.jpg").write_bytes(f"not looked at {number}".encode())
    prepare_made(person, resolution, more, held_out, glasses, only_full)
    return person


def prepare_made(
    person: Person,
    resolution: int = RESOLUTION,
    more: Sequence[tuple[int, Shape]] = (),
    held_out: int = 1,
    glasses: int = 0,
    only_full: Collection[tuple[int, int]] = (),
) -> None:
    """The portraits of the photographs that are there."""
    files = person.selfie_files()
    for width, shape in [(resolution, SQUARE), *more]:
        size = portrait_size(shape, width)
        worn = [", wearing glasses" if number >= len(files) - glasses else "" for number in range(len(files))]
        rows = [
            _row(path, number < held_out, place, worn[number], *size)
            for number, path in enumerate(files)
            for place in range(1 if (width, number) in only_full else 3)
        ]
        recipe = prepare._recipe(files, width, prepare.PrepareSettings())
        prepare._save(rows, prepare._folder(person, width, shape), recipe)


def _row(path: Path, held_out: bool, place: int, worn: str, width: int, height: int) -> dict[str, object]:
    rng = randomness.rng(0, "test-portrait", path.name, place)
    pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    traits = randomness.rng(0, "test-traits", path.name)
    return {
        "image": image,
        "mask": Image.fromarray(mask),
        "caption": ("a photo of {subject}, indoors" if place else "a photo of {subject}") + worn,
        "photo": path.name,
        "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
        "crop": CROPS[place],
        "also": "",
        "original_width": 2 * width // (place + 1),
        "original_height": 2 * height // (place + 1),
        "split": "held-out" if held_out else "train",
        **{name: float(traits.normal()) for name in TRAITS},
    }
