"""The body of a person: their own shape, the expressions of their face, and how they hold themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import mesh, rig
from .identity import Identity
from .mesh import Vertices
from .rig import Matrix, rotation

# How far one standard deviation of an axis moves it, by part of the head.
SPREADS = {
    "cheek": 0.30, "chin": 0.28, "ears": 0.30, "eyebrows": 0.28, "eyes": 0.24, "forehead": 0.28, "head": 0.24,
    "mouth": 0.26, "neck": 0.12, "nose": 0.26,
}  # fmt: skip
# Axes that move or scale whole parts: people do not differ by them, or the macro targets have them already.
LEFT_OUT = (
    "head-trans", "neck-trans", "head-angle", "mouth-trans", "nose-trans-in", "nose-trans-back", "eye-trans-",
    "eye-scale", "head-fat", "head-age", "nose-compression", "neck-scale",
)  # fmt: skip
_AXES = ("caucasian", "asian", "african")  # file names of the mesh data; crude, and never used as words

# Lids of the mean mesh are wide open; at rest they cover a part of the iris.
REST = {"eye-left-closure": 0.17, "eye-right-closure": 0.17, "mouth-corner-puller": 0.06}
EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "softsmile": {"mouth-corner-puller": 0.42, "eye-left-slit": 0.12, "eye-right-slit": 0.12},
    "smile": {"mouth-corner-puller": 0.74, "eye-left-slit": 0.28, "eye-right-slit": 0.28},
    "grin": {
        "mouth-corner-puller": 0.66, "mouth-upward-retraction": 0.3, "mouth-open": 0.06, "eye-left-slit": 0.36,
        "eye-right-slit": 0.36,
    },
    "serious": {"eyebrows-left-down": 0.3, "eyebrows-right-down": 0.3, "mouth-compression": 0.25},
    "talk": {"mouth-parling": 0.32, "mouth-corner-puller": 0.2},
}  # fmt: skip


@dataclass(frozen=True)
class Pose:
    """Angles in degrees: yaw to the person's left, pitch down, roll to their right shoulder; gaze against the head."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Expression:
    """A named expression, how strong it is (1: as listed), how far lids are closed, and what else moves."""

    name: str = "neutral"
    amount: float = 1.0
    lids: float = 0.0
    extra: dict[str, float] = field(default_factory=dict)


def shape(who: Identity) -> Vertices:
    """The vertices of a person whose face is at rest, (N, 3)."""
    vertices = mesh.base().vertices.copy()
    _macro(vertices, who)
    for axis, value, asymmetry in zip(mesh.sliders(), who.shape, who.asymmetry, strict=False):
        if not any(part in axis.name for part in LEFT_OUT):
            axis.apply(vertices, float(np.clip(value * SPREADS[axis.section], -0.75, 0.75)), asymmetry)
    return vertices


def express(vertices: Vertices, who: Identity, expression: Expression) -> Vertices:
    """A copy of `vertices` with an expression on."""
    moved = vertices.copy()
    units = dict(REST)
    units["eye-left-closure"] += expression.lids
    units["eye-right-closure"] += expression.lids
    for name, weight in EXPRESSIONS[expression.name].items():
        units[name] = units.get(name, 0) + weight * expression.amount
    for name, weight in expression.extra.items():
        units[name] = units.get(name, 0) + weight
    for name, weight in units.items():
        for folder, part in zip(_AXES, who.ancestry, strict=True):
            mesh.add(moved, f"expression/units/{folder}/{name}", weight * part)
    return moved


def transforms(vertices: Vertices, pose: Pose) -> Matrix:
    """The bones' transforms: the turn is shared by neck and head, the arms hang down."""

    def part(share: float) -> Matrix:
        turn = rotation((0, 1, 0), pose.yaw * share) @ rotation((1, 0, 0), pose.pitch * share)
        return np.asarray(turn @ rotation((0, 0, 1), pose.roll * share))

    gaze = rotation((0, 1, 0), pose.gaze[0]) @ rotation((1, 0, 0), pose.gaze[1])
    return rig.pose(
        vertices,
        {
            "neck01": part(0.2), "neck02": part(0.2), "head": part(0.6), "eye.L": gaze, "eye.R": gaze,
            "upperarm01.L": rotation((0, 0, 1), -33), "upperarm01.R": rotation((0, 0, 1), 33),
            "clavicle.L": rotation((0, 0, 1), -3), "clavicle.R": rotation((0, 0, 1), 3),
        },
    )  # fmt: skip


def _macro(vertices: Vertices, who: Identity) -> None:
    """Sex, age, muscle and weight: mixtures of the mesh data's corners of that space."""
    years = who.age_years
    age = 0.5 + np.clip((years - 25) / 65, 0, 1) / 2 if years >= 25 else 0.5 - (25 - years) * 0.01
    ages = _between(age, (0, "baby"), (0.1875, "child"), (0.5, "young"), (1, "old"))
    muscles = _between(who.muscle, (0, "minmuscle"), (0.5, "averagemuscle"), (1, "maxmuscle"))
    weights = _between(who.weight, (0, "minweight"), (0.5, "averageweight"), (1, "maxweight"))
    for sex, sex_part in (("female", 1 - who.masculinity), ("male", who.masculinity)):
        for old, old_part in ages.items():
            part = sex_part * old_part
            for axis, amount in zip(_AXES, who.ancestry, strict=True):
                mesh.add(vertices, f"macrodetails/{axis}-{sex}-{old}", part * amount)
            for muscle, muscle_part in muscles.items():
                for weight, weight_part in weights.items():
                    build, amount = f"{sex}-{old}-{muscle}-{weight}", part * muscle_part * weight_part
                    mesh.add(vertices, f"macrodetails/universal-{build}", amount)
                    mesh.add(vertices, f"macrodetails/proportions/{build}-idealproportions", 0.2 * amount)
                    if sex == "female":
                        mesh.add(vertices, f"breast/{build}-averagecup-averagefirmness", amount)


def _between(value: float, *corners: tuple[float, str]) -> dict[str, float]:
    """Weights of the two named corners that a value lies between."""
    for (low, below), (high, above) in zip(corners, corners[1:], strict=False):
        if value <= high:
            part = float(np.clip((value - low) / (high - low), 0, 1))
            return {below: 1 - part, above: part}
    return {corners[-1][1]: 1.0}
