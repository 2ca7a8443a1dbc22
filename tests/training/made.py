"""A person whose portraits are already prepared: random pictures in the trainer's columns, made in a moment."""

import hashlib
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image

from likeness import randomness
from likeness.person import Consent, Person
from tests.tiny import RESOLUTION
from training import prepare

CROPS = ("full", "shoulders", "close")


def make_person(folder: Path, photos: int = 5, resolution: int = RESOLUTION, held_out: int = 1) -> Person:
    """A person with consent whose prepared portraits ``training.prepare`` takes for its own; one photo is held out."""
    person = Person.create(folder, Consent(who="Nobody", basis="self", when=date(2026, 1, 1)))
    for number in range(photos):
        (person.selfies / f"photo-{number}.jpg").write_bytes(f"not looked at {number}".encode())
    prepare_made(person, resolution, held_out)
    return person


def prepare_made(person: Person, resolution: int = RESOLUTION, held_out: int = 1) -> None:
    """The portraits of the photographs that are there."""
    files = person.selfie_files()
    rows = [_row(path, number < held_out, place, resolution) for number, path in enumerate(files) for place in range(3)]
    recipe = prepare._recipe(files, resolution, 0, prepare.PrepareSettings())
    prepare._save(rows, person.prepared / str(resolution), recipe)


def _row(path: Path, held_out: bool, place: int, resolution: int) -> dict[str, object]:
    rng = randomness.rng(0, "test-portrait", path.name, place)
    pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((resolution, resolution), Image.Resampling.BICUBIC)
    mask = np.zeros((resolution, resolution), np.uint8)
    mask[resolution // 4 : resolution // 2, resolution // 4 : resolution // 2] = 255
    return {
        "image": image,
        "mask": Image.fromarray(mask),
        "caption": "a photo of {subject}, indoors" if place else "a photo of {subject}",
        "photo": path.name,
        "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
        "crop": CROPS[place],
        "original_width": 2 * resolution // (place + 1),
        "original_height": 2 * resolution // (place + 1),
        "split": "held-out" if held_out else "train",
    }
