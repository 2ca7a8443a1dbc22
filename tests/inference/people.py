"""People with selfies, an adapter and headshots on disk, without a training: what a certificate or an audit reads."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from inference.index import Candidate, Index
from inference.ranking import Assessment
from likeness import files
from likeness.adapter_file import INFO_FILE, LORA_FILE, AdapterInfo, weights_sha256
from likeness.gates import Failure, Gates
from likeness.person import Consent, Person
from tests import photos
from tests.photos import Pixels

PLASTIC = Failure("texture", "fine texture of the skin", -4.0, -3.0)


def make_adapter(folder: Path, trained: Sequence[Path] = (), held_out: Sequence[Path] = ()) -> Path:
    """An adapter of these photographs, as far as it is read here."""
    info = AdapterInfo(
        family="sd15", base="pocket", base_sha256="0" * 64, method="lora", trigger="sks", class_word="person",
        steps=1, data_digest="0" * 64, resolution=32,
        trained=[files.sha256(path) for path in trained], held_out=[files.sha256(path) for path in held_out],
    )  # fmt: skip
    folder.mkdir(parents=True)
    files.write_json(folder / INFO_FILE, info.model_dump(mode="json"))
    save_file({"a": torch.ones(1)}, folder / LORA_FILE)
    return folder


def make_person(folder: Path, source: Path) -> Person:
    """A person with the selfies of one of the cohort, the last two of which are held out."""
    person = Person.create(folder, Consent(who="nobody", basis="written-release", when=date(2026, 11, 24)))
    paths = photos.selfies(source)
    for path in paths:
        shutil.copyfile(path, person.selfies / path.name)
    make_adapter(person.adapters / "first", paths[:-2], paths[-2:])
    return person


def draw(person: Person, pictures: Mapping[str, Pixels], thrown_away: int = 0) -> Path:
    """Headshots as `likeness render` leaves them, as far as they are read; more candidates were rejected for PLASTIC."""
    run, weights = person.headshots / "20261124-120000-office", weights_sha256(person.adapters / "first")
    for name, rgb in pictures.items():
        record = {
            "adapter_sha256": weights,
            "style": "office",
            "prompt": "a headshot of sks person, head and shoulders",
            "slots": {"framing": "head and shoulders"},
            "assessment": {"faults": [], "recogniser": "dlib"},
        }
        files.write_json(run / f"{name}.json", record)
        files.write_image(run / f"{name}.png", Image.fromarray(rgb))
    kept = [Candidate(seed, f"{name}.png", True, Assessment(0.5, 0.9, (), True)) for seed, name in enumerate(pictures)]
    gone = [Candidate(50 + seed, None, False, Assessment(0.4, 0.9, (PLASTIC,), True)) for seed in range(thrown_away)]
    Index("office", weights, len(kept), Gates(), tuple(kept), tuple(gone)).write(run)
    return run
