"""Photographs of the person that a base looks at while it draws, where its pipeline takes any."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from inference.material import load_selfies
from inference.renderer import ReferencePhoto
from likeness import files
from likeness.errors import LikenessError
from likeness.faces import Face, FaceFinder
from likeness.faces.arrays import Pixels
from likeness.faces.framing import corner
from likeness.faces.quality import sharpness
from likeness.person import Person

_HEAD_AND_SHOULDERS = 2.6
"""Width of what is shown of a selfie, in faces: the pipeline scales pictures to a megapixel, and rooms would take most of it."""


def choose(person: Person, adapter: Path, count: int) -> list[ReferencePhoto]:
    """The sharpest faces first, of the selfies that the adapter was trained on; never one that was held out of it.

    Fewer than `count` where there are fewer with a face. Raises LikenessError when it is not known what was trained on, and
    when no selfie is left.
    """
    selfies, finder = load_selfies(person, adapter), FaceFinder()
    found: list[tuple[float, str, Pixels, Face]] = []
    for name, rgb in selfies.photos:
        faces = finder.find(rgb) if name in selfies.trained else []
        if faces:
            found.append((sharpness(rgb, faces[0]), name, rgb, faces[0]))
    if not found:
        raise LikenessError("no selfie that was trained on shows a face", "Leave out --references", person.selfies)
    best = sorted(found, key=lambda one: (-one[0], one[1]))[:count]
    return [ReferencePhoto(_shown(rgb, face), files.sha256(person.selfies / name)) for _, name, rgb, face in best]


def _shown(rgb: Pixels, face: Face) -> Image.Image:
    """Head and shoulders of a selfie, square and moved to lie within it."""
    height, width = rgb.shape[:2]
    side = round(min(_HEAD_AND_SHOULDERS * face.size, width, height))
    left, top = map(round, corner("shoulders", face, side, side, width, height))
    return Image.fromarray(rgb).crop((left, top, left + side, top + side))
