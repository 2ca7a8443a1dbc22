"""Backgrounds that the generator does not have: coloured studios, an office, a library. Float (n, n, 3) in [0, 1]."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]

STUDIO_COLOURS = {
    "grey": (0.50, 0.51, 0.53), "blue": (0.28, 0.36, 0.47), "white": (0.90, 0.90, 0.91), "dark": (0.13, 0.13, 0.15),
    "warm brown": (0.55, 0.48, 0.42), "teal": (0.20, 0.45, 0.45), "orange": (0.80, 0.47, 0.22),
    "pink": (0.82, 0.58, 0.62), "green": (0.33, 0.45, 0.33),
}  # fmt: skip


def studio(rng: np.random.Generator, name: str, size: int) -> Picture:
    """A paper background, brighter where a lamp points at it."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    across, down = rng.uniform(0.35, 0.65), rng.uniform(0.3, 0.6)
    glow = np.exp(-(((columns - across) / 0.7) ** 2 + ((rows - down) / 0.7) ** 2))
    return np.clip(np.array(STUDIO_COLOURS[name]) * (0.74 + 0.40 * glow[..., None]), 0, 1).astype(np.float32)


def library(rng: np.random.Generator, size: int) -> Picture:
    """Shelves of books, out of focus."""
    picture = np.ones((size, size, 3), np.float32) * np.float32(np.array([0.25, 0.16, 0.10]) * rng.uniform(0.8, 1.3))
    top = -int(rng.integers(0, size // 6))
    while top < size:
        height, left = int(size * rng.uniform(0.15, 0.21)), -int(rng.integers(0, 20))
        while left < size:
            width, tall = int(size * rng.uniform(0.018, 0.05)) + 1, int(height * rng.uniform(0.72, 0.95))
            colour = np.clip(rng.uniform(0.1, 0.75) * np.array([1, 0.85, 0.7]) + rng.normal(0, 0.08, 3), 0, 1)
            _box(picture, left, top + height - tall, left + width - 1, top + height - 3, colour)
            left += width
        top += height
    return _blurred(picture, size * rng.uniform(0.008, 0.02))


def office(rng: np.random.Generator, size: int) -> Picture:
    """A bright wall with windows on a town, and a desk's edge, out of focus."""
    picture = np.ones((size, size, 3), np.float32) * np.float32(rng.uniform(0.62, 0.85) * np.array([1, 0.99, 0.97]))
    left = -int(rng.integers(0, size // 3))
    while left < size:
        width = int(size * rng.uniform(0.22, 0.4))
        top, bottom = int(size * rng.uniform(0, 0.12)), int(size * rng.uniform(0.5, 0.75))
        _box(picture, left, top, left + width, bottom, np.array([0.86, 0.93, 1.0]) * rng.uniform(0.9, 1.1))
        for house in range(3):
            roof = int(bottom - size * rng.uniform(0.1, 0.3))
            sides = left + int(width * house / 3), left + int(width * (house + 0.8) / 3)
            _box(picture, sides[0], roof, sides[1], bottom, np.array([0.55, 0.62, 0.7]) * rng.uniform(0.7, 1.2))
        left += width + int(size * rng.uniform(0.04, 0.1))
    picture[int(size * rng.uniform(0.72, 0.85)) :] = np.array([0.45, 0.40, 0.36]) * rng.uniform(0.6, 1.3)
    return _blurred(picture, size * rng.uniform(0.015, 0.035))


def _box(picture: Picture, left: int, top: int, right: int, bottom: int, colour: npt.NDArray[np.float64]) -> None:
    cv2.rectangle(picture, (left, top), (right, bottom), [float(part) for part in np.clip(colour, 0, 1)], -1)


def _blurred(picture: Picture, sigma: float) -> Picture:
    return np.clip(cv2.GaussianBlur(picture, (0, 0), sigma), 0, 1).astype(np.float32)
