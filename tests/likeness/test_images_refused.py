"""Files that are no photographs, or damaged ones: each is refused with a word why, and nothing else is raised."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from likeness import images
from likeness.images import PhotoError, load_photo
from tests.likeness.test_images import gradient

HEIC = Path(__file__).parents[1] / "data" / "gradient.heic"


def fails(path: Path) -> str:
    with pytest.raises(PhotoError) as caught:
        load_photo(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert caught.value.remedy
    return caught.value.code


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".gif"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
def test_cut_short(tmp_path: Path, suffix: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    whole = tmp_path / f"whole{suffix}"
    noise.save(whole)
    data = whole.read_bytes()
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data[: int(len(data) * share)])
    assert fails(path) == "truncated"


@pytest.mark.parametrize("kept", [3, 10, 30, 200])
def test_a_jpeg_cut_in_its_header(tmp_path: Path, kept: int) -> None:
    gradient().save(tmp_path / "whole.jpg")
    path = tmp_path / "a.jpg"
    path.write_bytes((tmp_path / "whole.jpg").read_bytes()[:kept])
    assert fails(path) == "truncated"


def test_a_damaged_png_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    gradient().save(path)
    data = bytearray(path.read_bytes())
    data[60:100] = bytes(40)
    path.write_bytes(data)
    assert fails(path) in {"unreadable", "truncated"}


def test_a_telephone_s_photo_cut_short(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    path = tmp_path / "cut.heic"
    path.write_bytes(HEIC.read_bytes()[:-200])
    assert fails(path) in {"truncated", "unreadable"}


def test_heic_without_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_register_heif", lambda: False)
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    assert fails(path) == "unsupported"


def test_random_damage_never_gives_another_error(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    for suffix in (".jpg", ".png", ".webp", ".tif", ".gif"):
        whole = tmp_path / f"whole{suffix}"
        gradient().save(whole)
        _damage(chance, tmp_path, np.frombuffer(whole.read_bytes(), dtype=np.uint8), suffix)


def test_random_damage_to_a_telephone_s_photo_never_gives_another_error(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    data = np.frombuffer(HEIC.read_bytes(), dtype=np.uint8)
    for seed in range(5):
        _damage(np.random.default_rng(seed), tmp_path, data, ".heic")


def _damage(chance: np.random.Generator, folder: Path, data: npt.NDArray[np.uint8], suffix: str) -> None:
    for _ in range(60):
        hurt = data.copy()
        hurt[chance.integers(0, len(hurt), 8)] = chance.integers(0, 256, 8)
        path = folder / f"a{suffix}"
        path.write_bytes(hurt.tobytes())
        try:
            assert load_photo(path).mode == "RGB"
        except PhotoError as error:
            assert str(error).startswith(str(path))


def test_a_kind_of_tiff_that_is_not_read_is_not_said_to_be_cut_short(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tif"), np.zeros((20, 20, 3), np.float32))  # colours as fractions
    with pytest.raises(PhotoError, match=r"or it is of a rare kind\. .*save it again as JPEG"):
        load_photo(tmp_path / "a.tif")


def test_not_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("this is text")
    assert fails(tmp_path / "a.jpg") == "not-an-image"
    (tmp_path / "b.jpg").touch()
    assert fails(tmp_path / "b.jpg") == "empty"
    assert fails(tmp_path / "absent.jpg") == "unreadable"
    assert fails(tmp_path) == "unreadable"
    gradient().save(tmp_path / "c.bmp")
    assert fails(tmp_path / "c.bmp") == "unsupported"


def huge_png(path: Path, side: int) -> None:
    """A valid PNG of side x side white pixels, 1 bit each, written without holding it in memory."""
    packer, data = zlib.compressobj(), b""
    row = b"\0" + b"\xff" * ((side + 7) // 8)
    for _ in range(side):
        data += packer.compress(row)
    data += packer.flush()
    with path.open("wb") as stream:
        stream.write(b"\x89PNG\r\n\x1a\n")
        header = struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0)
        for kind, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
            stream.write(struct.pack(">I", len(content)) + kind + content)
            stream.write(struct.pack(">I", zlib.crc32(kind + content)))


@pytest.mark.parametrize("side", [10_001, 20_000])
def test_a_bomb_is_refused_from_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    path = tmp_path / "a.png"
    huge_png(path, side)

    def decoded(*_: object) -> None:
        raise AssertionError("the picture was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    assert fails(path) == "bomb"


def test_the_largest_picture_is_not_a_bomb(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = tmp_path / "a.png"
    huge_png(path, 9_900)
    assert load_photo(path).size == (9_900, 9_900)
    assert not recwarn.list
