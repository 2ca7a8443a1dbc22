"""Contact sheets: many pictures on one, with a caption under each."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

_PAPER, _INK = "white", (40, 40, 40)


def tile(images: Sequence[Image.Image], captions: Sequence[str], columns: int, size: int) -> Image.Image:
    """Lays pictures out in rows of ``columns``, each fitted into ``size`` x ``size`` px, its caption below it.

    Captions are broken into lines to fit the column; all cells get the height of the tallest caption. Raises ValueError
    when there are no pictures, or not as many captions as pictures.
    """
    if not images or len(images) != len(captions):
        raise ValueError(f"{len(images)} pictures with {len(captions)} captions")
    gap = max(4, size // 24)
    font = ImageFont.load_default(max(10, size // 16))
    texts = [_wrap(caption, font, size) for caption in captions]
    line = sum(font.getbbox("Ag")[1::2]) if isinstance(font, ImageFont.FreeTypeFont) else 12
    below = int(line * max(len(text) for text in texts)) + (gap if any(texts) else 0)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (gap + columns * (size + gap), gap + rows * (size + below + gap)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (image, text) in enumerate(zip(images, texts, strict=True)):
        x, y = gap + index % columns * (size + gap), gap + index // columns * (size + below + gap)
        fitted = ImageOps.contain(image.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
        sheet.paste(fitted, (x + (size - fitted.width) // 2, y + (size - fitted.height) // 2))
        for row, words in enumerate(text):
            draw.text((x, y + size + gap // 2 + row * line), words, fill=_INK, font=font)
    return sheet


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Breaks at line ends and spaces, and within a word only when it is wider than the column by itself."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        current = ""
        for word in paragraph.split():
            trial = f"{current} {word}".strip()
            if font.getlength(trial) <= width:
                current = trial
                continue
            if current:
                lines.append(current)
            while font.getlength(word) > width and len(word) > 1:
                cut = next((n for n in range(len(word) - 1, 1, -1) if font.getlength(word[:n]) <= width), 1)
                lines.append(word[:cut])
                word = word[cut:]
            current = word
        lines.append(current)
    return lines
