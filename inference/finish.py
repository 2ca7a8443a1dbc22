"""Finishing: a drawn picture becomes a file of the size asked for, with credentials in it and its recipe beside it.

The order matters: pixels, then XMP, and the C2PA signature last, for saving again would drop it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from PIL import Image, ImageCms, PngImagePlugin

from inference.credentials import XMP, Signer
from likeness import files

Format = Literal["png", "jpeg", "webp"]
SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


def encode(image: Image.Image, suffix: str, signer: Signer | None) -> bytes:
    """The file's bytes: sRGB pixels that say so, XMP with the digital source type, and with a signer the C2PA manifest."""
    buffer, icc = io.BytesIO(), _srgb()
    image = image.convert("RGB")
    if suffix == ".png":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", XMP.decode())
        image.save(buffer, "PNG", pnginfo=chunks, icc_profile=icc)
    elif suffix == ".webp":
        image.save(buffer, "WEBP", quality=95, xmp=XMP, icc_profile=icc)
    else:
        image.save(buffer, "JPEG", quality=95, subsampling=0, xmp=XMP, icc_profile=icc)
    return signer.sign(buffer.getvalue()) if signer else buffer.getvalue()


@cache
def _srgb() -> bytes:
    """The colour profile, without which wide screens and printers show skin in colours of their own; without its time of making,
    so that equal pictures are equal files."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]


def write(path: Path, image: Image.Image, record: Mapping[str, Any], signer: Signer | None) -> None:
    """Write the picture, and `record` as JSON beside it; the record first, so that no picture is without one.

    Raises LikenessError when the disk refuses.
    """
    beside = path.with_suffix(".json")
    files.write_json(beside, record)
    try:
        files.write_bytes(path, encode(image, path.suffix, signer))
    except BaseException:  # an interruption too: a record without its picture would mislead
        beside.unlink(missing_ok=True)
        raise
