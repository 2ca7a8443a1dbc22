"""The verdict on one photograph by itself."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from likeness.faces import Face, FaceEmbedder, FaceFinder
from likeness.faces import quality as measure
from likeness.faces.arrays import Floats, Pixels
from likeness.files import shown
from likeness.images import PhotoError, load_photo
from training.fingerprint import Fingerprint
from training.intake_settings import IntakeSettings

_THUMBNAIL = 320  # pixels, longer side
_STOPS = 2.2  # pixel values are about light to the power of 1 / 2.2


@dataclass
class PhotoVerdict:
    """What becomes of one file and why. `code` is for programs, `reason` and `remedy` are for people."""

    file: Path
    verdict: Literal["ok", "warning", "rejected"]
    code: str
    reason: str = ""
    remedy: str = ""
    face: Face | None = None
    others: list[Face] = field(default_factory=list, repr=False)
    width: int = 0
    height: int = 0
    sharpness: float | None = None
    glasses: bool | None = None
    thumbnail: Image.Image | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The file's, as it can be written down."""
        return shown(self.file)

    def to_json(self) -> dict[str, Any]:
        """Plain values; of the face its box, size and pose only."""
        face = self.face and {
            "box": [round(v, 1) for v in self.face.box],
            "size": round(self.face.size, 1),
            "yaw": round(self.face.yaw, 1),
            "pitch": round(self.face.pitch, 1),
            "roll": round(self.face.roll, 1),
        }
        return {
            "file": self.name,
            "verdict": self.verdict,
            "code": self.code,
            "reason": self.reason,
            "remedy": self.remedy,
            "width": self.width,
            "height": self.height,
            "face": face,
            "sharpness": self.sharpness and round(self.sharpness, 3),
            "glasses": self.glasses,
        }

    def reject(self, code: str, reason: str, remedy: str) -> None:
        """Turns the verdict."""
        self.verdict, self.code, self.reason, self.remedy = "rejected", code, reason, remedy


@dataclass
class Examined:
    """A verdict and what the set is judged by; `identity`, the face's unit vector, is None for a rejected photograph."""

    verdict: PhotoVerdict
    identity: Floats | None = None
    fingerprint: Fingerprint | None = None
    yaw: float = 0.0
    pitch: float = 0.0
    light_side: float = 0.0
    brightness_stops: float = 0.0
    glasses: bool = False


def examine(path: Path, settings: IntakeSettings, finder: FaceFinder, embedder: FaceEmbedder) -> Examined:
    """Judges one file by itself. Raises nothing for whatever the file holds."""
    if shown(path) != path.name:  # what is prepared from it could not say what it was prepared from
        reason, remedy = "the file's name is not text (UTF-8)", "Rename it, such as to selfie-1.jpg"
        return Examined(PhotoVerdict(path, "rejected", "unreadable-name", reason, remedy))
    try:
        photo = load_photo(path)
    except PhotoError as error:
        return Examined(PhotoVerdict(path, "rejected", error.code, error.what, error.remedy))
    thumbnail = photo.copy()
    thumbnail.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    verdict = PhotoVerdict(path, "ok", "ok", width=photo.width, height=photo.height, thumbnail=thumbnail)
    rgb = np.asarray(photo)
    judge(verdict, rgb, settings, finder)
    face = verdict.face
    if verdict.verdict == "rejected" or face is None:
        return Examined(verdict)
    return Examined(
        verdict,
        identity=embedder.embed(rgb, face),
        fingerprint=Fingerprint.of(rgb, face),
        yaw=face.yaw,
        pitch=face.pitch,
        light_side=measure.light_side(rgb, face),
        brightness_stops=_STOPS * math.log2(measure.exposure(rgb, face).bright + 0.01),
        glasses=bool(verdict.glasses),
    )


