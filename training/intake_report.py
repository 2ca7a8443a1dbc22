"""The intake report for people: a table, and a contact sheet with the verdicts on it."""

import math

from PIL import Image, ImageDraw, ImageOps
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from likeness.sheets import tile
from training.intake import Report
from training.intake_photo import PhotoVerdict

_COLOURS = {"ok": (46, 139, 87), "warning": (230, 160, 20), "rejected": (200, 40, 40)}
_STYLES = {"ok": "green", "warning": "yellow", "rejected": "red"}
_NO_PICTURE = (225, 225, 225)


def print_report(report: Report, console: Console) -> None:
    """A line for every photograph and every finding, and what it comes to."""
    table = Table("photo", "verdict", "why", "what to do", box=None, pad_edge=False)
    for photo in report.photos:
        style = _STYLES[photo.verdict]
        verdict = f"[{style}]{photo.verdict}[/{style}]"
        table.add_row(escape(photo.name), verdict, escape(photo.reason), escape(photo.remedy))
    if report.photos:
        console.print(table)
    for finding in report.findings:
        style = "red" if finding.severity == "error" else "yellow"
        console.print(f"[{style}]{finding.severity}:[/{style}] {escape(finding.reason)}. {escape(finding.remedy)}.")
    usable = f"{len(report.accepted)} of {len(report.photos)} photographs are usable"
    console.print(f"{usable}; the set can{'' if report.ok else 'not'} be trained on.")


def contact_sheet(report: Report) -> Image.Image:
    """All photographs, framed green, amber or red, the reason below each. Raises ValueError when there are none.

    Many of them are smaller and in more columns: a JPEG is 65,500 px high at most.
    """
    count = len(report.photos)
    columns, size = (5, 240) if count <= 100 else (math.isqrt(count), 120)
    pictures = [_framed(photo, size) for photo in report.photos]
    captions = [f"{photo.name}\n{photo.reason or 'good'}" for photo in report.photos]
    return tile(pictures, captions, columns, size)


def _framed(photo: PhotoVerdict, size: int) -> Image.Image:
    """The photograph, or an empty card, with its face marked, in a frame of the verdict's colour."""
    colour = _COLOURS[photo.verdict]
    width = max(3, size // 32)
    inner = size - 2 * width
    if photo.thumbnail is None:
        return ImageOps.expand(Image.new("RGB", (inner, inner), _NO_PICTURE), width, colour)
    picture = ImageOps.contain(photo.thumbnail, (inner, inner), Image.Resampling.LANCZOS)
    if photo.face is not None:
        scale = picture.width / photo.width
        ImageDraw.Draw(picture).rectangle([v * scale for v in photo.face.box], outline=colour, width=2)
    return ImageOps.expand(picture, width, colour)
