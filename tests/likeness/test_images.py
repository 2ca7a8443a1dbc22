"""Photographs of every kind, as a viewer would show them."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from likeness import images
from likeness.images import load_photo

# What makes a format keep colours as they are, as nearly as it can.
EXACT: dict[str, dict[str, Any]] = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    """Red grows to the right, green downwards; blue is constant: no two ways of turning it look alike."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, 128)], axis=-1)
    return Image.fromarray(rgb.astype(np.uint8))


def same(a: Image.Image, b: Image.Image, tolerance: float = 0) -> bool:
    difference = np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float))
    return a.size == b.size and float(difference.max()) <= tolerance


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp", ".gif", ".jpg"])
def test_common_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    flat = Image.new("RGB", (40, 30), (200, 100, 50))
    flat.save(path, **EXACT.get(suffix, {}))
    photo = load_photo(path)
    assert photo.mode == "RGB"
    assert same(photo, flat, tolerance=3)


def test_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    gradient().save(path, format="PNG")
    assert same(load_photo(path), gradient())


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied_once(tmp_path: Path, suffix: str, orientation: int) -> None:
    # EXIF 2.32, tag 0x0112, says which side of the scene row 0 and column 0 are: 6 is row 0 right, column 0 top.
    stored = np.asarray(gradient())
    turned = stored.transpose(1, 0, 2)
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: turned,
        6: turned[:, ::-1],
        7: turned[::-1, ::-1],
        8: turned[::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    gradient().save(path, exif=exif, **EXACT.get(suffix, {}))
    assert same(load_photo(path), Image.fromarray(upright), tolerance=4)


def test_heic() -> None:
    pi_heif = pytest.importorskip("pi_heif")
    path = Path(__file__).parents[1] / "data" / "gradient.heic"
    assert pi_heif.is_supported(path)
    assert same(load_photo(path), gradient(), tolerance=12)


def test_metadata_is_dropped(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Telephone"
    exif.get_ifd(0x8825)[2] = (48.0, 12.0, 5.0)
    path = tmp_path / "a.jpg"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    gradient().save(path, exif=exif, icc_profile=profile, comment=b"me", xmp=b"<x/>")
    photo = load_photo(path)
    assert photo.info == {}
    assert len(photo.getexif()) == 0
    buffer = io.BytesIO()
    photo.save(buffer, format="PNG")
    assert not any(word in buffer.getvalue() for word in (b"Telephone", b"eXIf", b"iCCP", b"iTXt"))


def matrix_profile(red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float]) -> bytes:
    """An ICC v2 display profile of these xy primaries, white D65 adapted to D50 (Bradford), gamma 2.2."""
    primaries = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (red, green, blue)]).T
    d65, d50 = np.array([0.95047, 1, 1.08883]), np.array([0.9642, 1, 0.8249])
    to_xyz = primaries * np.linalg.solve(primaries, d65)
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    to_d50 = np.linalg.inv(cone) @ np.diag((cone @ d50) / (cone @ d65)) @ cone @ to_xyz

    def xyz(values: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)

    text = b"Test primaries"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(d50),
        **{name: xyz(to_d50[:, column]) for column, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
        **{name: b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    table, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + data


@pytest.mark.parametrize(
    ("red", "green", "blue"),
    [((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))],
    ids=["display-p3", "adobe-rgb"],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_wide_gamut_photos_are_converted(
    tmp_path: Path, red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float], mode: str
) -> None:
    """Against the conversion computed from the primaries in float64 (IEC 61966-2-1 for sRGB)."""
    stored = (170, 120, 100)
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8), stored).convert(mode).save(path, icc_profile=matrix_profile(red, green, blue))

    def to_xyz(*primaries: tuple[float, float]) -> np.ndarray:
        columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
        return columns * np.linalg.solve(columns, np.array([0.95047, 1, 1.08883]))

    linear = (np.array(stored) / 255) ** 2.2
    srgb = np.linalg.solve(to_xyz((0.64, 0.33), (0.3, 0.6), (0.15, 0.06)), to_xyz(red, green, blue) @ linear)
    assert srgb.min() > 0
    wanted = 255 * np.where(srgb <= 0.0031308, 12.92 * srgb, 1.055 * srgb ** (1 / 2.4) - 0.055)
    assert np.abs(wanted - stored).max() > 5
    assert np.abs(np.array(load_photo(path).getpixel((4, 4))) - wanted).max() <= 1.5


@pytest.mark.parametrize("profile", [b"nonsense", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()])
def test_a_broken_profile_or_one_of_another_kind_is_ignored(tmp_path: Path, profile: bytes) -> None:
    path = tmp_path / "a.png"
    gradient().save(path, icc_profile=profile)
    assert same(load_photo(path), gradient())


def test_broken_exif_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    gradient().save(path, quality=100, subsampling=0, exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(20))
    assert same(load_photo(path), gradient(), tolerance=4)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path, quality=100)
    assert same(load_photo(path), Image.new("RGB", (16, 16), (255, 0, 0)), tolerance=3)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    values = np.array([[0, 257 * 10, 257 * 128, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(path)
    assert np.asarray(load_photo(path))[0].tolist() == [[v] * 3 for v in (0, 10, 128, 255)]


def test_a_dark_sixteen_bit_photo_stays_dark(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((4, 4), 200, dtype=np.uint16)).save(path)
    assert np.asarray(load_photo(path)).max() <= 1


def test_sixteen_bit_colour_png(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + struct.pack(">3H", 257 * 200, 257 * 100, 257 * 50) * 3
    parts = [(b"IHDR", struct.pack(">2I5B", 3, 2, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(row * 2)), (b"IEND", b"")]
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    assert same(load_photo(path), Image.new("RGB", (3, 2), (200, 100, 50)), tolerance=1)


def test_sixteen_bit_colour_and_float_tiff(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.full((3, 4, 3), 257 * 200, dtype=np.uint16), photometric="rgb")
    assert same(load_photo(tmp_path / "a.tif"), Image.new("RGB", (4, 3), (200, 200, 200)), tolerance=1)
    Image.fromarray(np.array([[0.0, 0.5, 1.0, np.nan]], dtype=np.float32)).save(tmp_path / "b.tif")
    assert np.asarray(load_photo(tmp_path / "b.tif"))[0, :, 0].tolist() == [0, 128, 255, 0]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    path = tmp_path / "a.png"
    picture.convert("LA").convert(mode).save(path) if mode != "PA" else picture.quantize().save(path)
    assert np.asarray(load_photo(path))[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_half_transparent_pixels_are_mixed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGBA", (1, 1), (255, 0, 0, 128)).save(path)
    assert load_photo(path).getpixel((0, 0)) == (255, 127, 127)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_and_palette(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (5, 5), "white").convert(mode).save(path)
    assert same(load_photo(path), Image.new("RGB", (5, 5), "white"))


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".tif"])
def test_of_several_frames_the_first(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    frames[0].save(path, save_all=True, append_images=frames[1:], **EXACT.get(suffix, {}))
    assert same(load_photo(path), frames[0], tolerance=2)


def test_the_thinnest_picture_keeps_a_pixel() -> None:
    assert images.enlarge(Image.new("RGB", (32, 4000)), 16).size == (1, 16)
