"""Render people who do not exist, each with true words on every picture.

    python -m scripts.portrait_world OUT --generator FOLDER --people 0:1500 --headshots 2 --selfies 1 --size 256

FOLDER holds the proof generator of the portrait world (`fast.py`, `person.py`, ...), which is not part of this repository
yet and needs numpy<2.5, scipy, numba, pillow and opencv-python-headless. A person is their number, so ranges can be rendered
on several cores or machines and put together; those that are there already are skipped.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import backgrounds, scenes

FIRST_NUMBER = 50_000
"""Added to a person's number for the generator, whose first people are used elsewhere."""


def load_generator(folder: Path) -> tuple[Any, Any]:
    """The generator's picture-maker and its people, with our backgrounds put in."""
    sys.path.insert(0, str(folder))
    fast: Any = importlib.import_module("fast")
    people: Any = importlib.import_module("sample")
    own = fast.background

    def background(rng: np.random.Generator, kind: str, size: int) -> Any:
        if kind.startswith("studio:"):
            return backgrounds.studio(rng, kind.partition(":")[2], size)
        made = {"library": backgrounds.library, "office": backgrounds.office}.get(kind)
        return made(rng, size) if made else own(rng, kind, size)

    fast.background = background
    return fast, people


def draw_person(people: Any, number: int) -> dict[str, Any]:
    """A person of the generator, their hair's colour loosened from their skin's."""
    rng, who = np.random.default_rng(7000 + number), people.draw_person(FIRST_NUMBER + number)
    if rng.random() < 0.4 and not who["grey"]:
        who["haircol"] = str(rng.choice(people.COLOURS))
    return dict(who)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--generator", type=Path, required=True)
    parser.add_argument("--people", default="0:10", help="numbers, from and up to")
    parser.add_argument("--headshots", type=int, default=2)
    parser.add_argument("--selfies", type=int, default=1)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--supersample", type=int, default=1)
    options = parser.parse_args()
    fast, people = load_generator(options.generator)
    for number in range(*map(int, options.people.split(":"))):
        folder = options.out / f"p{number:06d}"
        if (folder / "person.json").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        who, shots = draw_person(people, number), {}
        for kind, count in (("headshot", options.headshots), ("selfie", options.selfies)):
            for take in range(count):
                rng = np.random.default_rng([number, take, kind == "headshot", 5])
                scene, words = getattr(scenes, kind)(rng)
                picture, _ = fast.shot(
                    who, scene | {"seed": int(rng.integers(1 << 30))}, None, options.size, options.supersample
                )
                name = f"{kind}_{take:02d}.jpg"
                Image.fromarray(picture).save(folder / name, quality=94)
                shots[name] = {"scene": people.plain(scene), "words": words | {"glasses": bool(who["glasses"])}}
        truth = json.dumps({"identity": people.plain(who), "shots": shots})
        (folder / "person.tmp").write_text(truth, encoding="utf-8")
        (folder / "person.tmp").replace(folder / "person.json")


if __name__ == "__main__":
    main()