def judge(verdict: PhotoVerdict, rgb: Pixels, settings: IntakeSettings, finder: FaceFinder) -> None:
    """Fills in the verdict on an RGB picture (height, width, 3) by the first thing found wrong, what spoils most first."""
    side = min(verdict.width, verdict.height)
    if side < settings.min_side:
        reason = f"only {verdict.width} x {verdict.height} pixels"
        return verdict.reject("too-small", reason, f"Send the original; at least {settings.min_side} pixels a side")
    faces = finder.find(rgb)
    if not faces:
        return _judge_without_face(verdict, rgb, settings)
    face, *verdict.others = faces
    verdict.face = face
    if len(faces) > 1 and faces[1].size >= settings.rival_face * face.size:
        return verdict.reject(
            "several-faces", f"{len(faces)} faces, none clearly the main one", "Crop it to the one person who is meant"
        )
    if measure.share_on_picture(face, verdict.height, verdict.width) < settings.min_face_on_picture:
        return verdict.reject(
            "cut-off", "the face is cut off by the picture's edge", "Use one with the whole face on it"
        )
    if face.size < settings.min_face:
        reason = f"the face is only {face.size:.0f} pixels large"
        return verdict.reject(
            "face-too-small", reason, f"Come closer: at least {settings.min_face:.0f} pixels are needed"
        )
    if abs(face.roll) > settings.max_roll:
        return verdict.reject("sideways", "the head lies on its side", "Turn the photo upright")
    _judge_face(verdict, rgb, face, settings)


def _judge_without_face(verdict: PhotoVerdict, rgb: Pixels, settings: IntakeSettings) -> None:
    if np.percentile(rgb.max(axis=2), 99.5) < 255 * settings.min_bright:
        verdict.reject("too-dark", "nothing can be made out", "Take it in more light")
    else:
        verdict.reject("no-face", "no face found", "Use one where the face is seen from the front, uncovered and large")


def _judge_face(verdict: PhotoVerdict, rgb: Pixels, face: Face, settings: IntakeSettings) -> None:
    light = measure.exposure(rgb, face)
    if light.bright < settings.min_bright or (light.bright < settings.dim_bright and light.white < settings.dim_white):
        return verdict.reject(
            "too-dark", "the face is too dark", "Take it facing a window or a lamp, without backlight"
        )
    if light.burnt > settings.max_burnt:
        return verdict.reject(
            "too-bright", "parts of the face are burnt out white", "Take it without flash or direct sun"
        )
    if measure.colour(rgb, face) < settings.min_colour:
        return verdict.reject("no-colour", "the photo is black and white", "Use the one in colour, without a filter")
    if measure.blueness(rgb, face) > settings.max_blueness:
        return verdict.reject("false-colour", "the skin is blue", "Use one in natural colours, without a filter")
    verdict.sharpness = measure.sharpness(rgb, face)
    if verdict.sharpness < settings.min_sharpness:  # before the eyes, which nobody sees on a blurred photograph either
        return verdict.reject(
            "blurred", "the face is blurred", "Hold still, wipe the lens, and tap on the face to focus"
        )
    eyes = measure.eye_visibility(rgb, face)
    behind_lenses = eyes.contrast < settings.min_eye_contrast and eyes.lid < settings.dark_lid
    if behind_lenses or eyes.contrast < settings.blank_eye_contrast:
        return verdict.reject("eyes-hidden", "the eyes cannot be seen", "Take sunglasses off and keep the eyes open")
    verdict.glasses = measure.glasses_rim(rgb, face) > settings.glasses_rim
    if verdict.sharpness < settings.soft_sharpness:
        verdict.verdict, verdict.code, verdict.reason = "warning", "soft", "the face is a little soft"
        verdict.remedy = "Used; a sharper one would be better"
    elif face.size < settings.small_face:
        verdict.verdict, verdict.code = "warning", "small-face"
        verdict.reason, verdict.remedy = (
            f"the face is only {face.size:.0f} pixels large",
            "Used; a closer one would be better",
        )
