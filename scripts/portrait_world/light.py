"""Set-ups of light, each as lobes (lamps, windows, the sun) and a dome (sky above, ground below).

Strengths are relative: exposure is measured afterwards. Directions point to the light: x to the picture's right, y up,
z to the camera.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .mesh import unit

Vector = npt.NDArray[np.floating]

WARM, COOL, WHITE = np.array([1.0, 0.87, 0.72]), np.array([0.88, 0.95, 1.08]), np.ones(3)


class Lobe(NamedTuple):
    """Light from about one direction: its colour and strength, and how wide it is in radians."""

    direction: Vector
    radiance: Vector
    spread: float


class Light(NamedTuple):
    lobes: list[Lobe]
    sky: Vector
    ground: Vector

    def dome(self, directions: Vector) -> Vector:
        """Radiance (N, 3) of sky and ground in unit directions (N, 3)."""
        up = directions[:, 1:2]
        return np.asarray(self.sky * (0.5 + 0.5 * up) + self.ground * (0.5 - 0.5 * up))

    def mirrored(self, directions: Vector, gain: float) -> Vector:
        """What a smooth surface shows of dome and lobes in its mirror directions (N, 3)."""
        seen = self.dome(directions) * 0.6
        for lobe in self.lobes:
            inside = (1 - directions @ lobe.direction < lobe.spread**2 / 2)[:, None]
            seen = seen + inside * lobe.radiance / (lobe.spread**2 + 0.03) * gain
        return np.asarray(seen)


# Light of our words, and the set-ups that it may be.
SETUPS: dict[str, tuple[str, ...]] = {
    "soft studio light": ("soft",),
    "dramatic light": ("dramatic",),
    "rim light": ("rim",),
    "window light": ("window",),
    "natural light": ("overcast", "sun", "room", "window"),
}


def draw(rng: np.random.Generator, name: str, side: int) -> Light:
    """A set-up by its name; `side` is 1 where the main light is on the right of the picture, -1 on the left."""
    near = rng.normal(0, 0.12, (3, 3))
    if name in ("soft", "dramatic", "rim"):
        fill, rim = {"soft": (1.0, 0.5), "dramatic": (0.1, 0.4), "rim": (0.45, 2.6)}[name]
        key = 2.3 if name != "rim" else 1.5
        return Light(
            [
                _lobe((side * 0.8, 0.6, 1.0), near[0], np.array([1, 0.97, 0.93]) * key, 0.34),
                _lobe((-side, 0.1, 1.0), near[1], np.array([0.95, 0.97, 1]) * fill * rng.uniform(0.8, 1.2), 0.5),
                _lobe((-side * 0.7, 0.7, -0.9), near[2], WHITE * rim * rng.uniform(0.7, 1.2), 0.2),
            ],
            WHITE * (0.12 if name == "dramatic" else 0.34),
            WHITE * (0.07 if name == "dramatic" else 0.2),
        )
    if name == "window":
        glow = _mix(COOL, WHITE, rng.uniform(0, 1))
        lobes = [_lobe((side * 1.1, 0.35, 0.75), near[0], glow * rng.uniform(1.3, 2.0), 0.6)]
        return Light(lobes, glow * 0.45, np.array([0.34, 0.31, 0.28]) * rng.uniform(0.7, 1.2))
    if name == "sun":
        lobes = [
            _lobe((side * rng.uniform(0.2, 1.2), 1.0, 0.8), near[0], np.array([1, 0.94, 0.85]) * 1.5, 0.12),
            _lobe((0, 1, 0.4), near[1], COOL * 0.7, 0.8),
        ]
        return Light(lobes, COOL * 0.75, np.array([0.36, 0.34, 0.29]))
    if name == "overcast":
        lobes = [_lobe((side * 0.4, 1.0, 0.7), near[0], COOL * rng.uniform(0.9, 1.4), 0.8)]
        return Light(lobes, COOL * 0.8, np.array([0.36, 0.35, 0.31]))
    colour = _mix(WARM, WHITE, rng.uniform(0, 1))
    lobes = [_lobe((side * rng.uniform(0.2, 0.9), 1.0, 0.9), near[0], colour * rng.uniform(0.9, 1.5), 0.5)]
    if rng.random() < 0.6:  # a second lamp, or a screen in front
        lobes.append(_lobe((-side * rng.uniform(0.3, 1), 0.2, 1.0), near[1], _mix(COOL, WARM, rng.random()) * 0.5, 0.4))
    return Light(lobes, colour * 0.5, np.array([0.34, 0.31, 0.27]))


def samples(light: Light, rng: np.random.Generator, per_lobe: int = 5, dome: int = 10) -> tuple[Vector, Vector]:
    """Directions (N, 3) and irradiances (N, 3): each lobe is a disc of parallel lights, the dome a spiral of them."""
    directions, radiances = [], []
    golden = 2.39996
    for lobe in light.lobes:
        count = max(2, round(per_lobe * min(1.5, lobe.spread / 0.3 + 0.2)))
        across = unit(np.cross(lobe.direction, (0.3, 0.9, 0.2)))
        other, turn = np.cross(lobe.direction, across), rng.random() * 6.28
        for i in range(count):
            angle, radius = i * golden + turn, lobe.spread * np.sqrt((i + 0.5) / count) * 1.2
            directions.append(unit(lobe.direction + radius * (np.cos(angle) * across + np.sin(angle) * other)))
            radiances.append(lobe.radiance / count)
    steps = np.arange(dome) + 0.5
    height, turns = 1 - 1.9 * steps / dome, steps * golden + rng.random() * 6.28
    flat = np.sqrt(np.clip(1 - height**2, 0, 1))
    spiral = np.stack([flat * np.cos(turns), height, flat * np.sin(turns)], 1)
    shares = light.dome(spiral) * 3.42 / dome
    return np.array([*directions, *spiral]), np.array([*radiances, *shares])


def _lobe(direction: tuple[float, float, float], jitter: Vector, radiance: Vector, spread: float) -> Lobe:
    return Lobe(np.asarray(unit(np.array(direction) + jitter)), radiance, spread)


def _mix(one: Vector, other: Vector, part: float) -> Vector:
    return one * (1 - part) + other * part
