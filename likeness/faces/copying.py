"""Is a picture a new one, or a training photograph given back?

Three looks at it, each finding what the others miss. The recogniser: how near the nearest training photograph or its mirror
image is, beyond how near other photographs of the person come. The pixels: face, hair and shoulders laid on each other by the mesh, small and
without colour, light or contrast, and also mirrored. The setting: the background alone, in its place on the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from likeness.errors import LikenessError
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.colour import lab
from likeness.faces.detect import FaceFinder
from likeness.faces.embed import FaceEmbedder
from likeness.faces.face import Face
from likeness.faces.geometry import similarity_transform
from likeness.faces.reference import embed_photo
from likeness.faces.segment import grown

COPIED_PIXELS = 0.90
"""Correlation from which the pixels are a copy. Measured on the cohort: of 5760 pairs of different pictures of one person two pass
it (0.94, 0.93), both of two studio portraits in one pose and light; with a selfie 0.86 at most. Copies recoloured, cropped, enlarged,
brightened or in JPEG of quality 30 have 0.94 at least, mirrored ones 0.915."""
COPIED_SETTING = 0.90
"""Correlation from which a background is a copy. Measured: of 3628 pairs of one person's pictures four pass it, which were drawn
before the same kind of wall or trees; the background of one behind the person of another has 1.00."""
COPIED_FACE = 0.6
"""Of `copy_score`. Measured on the 48 of the cohort, drawn at 256 px: their new portraits reach 0.46 by dlib's recogniser and 0.45 by the drawn world's
(at 384 px, with mirror images known, 0.41 and 0.34); a photograph itself, cropped or enlarged has 0.73 at least by both. Loss of
colour, changed hue and, to one of them, strong JPEG or brightening move a face as far as a new photograph does: there the
pixels tell. Before another background and mirrored, four in five have more than that by dlib's; one in four by the other."""

_SIDE = 48
_LOCAL = 6.0
"""Sigma in those pixels within which brightness and contrast are evened out."""
_LEAST_COMMON = 0.3
"""Share of the square that both pictures must cover."""
# Eyes, nose tip and mouth corners on the square, symmetric, so that a mirrored square is the square of the mirrored picture;
# the eyes are 0.28 of the side apart, which leaves room for hair and shoulders.
_POINTS = _SIDE * np.array([[0.36, 0.41], [0.64, 0.41], [0.5, 0.564], [0.394, 0.676], [0.606, 0.676]]) - [0.5, 0.0]

_BACKGROUND = 0.3
"""Of the person mask, under which a pixel is background."""
_LEAST_BACKGROUND = 0.1
_PLAIN = 3.0
"""Lab units of variation under which a background is plain, and says nothing."""


@dataclass(frozen=True)
class Thumbnail:
    """A picture made ready for comparison: evened-out grey values (48, 48), and which of them are on the picture."""

    values: Floats
    valid: npt.NDArray[np.bool_]

    def mirrored(self) -> "Thumbnail":
        return Thumbnail(self.values[:, ::-1], self.valid[:, ::-1])


def thumbnail(rgb: Pixels, face: Face) -> Thumbnail:
    """Face, hair and shoulders of a picture, upright on a small square."""
    matrix = similarity_transform(face.points5.astype(np.float64), _POINTS)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), max(0.6 / scale, 0.3))
    values = cv2.warpAffine(smooth, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR)
    valid = np.asarray(cv2.warpAffine(np.ones_like(grey), matrix, (_SIDE, _SIDE)) > 0.99)
    weight = valid.astype(np.float32)
    share = np.maximum(_local(weight), 1e-3)
    apart = (values - _local(values * weight) / share) * weight
    return Thumbnail(
        apart / (np.sqrt(_local(apart**2) / share) + 3), valid
    )  # 3 of 255: noise on a plain wall stays small


