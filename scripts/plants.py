"""What a bad trainer does to a person, done to photographs on purpose."""

import cv2
import numpy as np

from likeness.faces import Face
from likeness.faces.arrays import Pixels
from likeness.faces.face import OVAL
from likeness.faces.regions import NOT_SKIN

Point = tuple[float, float]
MOLE_AT = 50
"""The landmark that moles are painted at: a cheek."""


def lightened(rgb: Pixels, face: Face, by: float = 18) -> Pixels:
    """The skin, and nothing else of the face, lighter by so many L*."""
    mask = np.zeros(rgb.shape[:2], np.float32)
    cv2.fillPoly(mask, [_outline(face, OVAL)], 1)
    for part in NOT_SKIN[:-1]:
        cv2.fillPoly(mask, [_outline(face, part)], 0)
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    lab[..., 0] = lab[..., 0] + by * cv2.GaussianBlur(mask, (0, 0), 1.0)
    return _bytes(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB) * 255)


def thinned(rgb: Pixels, face: Face, to: float = 0.84) -> Pixels:
    """The face, upright or tilted, pressed together from the sides to that share of its width; what is around it gives way."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    turn = np.radians(face.roll)
    right, down = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    dx, dy = x - face.centre[0], y - face.centre[1]
    across, along = dx * right[0] + dy * right[1], dx * down[0] + dy * down[1]
    far = np.maximum(np.abs(across) / (0.75 * face.size), np.abs(along) / (0.9 * face.size))
    weight = np.clip((1.6 - far) / 0.6, 0, 1)  # 1 on the face, none at 1.6 times its reach
    stretch = (across * (1 / to - 1) * weight).astype(np.float32)
    return np.asarray(
        cv2.remap(rgb, x + stretch * np.float32(right[0]), y + stretch * np.float32(right[1]), cv2.INTER_CUBIC)
    )


def blurred_skin(rgb: Pixels, face: Face, sigma: float = 4.5) -> Pixels:
    """A blur of the whole picture; sigma in pixels of a face 256 px large."""
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma * face.size / 256))


def with_mole(rgb: Pixels, face: Face, off: Point = (0.0, 0.0), size: float = 0.02) -> Pixels:
    """A dark spot on a cheek, `off` pixels from its place; sigma `size` of the face."""
    x, y = face.landmarks[MOLE_AT, :2] + np.array(off)
    rows, columns = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    bump = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (size * face.size) ** 2))
    light = (rgb / 255) ** 2.2 * (1 - 0.65 * np.clip(1.5 * bump, 0, 1)[..., None])
    return _bytes(light ** (1 / 2.2) * 255)


def with_background(rgb: Pixels, mask: np.ndarray, other: Pixels) -> Pixels:
    """The person of one picture before the background of another of the same size."""
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0)[..., None]
    return _bytes(rgb * soft + other * (1 - soft))


def greyed(rgb: Pixels, face: Face, person: np.ndarray, by: float = 25) -> Pixels:
    """All of the person that is above the brows and not the face: lighter by so many L*, and with a third of its colour."""
    mask = (person > 0.5).astype(np.float32)
    cv2.fillPoly(mask, [_outline(face, OVAL)], 0)
    mask[int(face.landmarks[[70, 300], 1].min()) :] = 0
    soft = cv2.GaussianBlur(mask, (0, 0), 1.0)[..., None]
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    changed = (lab + soft * [by, 0, 0]) * (1 - soft * [0, 2 / 3, 2 / 3])
    return _bytes(cv2.cvtColor(changed.astype(np.float32), cv2.COLOR_Lab2RGB) * 255)


def disguises(rgb: Pixels) -> dict[str, Pixels]:
    """A photograph, and what is done to one that is to pass for new."""
    height, width = rgb.shape[:2]
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(int) + [12, 25, 0]
    _, squeezed = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 30])
    return {
        "itself": rgb,
        "mirrored": np.ascontiguousarray(rgb[:, ::-1]),
        "cropped": np.ascontiguousarray(rgb[height // 14 : -height // 20, width // 12 : -width // 14]),
        "recoloured": cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB),
        "grey": np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2),
        "brighter": _bytes(255 * (rgb / 255) ** 0.6),
        "larger": cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_LANCZOS4),
        "squeezed": cv2.imdecode(squeezed, cv2.IMREAD_COLOR),
    }


def _outline(face: Face, part: tuple[int, ...]) -> np.ndarray:
    return np.round(face.landmarks[list(part), :2]).astype(np.int32)


def _bytes(values: np.ndarray) -> Pixels:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
