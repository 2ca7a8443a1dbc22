"""Styles of hair in numbers; lengths in decimetres."""

from __future__ import annotations

from dataclasses import dataclass

Direction = tuple[float, float, float]


@dataclass(frozen=True)
class Style:
    length: float
    """On top; `side_length` below `side_height`, which is 0 at the nape and 1 at the top."""
    side_length: float
    side_height: float = 0.72
    part: float = 0.0
    """Where the parting is, from -1 to 1 across; `sweep`: none, all of the top goes one way."""
    sweep: bool = False
    comb: Direction = (1, -0.2, -0.4)
    """Which way it is combed: away from the parting, up, forward."""
    lift: float = 0.5
    """How far it stands off where it starts; it lies `volume` above the skin, from `rise` along it on."""
    volume: float = 0.06
    top_volume: float = 0.0
    rise: float = 0.25
    adhesion: float = 0.7
    gravity: float = 0.25
    flow: float = 0.5
    """How strongly it follows the comb, and up to which length."""
    comb_length: float = 1.2
    curl: float = 0.0
    """Radius of curls; `curl_rate` of them come in a decimetre."""
    curl_rate: float = 2.0
    curl_jitter: float = 0.4
    clump: float = 0.5
    frizz: float = 0.02
    ragged: float = 0.15
    fringe: float = 0.0
    """Length of hair combed over the forehead."""
    gather: Direction | None = None
    """The point, from the back of the head at the nape, that it is gathered at."""
    face_height: float = 0.80
    """Below this height it is kept out of the face, unless `over_face`."""
    over_face: bool = False
    count: int = 12000
    points: int = 12
    guides: int = 700


STYLES = {
    "buzz": Style(
        0.07, 0.05, sweep=True, comb=(0.1, -0.1, 0.6), lift=1.2, volume=0.02, gravity=0, count=14000, points=4, clump=0,
        frizz=0.01, guides=400,
    ),
    "crop": Style(
        0.33, 0.12, sweep=True, over_face=True, comb=(0.25, 0.1, 0.9), lift=0.6, volume=0.10, gravity=0.05, count=13000,
        points=7, clump=0.35,
    ),
    "sidepart": Style(
        0.62, 0.18, 0.62, face_height=0.93, part=0.38, comb=(1.0, 0.05, 0.35), volume=0.14, top_volume=0.4,
        gravity=0.12, flow=0.6, count=13000, points=10, clump=0.35, frizz=0.012,
    ),
    "slick": Style(
        1.0, 0.4, sweep=True, comb=(0.15, 0.1, -1.0), lift=0.35, volume=0.12, gravity=0.08, flow=0.8, points=10,
        clump=0.45, frizz=0.008,
    ),
    "quiff": Style(
        0.62, 0.13, 0.7, sweep=True, comb=(0.15, 0.3, -0.6), lift=0.9, volume=0.28, top_volume=0.3, rise=0.4,
        gravity=0.03, count=13000, points=9, clump=0.45,
    ),
    "fringe": Style(
        0.45, 0.3, sweep=True, over_face=True, comb=(0.15, -0.1, 1.0), lift=0.4, volume=0.13, gravity=0.1, flow=0.7,
        count=13000, points=10, clump=0.35, frizz=0.015,
    ),
    "curlyshort": Style(
        0.75, 0.35, sweep=True, comb=(0.5, 0.1, 0.4), lift=0.8, volume=0.22, gravity=0.08, count=9500, points=18,
        curl=0.07, curl_rate=3.0, clump=0.6,
    ),
    "afro": Style(
        0.8, 0.65, comb=(0.2, 0.1, 0.0), lift=1.8, volume=0.8, rise=1.0, adhesion=0, gravity=0, flow=0, count=14000,
        points=14, curl=0.05, curl_rate=6, curl_jitter=1.5, clump=0.25, frizz=0.03,
    ),
    "coilyshort": Style(
        0.2, 0.13, comb=(0.2, 0.1, 0.0), lift=1.3, volume=0.12, adhesion=0, gravity=0, flow=0, count=14000, points=8,
        curl=0.03, curl_rate=8, curl_jitter=1.5, clump=0.3,
    ),
    "longstraight": Style(
        4.4, 3.8, 0.5, comb=(1.0, -0.35, -0.15), lift=0.3, volume=0.16, gravity=0.45, flow=0.7, points=24, clump=0.4,
        ragged=0.25,
    ),
    "longwavy": Style(
        4.2, 3.6, 0.5, part=0.3, comb=(1.0, -0.35, -0.1), lift=0.4, volume=0.22, gravity=0.4, flow=0.6, count=11000,
        points=28, curl=0.12, curl_rate=0.75, clump=0.6, frizz=0.03, ragged=0.3,
    ),
    "longcurly": Style(
        3.4, 3.0, 0.5, part=0.2, comb=(1.0, -0.2, -0.1), lift=0.7, volume=0.35, gravity=0.3, flow=0.4, count=10000,
        points=36, curl=0.13, curl_rate=1.9, clump=0.6, frizz=0.03, ragged=0.3,
    ),
    "bob": Style(
        2.3, 1.6, 0.5, part=0.25, comb=(1.0, -0.35, -0.05), lift=0.35, volume=0.2, gravity=0.45, flow=0.6, points=18,
        clump=0.35, frizz=0.012, ragged=0.08,
    ),
    "bobfringe": Style(
        2.1, 1.6, 0.5, comb=(1.0, -0.35, -0.05), lift=0.35, volume=0.2, gravity=0.45, flow=0.6, points=18, clump=0.35,
        frizz=0.012, ragged=0.08, fringe=0.52,
    ),
    "pixie": Style(
        0.8, 0.35, face_height=0.93, part=0.4, comb=(0.9, -0.1, 0.6), lift=0.45, volume=0.16, top_volume=0.3,
        gravity=0.2, flow=0.6, count=13000, points=10, clump=0.4,
    ),
    "bun": Style(
        1.35, 0.95, over_face=True, comb=(0, 0, -1), gather=(0, 1.1, -0.05), lift=0.08, gravity=0, flow=1.2,
        comb_length=9, points=16, clump=0.25, frizz=0.006, ragged=0,
    ),
}  # fmt: skip
