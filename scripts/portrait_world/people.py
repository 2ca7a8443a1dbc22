"""A person's folder: their pictures and person.json, with who they truly are and what is true of every picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from . import cohort, identity, scenes
from .identity import FIRST_HELD_OUT, Identity, rounded


@dataclass(frozen=True)
class Order:
    """How many pictures of a person, and how large: `size` in pixels, `supersample` points along a pixel's side."""

    headshots: int = 2
    selfies: int = 1
    size: int = 256
    supersample: int = 1
    quality: int = 94

    def takes(self) -> list[tuple[scenes.Kind, int]]:
        return [("headshot", take) for take in range(self.headshots)] + [("selfie", n) for n in range(self.selfies)]


COHORT = Order(headshots=4, selfies=12, size=384, supersample=2, quality=82)
"""Of the held-out cohort; small enough to go with the package."""


def who_is(number: int) -> Identity:
    """The person of that number."""
    return identity.draw(number, **(cohort.attributes(number) if number >= FIRST_HELD_OUT else {}))


def save(out: Path, order: Order, number: int) -> int:
    """Render a person's folder unless it is there, and say how many pictures that were."""
    folder = out / f"p{number:06d}"
    if (folder / "person.json").exists():
        return 0
    from .person import Person  # needs numba, which importing the rest does not
    from .picture import render

    folder.mkdir(parents=True, exist_ok=True)
    who = who_is(number)
    person, shots = Person(who), {}
    for kind, take in order.takes():
        scene, name = scenes.draw(number, take, kind), f"{kind}_{take:02d}.jpg"
        picture = render(person, scene, order.size, order.supersample)
        # Progressive and optimised are the same pixels in fewer bytes.
        Image.fromarray(picture.rgb).save(folder / name, quality=order.quality, progressive=True, optimize=True)
        shots[name] = truth(scene, who, rounded(picture.landmarks, 1))
    write(folder, {"identity": who.asdict(), "shots": shots})
    return len(shots)


def truth(scene: scenes.Scene, who: Identity, landmarks: Mapping[str, object]) -> dict[str, object]:
    """What is true of a picture: its scene, and the words that captions are made of.

    The held-out have no `words`, by which the training of a base finds its pictures: their words lie beside the scene.
    """
    words, facts = scene.words() | {"glasses": bool(who.glasses)}, rounded(scene.asdict())
    if who.number < FIRST_HELD_OUT:
        return {"scene": facts, "words": words, "landmarks": landmarks}
    pose = facts["pose"]
    return {**words, "yaw": pose["yaw"], "pitch": pose["pitch"], "setup": scene.setup, "landmarks": landmarks}


def write(folder: Path, facts: dict[str, object]) -> None:
    """Last, and at once: a folder with person.json is complete."""
    (folder / "person.tmp").write_text(json.dumps(facts), encoding="utf-8")
    (folder / "person.tmp").replace(folder / "person.json")
