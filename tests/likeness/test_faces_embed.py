"""Recognisers tell people apart, and one of the user's own is fed as its manifest says."""

import struct
from pathlib import Path

import numpy as np
import pytest

from likeness.errors import LikenessError
from likeness.faces import DlibEmbedder, FaceFinder, Reference, embedder
from likeness.faces.onnx_embedder import ARCFACE_TEMPLATE, Manifest, align
from likeness.faces.reference import embed_photo
from likeness.files import sha256
from tests import photos

FINDER, DLIB = FaceFinder(), DlibEmbedder()


def identity(path: Path) -> np.ndarray:
    vector = embed_photo(path, FINDER, DLIB)
    assert vector is not None
    return vector


def test_dlib_tells_people_apart():
    first, second = photos.people()[:2]
    a, b = (identity(path) for path in photos.selfies(first)[:2])
    other = identity(photos.selfies(second)[0])
    assert a.shape == (DLIB.dim,) and a.dtype == np.float32
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-5)
    assert a @ b > DLIB.threshold
    assert a @ b > max(a @ other, b @ other) + 0.02


def test_likeness_is_one_among_own_photos_and_low_for_others():
    person, *others = photos.people()[:3]
    reference = Reference.of(photos.selfies(person)[:5], FINDER, DLIB)
    pairs = [float(a @ b) for i, a in enumerate(reference.embeddings) for b in reference.embeddings[:i]]
    assert reference.own == pytest.approx(np.median(pairs), abs=1e-6)
    own = reference.likeness(identity(photos.selfies(person)[6]))
    assert 0.5 < own < 1.5
    for other in others:
        assert reference.likeness(identity(photos.selfies(other)[0])) < min(0.6, own)


def test_likeness_is_linear_between_its_two_anchors():
    vectors = np.eye(4, dtype=np.float32)
    reference = Reference(vectors[:1], "test", own=0.8, different=0.2)
    for cosine, expected in ((0.2, 0.0), (0.8, 1.0), (0.5, 0.5), (1.0, 4 / 3)):
        face = np.array([cosine, np.sqrt(1 - cosine**2), 0, 0], np.float32)
        assert reference.likeness(face) == pytest.approx(expected, abs=1e-5)


def test_a_subset_keeps_the_scale():
    reference = Reference(np.eye(4, dtype=np.float32), "test", own=0.8, different=0.2)
    part = reference.subset([2])
    assert (part.own, part.different) == (0.8, 0.2)
    assert part.raw(np.eye(4, dtype=np.float32)[2]) == pytest.approx(1)


def test_a_reference_needs_faces_of_one_person():
    with pytest.raises(LikenessError, match="two photographs"):
        Reference.of([np.zeros((300, 300, 3), np.uint8), photos.astronaut()], FINDER, DLIB)
    two = [photos.astronaut(), photos.pixels(photos.selfies(photos.people()[0])[0])]
    with pytest.raises(LikenessError, match="one person"):
        Reference.of(two, FINDER, DLIB)


@pytest.mark.parametrize(("own", "fits"), [(0.895, False), (0.905, False), (0.906, True)])
def test_a_scale_whose_unit_is_next_to_nothing_is_refused(own: float, fits: bool) -> None:
    """By dlib's a stranger has 0.895: where the own photographs have 0.896, a picture with 0.92 would be as like as 25 persons."""
    pair = [np.array([1, 0], np.float32), np.array([own, np.sqrt(1 - own**2)], np.float32)]
    if fits:
        assert Reference.of_vectors(pair, DLIB).likeness(pair[0]) < 10
        return
    with pytest.raises(LikenessError, match="one person"):
        Reference.of_vectors(pair, DLIB)


def test_alignment_puts_the_five_points_on_the_template():
    rgb = photos.astronaut()
    (face,) = FINDER.find(rgb)
    crop = align(rgb, face.points5, np.array(ARCFACE_TEMPLATE), 112)
    assert crop.shape == (112, 112, 3)
    (again,) = FINDER.find(np.pad(crop, ((60, 60), (60, 60), (0, 0))))
    assert np.abs(again.points5 - 60 - np.array(ARCFACE_TEMPLATE)).max() < 8


