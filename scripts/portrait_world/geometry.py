"""What there is to draw of a person in a scene: posed parts in one list of triangles, and see-through layers over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from . import assets, fabric, looks, mesh, rig, skin
from .mesh import Indices, Vertices
from .person import Person
from .wardrobe import Outfit

LAYERS = ("brow", "lash", "lens")
ATLAS = 256


@dataclass(frozen=True)
class Part:
    """A piece of one material. cutout: the texture whose opacity cuts holes into it; colour: of plain parts, linear."""

    name: str
    vertices: Vertices
    corners: Indices
    uv: npt.NDArray[np.float32]
    cutout: Path | None = None
    colour: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Geometry:
    """All solid parts together: `part` (T,) is the number of a triangle's part, `cutout` (T,) its layer of `atlas`."""

    parts: list[Part]
    vertices: Vertices
    normals: Vertices
    corners: Indices
    uv: npt.NDArray[np.float32]
    part: Indices
    cutout: Indices
    atlas: npt.NDArray[np.float32]
    layers: list[Part]
    head: npt.NDArray[np.float64]
    """The head's transform (4, 4)."""

    @property
    def names(self) -> list[str]:
        return [part.name for part in self.parts]


@cache
def texture(path: Path, size: int) -> npt.NDArray[np.float32]:
    """A texture in linear light with its opacity, (size, size, 4)."""
    pixels = (
        np.asarray(Image.open(path).convert("RGBA").resize((size, size), Image.Resampling.LANCZOS), np.float32) / 255
    )
    return np.dstack([skin.linear(pixels[..., :3]), pixels[..., 3]]).astype(np.float32)


@cache
def opacity(path: Path) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(texture(path, ATLAS)[..., 3])


def eye_texture(colour: str) -> Path:
    folder = assets.source("mh" if colour == "brown" else "bright")
    return folder / f"eyes/materials/{colour}_eye.png"


@cache
def _body(meshes: tuple[str, ...]) -> tuple[Indices, npt.NDArray[np.float32]]:
    """Triangles and their uv of the skin that can be seen above the waist and is not hidden by clothes."""
    base = mesh.base()
    hidden = fabric.hidden(meshes)
    keep = [
        index
        for index, (face, group) in enumerate(zip(base.faces, base.groups, strict=True))
        if group == "body"
        and all(base.vertices[v, 1] > 2.0 and abs(base.vertices[v, 0]) < 3.6 for v in face)
        and not all(v in hidden for v in face)
    ]
    corners = mesh.triangles(base.faces[index] for index in keep)
    uv = base.uv[mesh.triangles(base.texture_faces[index] for index in keep)]
    return corners, uv.astype(np.float32)


@cache
def _worn(path: Path) -> tuple[Indices, npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """A garment's triangles, their uv, and its vertices' weights on the bones."""
    piece = mesh.garment(path)
    corners, uv = mesh.triangles(piece.mesh.faces), piece.mesh.uv[mesh.triangles(piece.mesh.texture_faces)]
    weights = piece.carry(rig.rig().weights).clip(0)
    return corners, uv.astype(np.float32), weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)


def build(person: Person, outfit: Outfit, vertices: Vertices, bones: rig.Matrix) -> Geometry:
    """vertices: of the person with their expression on, not posed yet; bones: the pose's transforms."""
    who, head = person.who, bones[rig.rig().bones.index("head")]
    clothes = fabric.worn(outfit, vertices)
    bright, meshes = assets.source("bright"), assets.source("mha")

    def worn(name: str, path: Path, cutout: Path | None = None) -> Part:
        corners, uv, weights = _worn(path)
        return Part(name, rig.skin(mesh.garment(path).fit(vertices), weights, bones), corners, uv, cutout)

    def fixed(name: str, made: tuple[Vertices, list[list[int]]], colour: tuple[float, float, float] | None) -> Part:
        shape, faces = made
        corners = mesh.triangles(faces)
        uv = np.zeros((len(corners), 3, 2), np.float32)
        return Part(name, shape @ head[:3, :3].T + head[:3, 3], corners, uv, colour=colour)

    brow, lash = f"eyebrows/eyebrow{who.eyebrows:03d}/eyebrow{who.eyebrows:03d}", f"eyelashes0{who.eyelashes}"
    lash = f"eyelashes/{lash}/{lash}"
    parts = [
        Part(
            "skin", rig.skin(vertices, rig.rig().weights, bones), *_body(tuple(layer.mesh for layer in outfit.layers))
        ),
        worn("eye", assets.source("mh") / "eyes/high-poly/high-poly.mhclo", eye_texture(who.eyes)),
        worn("teeth", meshes / "teeth/teeth_base/teeth_base.mhclo"),
        Part("cloth", rig.skin(clothes.vertices, clothes.weights, bones), clothes.corners, clothes.uv),
        worn("brow", meshes / f"{brow}.mhclo", bright / f"{brow}.png"),
        worn("lash", meshes / f"{lash}.mhclo", bright / f"{lash}.png"),
    ]
    if who.glasses:
        frame, lens, colour = looks.glasses(who.glasses, vertices)
        parts += [fixed("frame", frame, colour), fixed("lens", lens, None)]
    solid = [part for part in parts if part.name not in LAYERS]
    return _joined(solid, [part for part in parts if part.name in LAYERS], head)


def _joined(solid: list[Part], layers: list[Part], head: rig.Matrix) -> Geometry:
    starts = np.cumsum([0, *(len(part.vertices) for part in solid)])
    corners = np.vstack([part.corners + start for part, start in zip(solid, starts, strict=False)])
    holes = [part.cutout for part in solid if part.cutout]
    layer_of = [holes.index(part.cutout) if part.cutout else -1 for part in solid]
    counts = [len(part.corners) for part in solid]
    vertices = np.vstack([part.vertices for part in solid])
    return Geometry(
        solid, vertices, mesh.normals(vertices, corners), corners, np.vstack([part.uv for part in solid]),
        np.repeat(np.arange(len(solid)), counts), np.repeat(np.array(layer_of), counts),
        np.stack([opacity(path) for path in holes]), layers, head,
    )  # fmt: skip
