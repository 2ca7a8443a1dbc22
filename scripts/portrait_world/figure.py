"""The body of a person: their own shape, the expressions of their face, and how they hold themselves."""

from __future__ import annotations

import itertools

import numpy as np

from . import mesh, rig
from .expressions import EXPRESSIONS, REST, Expression, Pose
from .identity import Identity
from .mesh import Vertices
from .rig import Matrix, rotation

# How far one standard deviation of an axis moves it, by part of the head.
SPREADS = {
    "cheek": 0.28, "chin": 0.26, "ears": 0.28, "eyebrows": 0.22, "eyes": 0.19, "forehead": 0.25, "head": 0.22,
    "mouth": 0.24, "neck": 0.12, "nose": 0.25,
}  # fmt: skip
# Axes that move or scale whole parts: people do not differ by them, or the macro targets have them already.
LEFT_OUT = (
    "head-trans", "neck-trans", "head-angle", "mouth-trans", "nose-trans-in", "nose-trans-back", "eye-trans-",
    "eye-scale", "head-fat", "head-age", "nose-compression", "neck-scale",
)  # fmt: skip
# Where the means of axes lie, in standard deviations: of everybody (faces of the mean mesh look stern), and what is added
# for a wholly female shape and taken away, by half, for a wholly male one (the macro targets alone leave them close).
FRIENDLY = {"mouth-angles-down-up": 0.5, "eyebrows-trans-down-up": 0.2, "eyebrows-angle-down-up": 0.8}
FEMININE = {
    "eyebrows-trans-down-up": 0.6, "chin-prominent-decr-incr": -0.6, "chin-width-decr-incr": -0.8,
    "chin-jaw-drop-decr-incr": -0.6, "nose-scale-horiz-decr-incr": -0.6, "nose-scale-vert-decr-incr": -0.5,
    "nose-hump-decr-incr": -0.5, "mouth-upperlip-volume-decr-incr": 0.7, "mouth-lowerlip-volume-decr-incr": 0.6,
    "eye-height2-decr-incr": 0.6, "cheek-bones-decr-incr": 0.4, "measure-neck-circ-decr-incr": -0.6,
    "head-scale-vert-decr-incr": -0.4,
}  # fmt: skip
_AXES = ("caucasian", "asian", "african")  # file names of the mesh data; crude, and never used as words


def shape(who: Identity) -> Vertices:
    """The vertices of a person whose face is at rest, (N, 3)."""
    vertices = mesh.base().vertices.copy()
    _macro(vertices, who)
    for axis, value, asymmetry in zip(mesh.sliders(), who.shape, who.asymmetry, strict=False):
        if not any(part in axis.name for part in LEFT_OUT):
            presentation = 1 - who.masculinity if who.masculinity < 0.5 else -who.masculinity / 2
            value = value + FRIENDLY.get(axis.name, 0) + presentation * FEMININE.get(axis.name, 0)
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
    for (low, below), (high, above) in itertools.pairwise(corners):
        if value <= high:
            part = float(np.clip((value - low) / (high - low), 0, 1))
            return {below: 1 - part, above: part}
    return {corners[-1][1]: 1.0}
