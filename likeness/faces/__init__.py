"""All that is measured on a face: where it is, whose it is, how good a picture of it this is."""

from likeness.faces.detect import FaceFinder
from likeness.faces.embed import REPORTING, SELECTING, DlibEmbedder, FaceEmbedder, embedder
from likeness.faces.face import Face
from likeness.faces.reference import Reference

__all__ = [
    "REPORTING",
    "SELECTING",
    "DlibEmbedder",
    "Face",
    "FaceEmbedder",
    "FaceFinder",
    "Reference",
    "embedder",
]
