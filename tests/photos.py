"""Photographs for tests: the bundled synthetic people, and what people do to photographs."""

import json
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from likeness.faces import Face
from likeness.resources import assets

Pixels = npt.NDArray[np.uint8]


def people() -> list[Path]:
    """The folders of the synthetic people, by name."""
    return sorted(path.parent for path in (assets() / "cohort").glob("*/person.json"))


def selfies(person: Path) -> list[Path]:
    return sorted(person.glob("selfie_*.jpg"))


def by_tone(each: int) -> list[Path]:
    """So many people of every skin tone, where a test needs all tones but not all people."""
    tones: dict[int, list[Path]] = {}
    for person in people():
        tones.setdefault(_identity(person)["skin_tone"], []).append(person)
    return [person for _, alike in sorted(tones.items()) for person in alike[:each]]


def wears_glasses(person: Path) -> bool:
    return bool(_identity(person)["glasses"])


def wears_rims(person: Path) -> bool:
    """Glasses that are more than a thin wire."""
    glasses = _identity(person)["glasses"]
    return bool(glasses) and glasses[1] != "wire"


def grey(person: Path) -> float | None:
    """The part of the hair that is grey, [0, 1]; None of who has no hair."""
    identity = _identity(person)
    return None if identity["hair"] == "bald" else float(identity["grey"])


def _identity(person: Path) -> dict[str, Any]:
    identity: dict[str, Any] = json.loads((person / "person.json").read_text())["identity"]
    return identity


def pixels(path: Path) -> Pixels:
    return np.asarray(Image.open(path).convert("RGB"))


def astronaut() -> Pixels:
    """A real photograph (NASA, public domain)."""
    import skimage.data

    return np.asarray(skimage.data.astronaut())


def with_sunglasses(rgb: Pixels, face: Face) -> Pixels:
    """Dark lenses and a bridge painted over the eyes."""
    lenses = np.zeros(rgb.shape[:2], np.float32)
    apart = float(np.linalg.norm(face.eyes[1] - face.eyes[0]))
    for x, y in face.eyes:
        size = int(0.42 * apart), int(0.34 * apart)
        cv2.ellipse(lenses, (int(x), int(y + 0.06 * apart)), size, face.roll, 0, 360, 1, -1)
    left, right = ([int(v) for v in eye] for eye in face.eyes)
    cv2.line(lenses, left, right, 1, max(2, int(0.06 * apart)))
    soft = np.asarray(cv2.GaussianBlur(lenses, (0, 0), 0.8))[..., None]
    return (rgb * (1 - soft) + np.array([15, 15, 18]) * soft).astype(np.uint8)


def stops(rgb: Pixels, change: float) -> Pixels:
    """The picture in more or less light."""
    light = (rgb / 255) ** 2.2 * 2.0**change
    return (np.clip(light, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


def blurred(rgb: Pixels, face: Face, sigma: float) -> Pixels:
    """Out of focus; sigma in pixels of a face 256 px large."""
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma * face.size / 256))


def save(path: Path, rgb: npt.NDArray[Any], **options: int) -> Path:
    Image.fromarray(rgb).save(path, None, **options)
    return path


def enormous_png(path: Path, side: int = 20_000) -> Path:
    """A valid black PNG of that side, a multiple of 100, in little space."""
    squeezer = zlib.compressobj(1)
    rows = bytes((1 + side) * 100)
    data = b"".join(squeezer.compress(rows) for _ in range(side // 100)) + squeezer.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    size = side.to_bytes(4, "big")
    header = chunk(b"IHDR", size + size + bytes([8, 0, 0, 0, 0]))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path
