"""How a person holds their face and head: names and numbers of expressions and poses."""

from __future__ import annotations

from dataclasses import dataclass, field

# Lids of the mean mesh are wide open; at rest they cover a part of the iris.
REST = {
    "eye-left-closure": 0.03, "eye-right-closure": 0.03, "mouth-corner-puller": 0.12, "eyebrows-left-inner-up": 0.22,
    "eyebrows-right-inner-up": 0.22, "eyebrows-left-up": 0.08, "eyebrows-right-up": 0.08,
}  # fmt: skip
EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "softsmile": {"mouth-corner-puller": 0.42, "eye-left-slit": 0.08, "eye-right-slit": 0.08},
    "smile": {"mouth-corner-puller": 0.74, "eye-left-slit": 0.18, "eye-right-slit": 0.18},
    "grin": {
        "mouth-corner-puller": 0.7, "mouth-upward-retraction": 0.3, "mouth-part-later": 0.25, "eye-left-slit": 0.2,
        "eye-right-slit": 0.2,
    },
    "serious": {"eyebrows-left-down": 0.3, "eyebrows-right-down": 0.3, "mouth-compression": 0.25},
    "talk": {"mouth-open": 0.11, "mouth-part-later": 0.06, "mouth-corner-puller": 0.15},
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
