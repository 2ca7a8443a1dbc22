"""Reading the photographs that people send: any common format in, an upright sRGB picture without metadata out."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from likeness.errors import LikenessError

MAX_PIXELS = 100_000_000
"""A picture with more is refused from its header: decoded it would take over 300 MB."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".tif", ".tiff", ".gif"})
"""What a photograph's file name ends with. ``load_photo`` itself goes by the content."""

PhotoCode = Literal["unreadable", "truncated", "bomb", "empty", "not-an-image", "unsupported"]

# "JPEG" covers the MPO too, the JPEG with a second picture behind it that many telephones write.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "HEIF")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"GIF87a", b"GIF89a")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_RESAVE = "Open it on your computer or telephone and save it again as JPEG"
# What decoders of damaged data raise, apart from OSError: each format's plugin has its own habit.
_DAMAGE = (
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)
_SIGNS_OF_TRUNCATION = ("truncated", "end of file", "unexpected end", "end-of-stream", "decoder object")


class PhotoError(LikenessError):
    """A file that cannot be used as a photograph; ``code`` says why in one word, for programmes."""

    def __init__(self, code: PhotoCode, what: str, remedy: str, path: Path) -> None:
        super().__init__(what, remedy, path)
        self.args = (code, what, remedy, path)
        self.code = code


def load_photo(path: Path) -> Image.Image:
    """The photograph as a viewer shows it: mode RGB, 8 bits, upright, sRGB, alpha laid on white, no metadata.

    Reads JPEG, PNG, WebP, HEIC (with the extra ``heic``), TIFF and GIF, of an animation the first frame. The size is
    checked before anything is decoded. Raises PhotoError, and nothing else for whatever the file holds.
    """
    head = _read_head(path)
    with _opened(path, head) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _bomb(path, f"it is {width} x {height} pixels")
        try:
            image.load()
            upright = _upright(image)
            return _without_metadata(_flatten(upright))
        except MemoryError as error:
            raise _bomb(path, "decoding it needs more memory than there is") from error
        except _DAMAGE as error:
            raise _damaged(path, error) from error


def enlarge(image: Image.Image, size: int | None) -> Image.Image:
    """The picture with its longer side at `size` px (Lanczos); as it is with None."""
    if size is None or max(image.size) == size:
        return image
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            head = stream.read(32)
    except OSError as error:
        why = (error.strerror or "it cannot be read").lower()
        raise PhotoError("unreadable", f"cannot be read: {why}", "Check the file and its permissions", path) from error
    if not head:
        raise PhotoError("empty", "the file is empty", "Copy the photo again from where it came", path)
    return head


@contextmanager
def _opened(path: Path, head: bytes) -> Iterator[Image.Image]:
    """The picture with its header read and its pixels not yet; Pillow's own warnings are kept from the user."""
    heif_reader = _register_heif()
    if _is_heif(head) and not heif_reader:
        remedy = 'Install the reader: pip install "likeness[heic]", or save it as JPEG'
        raise PhotoError("unsupported", "HEIC photographs need a reader that is not installed", remedy, path)
    formats = _FORMATS if heif_reader else _FORMATS[:-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(path, formats=formats)
        except Image.DecompressionBombError as error:
            raise _bomb(path, "its header announces an enormous picture") from error
        except UnidentifiedImageError as error:
            raise _unidentified(path, head) from error
        except (*_DAMAGE, MemoryError) as error:
            raise _damaged(path, error) from error
        with image:
            yield image


@cache
def _register_heif() -> bool:
    """Whether HEIC can be read; registers the reader with Pillow the first time."""
    try:
        import pi_heif
    except ImportError:
        return False
    pi_heif.register_heif_opener()
    return True


def _is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def _unidentified(path: Path, head: bytes) -> PhotoError:
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    if head.startswith(_SIGNATURES) or is_webp or _is_heif(head):
        what = "a part of the file is missing, or it is of a rare kind"
        return PhotoError("truncated", what, f"Copy or download the photo again. {_RESAVE}", path)
    with suppress(Exception), Image.open(path) as other:
        what = f"{other.format} pictures are not read"
        return PhotoError("unsupported", what, _RESAVE, path)
    return PhotoError("not-an-image", "this is not a picture, whatever its name says", "Take it out", path)


def _damaged(path: Path, error: Exception) -> PhotoError:
    text = str(error).lower()
    if isinstance(error, EOFError) or any(sign in text for sign in _SIGNS_OF_TRUNCATION):
        remedy = "Copy or download the photo again: it was cut short"
        return PhotoError("truncated", "a part of the file is missing", remedy, path)
    return PhotoError("unreadable", "the file is damaged", _RESAVE, path)


def _bomb(path: Path, what: str) -> PhotoError:
    return PhotoError("bomb", what, f"Make it smaller: at most {MAX_PIXELS // 1_000_000} megapixels are read", path)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGE:
        # Unreadable EXIF is common in edited photographs; the pixels are still good.
        return image


def _flatten(image: Image.Image) -> Image.Image:
    """Any mode and colour space to RGB in sRGB, transparent parts laid on white."""
    alpha: Image.Image | None = None
    profile = image.info.get("icc_profile")
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        image = _eight_bits(image)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode in ("1", "P", "PA", "YCbCr", "HSV", "RGBX"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    rgb = _to_srgb(image, profile)
    if alpha is None:
        return rgb
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or float to 8 bits; the range of the format is guessed from the brightest pixel."""
    grey = np.nan_to_num(np.asarray(image, dtype=np.float32))
    brightest = float(grey.max(initial=0.0))
    white = next((top for top in (1.0, 255.0, 65535.0) if brightest <= top), brightest)
    if image.mode.startswith("I;16"):
        white = 65535.0
    elif image.mode == "I":
        white = max(white, 255.0)
    return Image.fromarray(np.rint(np.clip(grey / white, 0, 1) * 255).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "LAB" or profile:
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            if image.mode == "LAB":
                source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
            else:
                source = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
                if ImageCms.getProfileDescription(source).strip().startswith("sRGB") and image.mode == "RGB":
                    return image
            converted = ImageCms.profileToProfile(
                image,
                source,
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            if converted is not None:
                return converted
    # Without a profile, or with one that is broken or of another kind of picture, sRGB is what a viewer assumes.
    return image.convert("RGB")


def _without_metadata(image: Image.Image) -> Image.Image:
    clean = Image.new("RGB", image.size)
    clean.paste(image)
    return clean
