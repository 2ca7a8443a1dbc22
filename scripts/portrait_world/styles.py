"""Styles of hair in numbers; lengths in decimetres."""

from __future__ import annotations

from dataclasses import dataclass

Direction = tuple[float, float, float]


@dataclass(frozen=True)
class Style:
    length: float
    """On top; `side_length` below `side_height`, which is 0 at the eyes and 1 at the top of the head."""
    side_length: float
    side_height: float = 0.55
    part: float = 0.0
    """Where the parting is, from -1 (the person's right) to 1 across the head."""
    comb: Direction | None = None
    """Which way the top is combed: away from the parting, up, forward. Without one it grows away from the crown."""
    side_comb: Direction = (0.0, -1.0, -0.3)
    one_way: bool = False
    """The whole top is combed to one side, not away from the parting."""
    volume: float = 0.08
    """How high it lies above the skin, reached `rise` along it; less beside a parting."""
    rise: float = 0.3
    stiff: float = 0.0
    """How much it keeps standing off the skin: 0 lies, 1 stands."""
    hang: float = 1.0
    """How strongly it falls where it has left the scalp; `tuck` draws it to the neck."""
    tuck: float = 0.0
    turn: float = 5.0
    """How quickly it turns to where it is combed, per decimetre."""
    curl: float = 0.0
    """Radius of curls; `curl_rate` of them come in a decimetre."""
    curl_rate: float = 2.0
    curl_jitter: float = 0.35
    clump: float = 0.5
    frizz: float = 0.008
    ragged: float = 0.2
    """How much shorter than their length single strands may be."""
    stray: float = 0.12
    """How far locks differ from the direction they are combed in."""
    fringe: float | None = None
    """Hair of the forehead is combed over it, and cut at this height between the eyes (0) and the top (1)."""
    cut: float | None = None
    """Cut level at this height, in the same measure (below the eyes it is negative)."""
    gather: Direction | None = None
    """Where it is gathered: across, height in the same measure, and from the back of the head (0) to the front (1)."""
    bun: float = 0.0
    """Radius of the bun at that place; `tail` is the length of hair that falls from it instead."""
    tail: float = 0.0
    recede: float = 0.0
    """How far the hairline has moved back at the temples, 0 to 1."""
    count: int = 12000
    points: int = 12
    guides: int = 800


STYLES = {
    "buzz": Style(0.07, 0.05, volume=0.06, rise=0.06, stiff=0.8, clump=0, frizz=0.006, points=4, guides=500, count=14000),
    "crop": Style(
        0.34, 0.10, comb=(0.15, 0.1, 1.0), one_way=True, part=0.3, volume=0.12, rise=0.2, stiff=0.35, clump=0.55,
        stray=0.28, points=8, count=13000, fringe=0.46,
    ),
    "sidepart": Style(
        0.85, 0.16, comb=(1.0, 0.15, 0.15), part=0.45, volume=0.17, rise=0.35, stiff=0.2, clump=0.5, points=12,
        ragged=0.3, hang=0.4, side_height=0.5,
    ),
    "slick": Style(
        1.1, 0.35, comb=(0.1, 0.1, -1.0), side_comb=(0, -0.5, -1.0), volume=0.09, rise=0.25, clump=0.6, stray=0.05,
        points=12, side_height=0.4, hang=0.3, cut=-0.5,
    ),
    "quiff": Style(
        0.75, 0.12, comb=(0.2, 0.35, -0.8), one_way=True, part=-0.4, volume=0.28, rise=0.35, stiff=0.4, clump=0.6,
        stray=0.14, points=12, side_height=0.5, hang=0.3,
    ),
    "fringe": Style(
        0.8, 0.3, comb=(0.25, 0.0, 1.0), one_way=True, part=0.3, volume=0.14, rise=0.2, clump=0.6, stray=0.2,
        fringe=0.27, points=12, side_height=0.35, hang=0.6, cut=-0.12,
    ),
    "curlyshort": Style(
        0.8, 0.28, comb=(0.4, 0.3, 0.5), one_way=True, part=0.3, volume=0.26, rise=0.3, stiff=0.35, clump=0.75, curl=0.06,
        curl_rate=3.2, stray=0.35, points=18, count=10000, side_height=0.45, hang=0.5, fringe=0.36, cut=-0.1,
    ),
    "coilyshort": Style(
        0.26, 0.12, volume=0.2, rise=0.2, stiff=0.9, clump=0.35, curl=0.022, curl_rate=7, curl_jitter=1.2, stray=0.3,
        frizz=0.012, points=9, count=14000,
    ),
    "afro": Style(
        0.85, 0.6, volume=0.85, rise=0.85, stiff=1.0, hang=0.0, clump=0.3, curl=0.035, curl_rate=5, curl_jitter=1.5,
        stray=0.2, frizz=0.03, ragged=0.2, points=14, count=15000, side_height=0.3,
    ),
    "pixie": Style(
        0.85, 0.38, comb=(0.9, 0.1, 0.55), part=0.45, volume=0.17, rise=0.3, clump=0.55, stray=0.15, fringe=0.34,
        points=12, side_height=0.3, hang=0.6, cut=-0.35, one_way=True,
    ),
    "bob": Style(
        2.6, 2.2, part=0.35, comb=(1.0, -0.1, -0.35), volume=0.16, rise=0.5, tuck=0.25, clump=0.45, cut=-0.86,
        points=20, ragged=0.06,
    ),
    "bobfringe": Style(
        2.6, 2.2, part=0.0, comb=(1.0, -0.1, -0.35), volume=0.16, rise=0.5, tuck=0.25, clump=0.45, cut=-0.8,
        points=20, ragged=0.06, fringe=0.2,
    ),
    "shoulder": Style(
        3.0, 2.6, part=0.2, comb=(1.0, -0.1, -0.4), volume=0.18, rise=0.5, clump=0.6, cut=-1.45, points=22, ragged=0.25,
        curl=0.035, curl_rate=0.7, tuck=0.1,
    ),
    "longstraight": Style(
        4.6, 4.0, part=0.03, comb=(1.0, -0.1, -0.45), volume=0.13, rise=0.5, clump=0.5, points=26, ragged=0.3, tuck=0.15,
    ),
    "longwavy": Style(
        4.3, 3.7, part=0.35, comb=(1.0, 0.0, -0.35), volume=0.2, rise=0.5, clump=0.75, curl=0.075, curl_rate=0.75,
        points=30, count=11000, ragged=0.3,
    ),
    "longcurly": Style(
        3.6, 3.1, part=0.25, comb=(1.0, 0.0, -0.3), volume=0.28, rise=0.5, clump=0.8, curl=0.085, curl_rate=1.7,
        points=36, count=10000, ragged=0.3, stray=0.25, frizz=0.012,
    ),
    "bun": Style(0, 0, gather=(0.0, 0.35, -0.02), bun=0.36, volume=0.05, clump=0.5, points=14, stray=0.03),
    "topknot": Style(0, 0, gather=(0.0, 1.03, 0.22), bun=0.32, volume=0.05, clump=0.5, points=14, stray=0.03),
    "ponytail": Style(0, 0, gather=(0.0, 0.45, 0.0), tail=2.6, volume=0.05, clump=0.5, points=14, stray=0.03),
}  # fmt: skip
