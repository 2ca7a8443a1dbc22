"""Backgrounds of selfies, out of focus: a room, and a green place. Float (n, n, 3) in [0, 1], sRGB."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]
Number = int | np.integer


def outdoor(rng: np.random.Generator, size: int) -> Picture:
    """Sky over trees, grass, and now and then a house."""
    picture, horizon = np.zeros((size, size, 3), np.float32), int(size * rng.uniform(0.35, 0.65))
    picture[:horizon] = (
        np.linspace(1, 0.8, horizon)[:, None, None] * np.array([0.62, 0.76, 0.93]) * rng.uniform(0.8, 1.1)
    )
    picture[horizon:] = np.array([0.35, 0.42, 0.26]) * rng.uniform(0.7, 1.3)
    for _ in range(rng.integers(0, 4)):
        left, width, top = rng.integers(0, size), rng.integers(size // 10, size // 3), rng.integers(0, horizon)
        _fill(picture, left, top, left + width, size, np.array([0.6, 0.56, 0.52]) * rng.uniform(0.5, 1.3))
    green = np.array([0.16, 0.27, 0.12]) * rng.uniform(0.8, 1.5)
    for _ in range(40):
        centre = int(rng.integers(0, size)), int(rng.normal(horizon, size * 0.1))
        leaf = np.clip(green * rng.uniform(0.6, 2.0) + rng.normal(0, 0.02, 3), 0, 1)
        cv2.circle(picture, centre, int(rng.uniform(0.02, 0.12) * size), leaf.tolist(), -1)
    return _softened(picture, size * rng.uniform(0.012, 0.035), rng)


def indoor(rng: np.random.Generator, size: int) -> Picture:
    """A wall that light falls on unevenly, with pictures, furniture or a bright window."""
    wall = rng.uniform(0.40, 0.85) * np.array([1, 0.97, 0.92]) + rng.normal(0, 0.03, 3)
    light = np.linspace(rng.uniform(0.75, 1.1), rng.uniform(0.75, 1.1), size)[None, :, None]
    picture = np.ascontiguousarray(np.broadcast_to(wall * light, (size, size, 3)), np.float32)
    if rng.random() < 0.5:
        picture[int(size * rng.uniform(0.72, 0.95)) :] = np.array([0.42, 0.31, 0.22]) * rng.uniform(0.5, 1.3)
    for _ in range(rng.integers(1, 6)):
        left, top = rng.integers(-size // 4, size, 2)
        width, height = rng.integers(size // 8, size // 2, 2)
        hue = rng.normal(0, 0.16 if rng.random() < 0.25 else 0.05, 3)
        _fill(picture, left, top, left + width, top + height, rng.uniform(0.12, 0.9) * np.array([1, 0.95, 0.88]) + hue)
    if rng.random() < 0.5:
        left, top = rng.integers(0, size), rng.integers(0, size // 2)
        _fill(picture, left, top, left + size // 4, top + size // 3, np.array([1, 0.99, 0.96]))
    return _softened(picture, size * rng.uniform(0.015, 0.04), rng)


def _fill(
    picture: Picture, left: Number, top: Number, right: Number, bottom: Number, colour: npt.NDArray[np.float64]
) -> None:
    cv2.rectangle(picture, (int(left), int(top)), (int(right), int(bottom)), np.clip(colour, 0, 1).tolist(), -1)


def _softened(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    grain = cv2.GaussianBlur(rng.normal(size=picture.shape[:2]).astype(np.float32), (0, 0), 2)[..., None]
    return np.clip(cv2.GaussianBlur(picture, (0, 0), sigma) * (1 + 0.03 * grain), 0, 1).astype(np.float32)
