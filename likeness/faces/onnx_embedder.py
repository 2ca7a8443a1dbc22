"""A recogniser of the user's own: an ONNX file and a manifest that says how to feed it.

Nothing is downloaded. The manifest (YAML) lies beside the ONNX file; its digest is checked before the file is opened.
"""

import logging
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field

from likeness.errors import LikenessError
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.embed import unit
from likeness.faces.face import Face
from likeness.faces.geometry import similarity_transform
from likeness.files import sha256
from likeness.settings import Settings

_log = logging.getLogger(__name__)

# Where eyes, nose tip and mouth corners lie on a 112 px crop: the alignment that ArcFace-style recognisers are trained with
# (Deng et al. 2019, arXiv:1801.07698).
ARCFACE_TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))


def _arcface_template(size: int) -> tuple[tuple[float, float], ...]:
    """The alignment on a crop of another size."""
    return tuple((x * size / 112, y * size / 112) for x, y in ARCFACE_TEMPLATE)


class Manifest(Settings):
    """What is to be known of an ONNX recogniser. Pixels are fed as (value - mean) / std, value in [0, 255]."""

    id: str
    file: str
    """The ONNX file, relative to the manifest."""
    sha256: str
    dim: int = Field(gt=0)
    threshold: float = Field(gt=-1, lt=1)
    different: float = Field(gt=-1, lt=1)
    """Median cosine of two different people, measured with this recogniser."""
    licence: str
    """Of its weights."""
    commercial_ok: bool
    """Whether that lets a business measure with it; where not, a warning says so."""
    min_face_px: int = Field(default=60, gt=0)
    """For whoever reads the manifest. Nothing here does: intake lets no face under 80 px through."""
    input_size: int = Field(default=112, gt=0)
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: float = 127.5
    std: float = Field(default=127.5, gt=0)
    template: tuple[tuple[float, float], ...] = Field(
        default_factory=lambda read: _arcface_template(read.get("input_size", 112)), min_length=5, max_length=5
    )
    """Where the five points lie on the crop of input_size, in pixels; ArcFace's, enlarged with the crop."""


class OnnxEmbedder:
    """An ONNX recogniser behind the FaceEmbedder protocol; needs onnxruntime.

    Raises LikenessError when the manifest is wrong, the file is not there or not the one that the manifest names, or
    onnxruntime is not installed.
    """

    def __init__(self, manifest_path: Path) -> None:
        self.manifest = Manifest.load(manifest_path)
        self._path = manifest_path.parent / self.manifest.file
        if not self._path.is_file():
            raise LikenessError("the manifest's ONNX file is not there", "Put it beside the manifest", self._path)
        if sha256(self._path) != self.manifest.sha256.lower():
            raise LikenessError(
                "the file is not the one that its manifest names (sha256 differs)", "Fetch it again", self._path
            )
        self._session = self._open()
        if not self.manifest.commercial_ok:
            told = "the recogniser %s may not be used commercially, says its manifest (licence: %s)"
            _log.warning(told, self.manifest.id, self.manifest.licence)

    id = property(lambda self: str(self.manifest.id))
    dim = property(lambda self: int(self.manifest.dim))
    threshold = property(lambda self: float(self.manifest.threshold))
    different = property(lambda self: float(self.manifest.different))

    def embed(self, rgb: Pixels, face: Face) -> Floats:
        """Unit vector, float32 (dim,)."""
        crop = align(rgb, face.points5, np.array(self.manifest.template), self.manifest.input_size)
        if self.manifest.channels == "BGR":
            crop = crop[..., ::-1]
        blob = (crop.astype(np.float32) - self.manifest.mean) / self.manifest.std
        (name,) = [entry.name for entry in self._session.get_inputs()]
        output = self._session.run(None, {name: np.ascontiguousarray(blob.transpose(2, 0, 1)[None])})[0]
        vector = np.asarray(output, np.float32).ravel()
        if vector.shape != (self.manifest.dim,):
            raise LikenessError(
                f"the recogniser gives {vector.size} numbers, its manifest says {self.manifest.dim}",
                "Mend the manifest's dim",
                self._path,
            )
        return unit(vector)

    def _open(self) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise LikenessError("an ONNX recogniser needs onnxruntime", 'pip install "likeness[recogniser]"') from error
        try:
            return onnxruntime.InferenceSession(str(self._path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its own that derive from Exception only
            raise LikenessError("onnxruntime cannot read the file", "Is it an ONNX model?", self._path) from error


def align(rgb: Pixels, points: Floats, template: Floats, size: int) -> Pixels:
    """Crop (size, size, 3) on which the points (5, 2) come to lie nearest to the template's, by shift, turn and scale."""
    matrix = similarity_transform(points, template)
    crop = cv2.warpAffine(rgb, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, np.uint8)