def manifest(folder: Path, **changes: object) -> Path:
    """A recogniser whose vector is the mean of each channel as it is fed, and its manifest."""
    onnx = folder / "means.onnx"
    onnx.write_bytes(_channel_means_model())
    values = {
        "id": "means-1", "file": onnx.name, "sha256": sha256(onnx), "dim": 3, "threshold": 0.5, "different": 0.1,
        "licence": "test", "commercial_ok": True, "channels": "BGR", "mean": 100.0, "std": 50.0,
    }  # fmt: skip
    path = folder / "means.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in (values | changes).items()))
    return path


def test_an_onnx_recogniser_is_fed_as_its_manifest_says(tmp_path):
    pytest.importorskip("onnxruntime")
    rgb = photos.astronaut()
    (face,) = FINDER.find(rgb)
    recogniser = embedder(str(manifest(tmp_path)))
    crop = align(rgb, face.points5, np.array(ARCFACE_TEMPLATE), 112)
    expected = (crop[..., ::-1].astype(np.float64).mean(axis=(0, 1)) - 100) / 50
    assert np.allclose(recogniser.embed(rgb, face), expected / np.linalg.norm(expected), atol=1e-4)
    assert (recogniser.id, recogniser.dim, recogniser.threshold) == ("means-1", 3, 0.5)


@pytest.mark.parametrize("commercial_ok", [True, False])
def test_a_recogniser_that_a_business_may_not_use_says_so(tmp_path, caplog, commercial_ok):
    pytest.importorskip("onnxruntime")
    embedder(str(manifest(tmp_path, commercial_ok=str(commercial_ok).lower(), licence="cc-by-nc-4.0")))
    told = "means-1 may not be used commercially, says its manifest (licence: cc-by-nc-4.0)"
    assert (told in caplog.text) is not commercial_ok


def test_the_usual_template_grows_with_the_crop(tmp_path):
    """Unscaled, the face would fill the upper left of a crop of 160 px, and be cut off."""
    assert Manifest.load(manifest(tmp_path)).template == ARCFACE_TEMPLATE
    wide = Manifest.load(manifest(tmp_path, input_size=160)).template
    np.testing.assert_allclose(wide, np.array(ARCFACE_TEMPLATE) * 160 / 112)
    own = [[float(number), 5.0] for number in range(5)]
    assert Manifest.load(manifest(tmp_path, input_size=160, template=own)).template[4] == (4.0, 5.0)
    with pytest.raises(LikenessError, match="input_size"):
        Manifest.load(manifest(tmp_path, input_size="wide"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "f" * 64}, "sha256 differs"),
        ({"file": "absent.onnx"}, "is not there"),
        ({"treshold": 0.4}, "threshold"),
    ],
)
def test_a_wrong_manifest_is_one_clear_line(tmp_path, changes, message):
    with pytest.raises(LikenessError, match=message) as error:
        embedder(str(manifest(tmp_path, **changes)))
    assert "\n" not in str(error.value)


def test_a_wrong_dimension_and_an_unknown_recogniser(tmp_path):
    pytest.importorskip("onnxruntime")
    rgb = photos.astronaut()
    with pytest.raises(LikenessError, match="3 numbers"):
        embedder(str(manifest(tmp_path, dim=512))).embed(rgb, FINDER.find(rgb)[0])
    with pytest.raises(LikenessError, match="no face recogniser"):
        embedder("arcface")


def _channel_means_model() -> bytes:
    """An ONNX file (protobuf, written by hand): GlobalAveragePool, then Flatten."""

    def field(number: int, body: bytes | int) -> bytes:
        if isinstance(body, int):
            return _varint(number << 3) + _varint(body)
        return _varint(number << 3 | 2) + _varint(len(body)) + body

    def node(kind: bytes, source: bytes, target: bytes) -> bytes:
        return field(1, field(1, source) + field(2, target) + field(4, kind))

    def value(number: int, name: bytes, shape: list[int]) -> bytes:
        dims = b"".join(field(1, field(1, size)) for size in shape)
        tensor = field(1, 1) + field(2, dims)
        return field(number, field(1, name) + field(2, field(1, tensor)))

    graph = node(b"GlobalAveragePool", b"x", b"p") + node(b"Flatten", b"p", b"y") + field(2, b"g")
    graph += value(11, b"x", [1, 3, 112, 112]) + value(12, b"y", [1, 3])
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def _varint(number: int) -> bytes:
    data = b""
    while number > 127:
        data += struct.pack("B", number & 127 | 128)
        number >>= 7
    return data + struct.pack("B", number)