def near_copy(picture: Thumbnail, photo: Thumbnail) -> float:
    """Correlation in [-1, 1] of two pictures, or of one with the other's mirror image, whichever is more.

    Pearson's, where both have pixels: zero-mean normalised cross-correlation (Lewis 1995). 0 where they share too little.
    """
    return max(_correlation(picture, photo), _correlation(picture, photo.mirrored()))


def _local(values: Floats) -> Floats:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), _LOCAL))


def _correlation(a: Thumbnail, b: Thumbnail) -> float:
    common = a.valid & b.valid
    if common.mean() < _LEAST_COMMON:
        return 0.0
    return _pearson(a.values[common], b.values[common])


def _pearson(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return float((a * b).sum() / max(float(np.sqrt((a**2).sum() * (b**2).sum())), 1e-9))


@dataclass(frozen=True)
class Setting:
    """A picture's background: Lab (48, 48, 3) of the whole picture, and where no person is."""

    values: Floats
    free: npt.NDArray[np.bool_]


def setting(rgb: Pixels, person: Floats) -> Setting:
    """The background of a picture (height, width, 3); `person`: how surely each pixel is a person's, in [0, 1]."""
    small = np.asarray(cv2.resize(lab(rgb), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.float32)
    return Setting(
        small, np.asarray(cv2.resize(grown(person), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) < _BACKGROUND)
    )


def same_setting(picture: Setting, photo: Setting) -> float | None:
    """Correlation in [-1, 1] of two backgrounds in colour, in place or mirrored; None where they share too little or are plain."""
    found = [_same(picture, photo), _same(picture, Setting(photo.values[:, ::-1], photo.free[:, ::-1]))]
    return max((value for value in found if value is not None), default=None)


def _same(a: Setting, b: Setting) -> float | None:
    common = a.free & b.free
    if common.mean() < _LEAST_BACKGROUND:
        return None
    first, second = a.values[common], b.values[common]
    if min(float(first.std(axis=0).max()), float(second.std(axis=0).max())) < _PLAIN:
        return None
    return _pearson(first, second)


@dataclass(frozen=True)
class CopyScale:
    """How near a recogniser finds a picture to the photographs trained on, on the person's own scale.

    trained: unit vectors (2N, dim) of the training photographs and of their mirror images.
    level: the largest cosine that any photograph of the person, held out or trained on, has with another one trained on, or with
    its mirror image.
    """

    trained: Floats
    level: float

    @staticmethod
    def of(trained: Floats, held_out: Floats, mirrored: Floats) -> "CopyScale":
        """From unit vectors (N, dim), N > 1, and (M, dim), which may be none; `mirrored` (N, dim) as `mirror_vectors` gives them.

        Raises LikenessError when N < 2.
        """
        if len(trained) < 2:
            raise LikenessError("copying needs two training photographs with a face", "Add selfies")
        both = np.concatenate([trained, mirrored])
        among = trained @ both.T - 2 * np.tile(np.eye(len(trained)), 2)
        nearest = [*among.max(axis=1), *(held_out @ both.T).max(axis=1, initial=-1.0)]
        return CopyScale(both, min(float(max(nearest)), 1 - 1e-6))

    def copy_score(self, embedding: Floats) -> float:
        """0: no nearer than the person's photographs are to each other. 1: the same photograph."""
        nearest = float((self.trained @ embedding).max())
        return float(np.clip((nearest - self.level) / (1 - self.level), 0, 1))


def mirror_vectors(photos: Sequence[Pixels], vectors: Floats, finder: FaceFinder, embedder: FaceEmbedder) -> Floats:
    """Unit vectors (N, dim) of photographs' mirror images; `vectors` are their own, and stand in where no face is found on one.

    To a recogniser a mirror image is nearly another photograph, and before a new background the pixels do not tell it either.
    """
    found = [embed_photo(np.ascontiguousarray(rgb[:, ::-1]), finder, embedder) for rgb in photos]
    both = [own if one is None else one for own, one in zip(vectors, found, strict=True)]
    return np.array(both, np.float32).reshape(vectors.shape)
