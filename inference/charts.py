"""Two small plots as SVG, for a page that must carry everything in itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_WIDTH, _LEFT, _RIGHT = 640, 200, 40
_ROW = 26
_LETTER = 7.5
"""Width of a letter of the names, generously."""


def strips(rows: Mapping[str, Sequence[float]], line: float, line_label: str) -> str:
    """One row of dots for each name, on a common scale, and a vertical line; every row has values."""
    values = [*(value for row in rows.values() for value in row), line]
    low, high = min(values), max(values)
    margin = 0.05 * max(high - low, 1e-6)

    def x(value: float) -> float:
        return _x(value, low - margin, high + margin)

    height = _ROW * len(rows) + 40
    parts = [
        _line(x(line), 6, x(line), height - 34, "limit"),
        _text(x(line), height - 20, f"{line_label} {line:.3f}", "middle"),
    ]
    for number, (name, row) in enumerate(rows.items()):
        y = 20 + _ROW * number
        parts.append(_text(_LEFT - 10, y + 4, name, "end"))
        parts += [f'<circle cx="{x(value):.1f}" cy="{y}" r="4"/>' for value in row]
    parts += [_text(x(end), height - 4, f"{end:.3f}", "middle") for end in (low, high)]
    said = [f"{name}: mean {sum(row) / len(row):.3f}, {min(row):.3f} to {max(row):.3f}" for name, row in rows.items()]
    return _svg(height, parts, rows, [*said, f"{line_label} {line:.3f}"])


def bars(rows: Sequence[tuple[str, float, str]], limit: float) -> str:
    """A bar from zero for each (name, z, note), and the band within the limit; longer bars are cut at three times the limit."""
    end = 3 * limit

    def x(value: float) -> float:
        return _x(max(-end, min(end, value)), -end, end)

    height = _ROW * len(rows) + 34
    inner = f'<rect class="band" x="{x(-limit):.1f}" y="4" width="{x(limit) - x(-limit):.1f}" height="{height - 34}"/>'
    parts = [inner, _line(x(0), 4, x(0), height - 30, "zero")]
    for number, (name, z, note) in enumerate(rows):
        y = 20 + _ROW * number
        kind = "beyond" if abs(z) > limit else "within"
        left, width = min(x(0), x(z)), max(abs(x(z) - x(0)), 1.0)
        parts.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{y - 7}" width="{width:.1f}" height="14"><title>{escape(note)}</title></rect>'
        )
        parts.append(_text(_LEFT - 10, y + 4, name, "end"))
        # On the side where no bar is: at a long bar's end it would leave the picture, or lie on the name.
        parts.append(_text(x(0) + (-6 if z >= 0 else 6), y + 4, note, "end" if z >= 0 else "start", "note"))
    parts += [_text(x(value), height - 12, f"{value:+.0f}", "middle") for value in (-limit, limit)]
    said = [f"{name}: {note}, {'beyond' if abs(z) > limit else 'within'} the band" for name, z, note in rows]
    return _svg(height, parts, [name for name, _, _ in rows], said)


def _x(value: float, low: float, high: float) -> float:
    return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)


def _svg(height: float, parts: Sequence[str], names: Iterable[str], said: Iterable[str]) -> str:
    """The picture, wider on the left where a name is longer than usual; `said`: what it shows, for who listens to the page.

    On a narrow screen it is moved sideways: made narrower, its words could not be read.
    """
    more = max(0, round(_LETTER * max(map(len, names), default=0)) - (_LEFT - 10))
    label = escape("; ".join(said))
    svg = f'<svg viewBox="{-more} 0 {_WIDTH + more} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return f'<div class="plot">{svg}</div>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
