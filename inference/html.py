"""What the pages have in common: one HTML file that needs nothing else, no network and no script."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from PIL import Image

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --soft: #667; --good: #2a7f62; --bad: #b3402e; --band: #dfe9e4 }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --paper: #181a1b; --soft: #aab; --good: #64c7a4; --bad: #f0806c; --band: #26352f } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h1 { line-height: 1.2 } h2 { margin-top: 2.2rem } .soft { color: var(--soft) }
.key { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1rem }
.key div { border-top: 3px solid var(--good); padding-top: .4rem } .key .bad { border-color: var(--bad) } .key b { font-size: 1.7rem; display: block }
.shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .8rem }
figure { margin: 0 } img { width: 100%; border-radius: 4px } figcaption { font-size: .8rem } .bad figcaption { color: var(--bad) }
.plot { overflow-x: auto } svg { width: 100%; min-width: 36rem; font: 13px system-ui, sans-serif } svg text { fill: var(--ink) } svg .note { fill: var(--soft); font-size: 12px }
circle { fill: var(--good); fill-opacity: .55 } .limit { stroke: var(--bad); stroke-dasharray: 4 3 } .zero { stroke: var(--soft) }
.band { fill: var(--band) } rect.within { fill: var(--good) } rect.beyond { fill: var(--bad) } pre { overflow: auto; font-size: .75rem }
"""
_SIDE = 256
"""Longer side of the pictures on the page in pixels."""


def document(title: str, sections: Iterable[str]) -> str:
    """The file, of a title in plain words and sections in HTML."""
    words = escape(title)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{words}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{"".join(sections)}</body></html>\n'


def closing(report: Mapping[str, Any]) -> list[str]:
    """The last sections of every page: its "cannot_tell", and all its numbers."""
    return [
        "<h2>What this cannot tell</h2><ul>"
        + "".join(f"<li>{escape(line)}</li>" for line in report["cannot_tell"])
        + "</ul>",
        "<details><summary>Every number, for an engineer</summary><pre>"
        + escape(json.dumps(report, indent=1, ensure_ascii=False))
        + "</pre></details>",
    ]


def between(interval: Mapping[str, float] | None, form: str = ".2f") -> str:
    """An interval in brackets, or nothing."""
    return f" (95% interval {interval['low']:{form}} to {interval['high']:{form}})" if interval else ""


def figure(image: Image.Image, caption: str, bad: bool) -> str:
    """A picture with its caption; `bad` in the colour of what is wrong."""
    image = image.copy()
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    words = escape(caption)
    return f'<figure class="{"bad" if bad else ""}"><img alt="{words}" src="data:image/jpeg;base64,{data}"><figcaption>{words}</figcaption></figure>'
