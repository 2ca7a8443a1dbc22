"""The recogniser of the drawn world: a small network that gradients go through, trained on people who do not exist.

It knows the renderer's people only (likeness/assets/recogniser/README.md): it reports on them beside dlib's, of which it is
independent, and is what an identity loss can differentiate. It says nothing of photographs.
"""

import threading
from pathlib import Path

import cv2
import numpy as np
import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn

from likeness.errors import LikenessError
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.face import Face
from likeness.files import explained
from likeness.resources import assets
from likeness.settings import Settings

# Eyes, nose tip and mouth corners as shares of the crop's side: ArcFace's template (Deng et al. 2019, arXiv:1801.07698) made
# 8% smaller and moved up, so that the chin is on the crop.
_TEMPLATE = ((0.355, 0.420), (0.645, 0.420), (0.5, 0.586), (0.382, 0.755), (0.618, 0.755))
SIDE = 64
"""Side of the shipped recogniser's crops, in pixels."""
_SUPERSAMPLE = 4
"""Points along a crop's pixel that are averaged. Bilinear sampling alone would alias where a face is larger than the crop."""


class WorldSettings(Settings):
    """What is to be known of the network: `recogniser.json` beside its weights."""

    id: str
    side: int = Field(gt=0)
    """Of the crops, in pixels."""
    stem: int = Field(gt=0)
    """Channels of the first convolution, which halves the crop."""
    widths: tuple[int, ...] = Field(min_length=1)
    """Channels of each stage; a stage halves the side."""
    blocks: tuple[int, ...] = Field(min_length=1)
    """Residual blocks of each stage."""
    dim: int = Field(gt=0)
    threshold: float = Field(default=0.5, gt=-1, lt=1)
    different: float = Field(default=0.0, gt=-1, lt=1)
    """As `FaceEmbedder` says; both are measured once the weights are there."""


class _Block(nn.Module):
    """A residual block (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.short: nn.Module = nn.Identity()
        if stride != 1 or before != width:
            self.short = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, hidden: Tensor) -> Tensor:
        return nn.functional.relu(self.body(hidden) + self.short(hidden))


class WorldRecogniser(nn.Module):
    """Crops of `side` px, (B, 3, side, side) in [-1, 1] as `align` makes them, to unit vectors (B, dim)."""

    def __init__(self, settings: WorldSettings) -> None:
        super().__init__()
        self.settings, self.side = settings, settings.side
        stem, left = settings.stem, (settings.side + 1) // 2
        layers: list[nn.Module] = [
            nn.Conv2d(3, stem, 3, 2, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
        ]
        before = stem
        for width, count in zip(settings.widths, settings.blocks, strict=True):
            layers += [_Block(before if k == 0 else width, width, 2 if k == 0 else 1) for k in range(count)]
            before, left = width, (left + 1) // 2
        self.features = nn.Sequential(*layers)
        # All of the last map, not its mean: where on a face something is tells people apart (ArcFace's "option E").
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(before * left**2, settings.dim, bias=False), nn.BatchNorm1d(settings.dim)
        )

    def forward(self, crops: Tensor) -> Tensor:
        return nn.functional.normalize(self.head(self.features(crops)).float(), dim=-1)


def align(pixels: Tensor, points: Tensor, side: int = SIDE) -> Tensor:
    """Upright crops (B, 3, side, side) of faces on pictures (B, 3, H, W), by shift, turn and scale; gradients reach both inputs.

    `points` (B, 5, 2): the two eyes (the picture's left one first), nose tip and mouth corners in pixels, (0, 0) being the
    middle of the first pixel, as `Face.points5` gives them. Least squares in closed form: with points as complex numbers the
    best a + bz is b = <z, t> / <z, z>, both centred. What lies outside of the picture repeats its edge.
    """
    height, width = pixels.shape[-2:]
    fine = side * _SUPERSAMPLE
    inverse_scale, shift = _from_crop(template(side).to(points), points)
    ticks = (torch.arange(fine, device=points.device, dtype=points.dtype) + 0.5) / _SUPERSAMPLE - 0.5
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    cos, sin = inverse_scale[:, 0, None, None], inverse_scale[:, 1, None, None]
    u = cos * x - sin * y + shift[:, 0, None, None]
    v = sin * x + cos * y + shift[:, 1, None, None]
    grid = torch.stack([(2 * u + 1) / width - 1, (2 * v + 1) / height - 1], dim=-1).to(pixels.dtype)
    sampled = nn.functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    return nn.functional.avg_pool2d(sampled, _SUPERSAMPLE)


def template(side: int) -> Tensor:
    """Where the five points lie on a crop of `side` px: (5, 2) in pixels."""
    return torch.tensor(_TEMPLATE, dtype=torch.float64) * side - 0.5


def _from_crop(crop: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Turn-and-scale (B, 2), as cosine and sine times scale, and shift (B, 2) that take the crop to the picture.

    It is the inverse of the least-squares map from the picture to the crop, not the least-squares map back, which differs.
    """
    z, t = points - points.mean(1, keepdim=True), crop - crop.mean(0)
    dot = (z * t).sum((1, 2))
    cross = (z[..., 0] * t[..., 1] - z[..., 1] * t[..., 0]).sum(1)
    square = z.square().sum((1, 2))
    forward = torch.stack([dot, cross], dim=-1) / square[:, None]
    back = forward * forward.new_tensor([1.0, -1.0]) / forward.square().sum(-1, keepdim=True)
    cos, sin = back.unbind(-1)
    middle = crop.mean(0)
    turned = torch.stack([cos * middle[0] - sin * middle[1], sin * middle[0] + cos * middle[1]], dim=-1)
    return back, points.mean(1) - turned


def folder() -> Path:
    """Where the shipped weights are."""
    return assets() / "recogniser"


def load(path: Path | None = None) -> WorldRecogniser:
    """The shipped recogniser, or that of another folder: ready to judge, in float32, its weights frozen.

    Raises LikenessError when a file is missing or does not fit.
    """
    path = path or folder()
    weights = path / "model.safetensors"
    network = WorldRecogniser(WorldSettings.load(path / "recogniser.json"))
    if not weights.is_file():
        raise LikenessError("the recogniser of the drawn world is missing", "Install Likeness again", weights)
    with explained(weights, "cannot be read"):
        state = load_file(weights)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise LikenessError("these weights do not fit recogniser.json", "Install Likeness again", weights) from error
    return network.float().eval().requires_grad_(False)


class WorldEmbedder:
    """The recogniser of the drawn world behind the FaceEmbedder protocol; on the CPU."""

    def __init__(self, path: Path | None = None) -> None:
        self._network = load(path)
        self._lock = threading.Lock()

    id = property(lambda self: str(self._network.settings.id))
    dim = property(lambda self: int(self._network.settings.dim))
    threshold = property(lambda self: float(self._network.settings.threshold))
    different = property(lambda self: float(self._network.settings.different))

    def embed(self, rgb: Pixels, face: Face) -> Floats:
        """Unit vector, float32 (dim,). About 10 ms on one core."""
        points = face.points5.astype(np.float64)
        # A far larger face is shrunk first, past what supersampling averages.
        shrink = min(1.0, 4 * self._network.side / max(face.size, 1.0))
        if shrink < 1:
            rgb = np.asarray(cv2.resize(rgb, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)
            points = (points + 0.5) * shrink - 0.5
        pixels = torch.tensor(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1
        with self._lock, torch.inference_mode():
            crop = align(pixels, torch.from_numpy(points)[None], self._network.side)
            return np.asarray(self._network(crop)[0].numpy(), np.float32)
