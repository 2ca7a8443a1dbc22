"""What of a person's looks has drifted on pictures, against the spread over the person's own photographs.

Every measure is one number a picture. A drift is the mean over the pictures less the median over the selfies, in units of
what chance gives: the selfies' robust spread (1.4826 of the median absolute deviation), of which the mean of m pictures
has 1 / m and the median of n selfies pi / 2n in variance. So one picture is judged mildly, and twenty sharply. A portrait is
taken from further away than a selfie, which widens a face: as much of a shift is none.

Ten selfies tell a spread badly, and five hardly at all. It is therefore moderated, as Smyth 2004
(doi:10.2202/1544-6115.1027) does with variances: mixed with what is usual, which counts as much as `_USUAL_COUNTS` degrees of
freedom; n selfies count as 0.37 (n - 1), the efficiency of the median absolute deviation (Rousseeuw & Croux 1993).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from likeness.errors import LikenessError
from likeness.faces import colour
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.face import Face
from likeness.faces.hair import blue_of_hair
from likeness.faces.marks import Marks, find_marks
from likeness.faces.shape import shape
from likeness.faces.skin import SkinReading, read_skin, texture

Kind = Literal["skin", "shape", "texture", "marks", "hair"]

LIMIT = 3.0
"""Of |z|, beyond which a drift is more than chance."""
MIN_PHOTOS = 4
"""Photographs under which a person's own spread is not measured."""
_USUAL_COUNTS = 4.0


@dataclass(frozen=True)
class Measure:
    """What is measured: its kind, unit, and the spread that is usual among one person's selfies (`usual`, same unit).

    afar: by how much a picture that is taken from further away than a selfie shows more of it, >= 0, same unit.
    """

    kind: Kind
    title: str
    unit: str
    usual: float
    afar: float = 0.0


# `usual`: the root of the mean square, over people, of the spread over ten selfies: of the cohort's 48 or of an earlier cohort of 18 in
# harsher light, whichever is more (on the 48 lightness 1.8, ita 3.8, hue 1.5, colour 1.0, monk 0.10, nose 2.9, eyes 1.4, texture 0.11), for
# people's selfies vary more than drawn ones. That of `colour` lies between both. That of `marks` is
# set, for all were kept on all selfies: that one picture in five shows a mark badly is no news. Those of face and jaw are a fifth above the
# 1.9 and 1.6 of the 48, whose cameras are all held alike. `afar` is what the 48's portraits show more of than their selfies. What this finds and
# what it misses: docs/measures.md, by scripts/evaluate_measures.py.
MEASURES: Mapping[str, Measure] = {
    "lightness": Measure("skin", "lightness of the skin", "L*", 4.2),
    "ita": Measure("skin", "typology angle of the skin", "degrees", 10.6),
    "hue": Measure("skin", "hue of the skin", "degrees", 2.1),
    "colour": Measure("skin", "colour of the skin, all told", "CIEDE2000", 1.9),
    "monk": Measure("skin", "steps along the Monk scale", "steps", 0.27),
    "nose_width": Measure("shape", "width of the nose", "%", 3.2),
    "face_width": Measure("shape", "width of the face", "%", 2.2, 2.8),
    "eye_spacing": Measure("shape", "spacing of the eyes", "%", 1.5),
    "jaw_width": Measure("shape", "width of the jaw", "%", 1.9, 1.5),
    "texture": Measure("texture", "fine texture of the skin", "stops", 0.2),
    "marks": Measure("marks", "moles and marks kept", "share", 0.2),
    "grey": Measure("hair", "greyness of the hair", "stops", 0.5),
}


@dataclass(frozen=True)
class Drift:
    """One measure's drift over some pictures.

    own, spread: median and moderated spread over the selfies.  shift: the pictures' mean less `own`, in the measure's unit.
    z: shift over its chance spread, less what the camera's distance may do.  pictures: how many it could be measured on.
    """

    own: float
    spread: float
    shift: float
    z: float
    pictures: int

    @property
    def beyond(self) -> bool:
        """Whether it is more than chance."""
        return abs(self.z) > LIMIT


class OwnLooks:
    """A person's looks and their spread, by the person's own photographs."""

    def __init__(self, photos: Sequence[tuple[Pixels, Face, Floats]]) -> None:
        """`photos`: RGB pixels, face, and how surely each pixel is a person's. Raises LikenessError with fewer than MIN_PHOTOS."""
        if len(photos) < MIN_PHOTOS:
            raise LikenessError(
                f"drift needs {MIN_PHOTOS} photographs with a face, there are {len(photos)}", "Add selfies"
            )
        readings = [read_skin(rgb, face) for rgb, face, _ in photos]
        self._light: Floats = np.median([reading.light for reading in readings], axis=0)
        self._colour: Floats = np.median([reading.under(self._light) for reading in readings], axis=0)
        self.marks: Marks = find_marks([(rgb, face) for rgb, face, _ in photos])
        self.rows = [self._row(*photo, reading) for photo, reading in zip(photos, readings, strict=True)]

    def measure(self, rgb: Pixels, face: Face, person: Floats) -> dict[str, float]:
        """Every measure of MEASURES on one picture; NaN for one that it does not show.

        person: how surely each pixel of the picture is a person's, (height, width) in [0, 1].
        """
        return self._row(rgb, face, person, read_skin(rgb, face))

    def drifts(self, rows: Sequence[Mapping[str, float]]) -> dict[str, Drift]:
        """The drift of pictures, as `measure` gave them; a measure that no picture or too few selfies show is left out."""
        found = {}
        for name, measure in MEASURES.items():
            own = _finite(row[name] for row in self.rows)
            values = _finite(row[name] for row in rows)
            if len(own) >= MIN_PHOTOS and len(values):
                found[name] = drift(own, values, measure.usual, measure.afar)
        return found

    def _row(self, rgb: Pixels, face: Face, person: Floats, reading: SkinReading) -> dict[str, float]:
        skin = reading.under(self._light)
        kept = self.marks.kept(rgb, face)
        colours = {
            "ita": colour.ita(skin),
            "hue": colour.hue(skin),
            "colour": float(colour.ciede2000(skin, self._colour)),
            "monk": colour.monk_position(skin),
            "grey": blue_of_hair(rgb, face, person, reading.skin) + float(self._light[2] - reading.light[2]),
        }
        # Asked for or not, that is no drift of the skin; its lightness outlives the conversion (by 0.1 of its spread, on 30 portraits).
        # Hair is told from skin by its colour too.
        if colour.black_and_white(rgb):
            colours = dict.fromkeys(colours, math.nan)
        return {
            "lightness": float(skin[0]),
            **colours,
            **shape(face),
            "texture": texture(rgb, face),
            "marks": math.nan if kept is None else kept,
        }


def drift(own: Floats, values: Floats, usual: float, afar: float = 0.0) -> Drift:
    """The drift of values (m,), m > 0, from a person's own (n,), n > 1, whose spread is usually `usual`; see the module.

    Pictures may be taken from anywhere between arm's length and `afar`: only what lies outside of both counts.
    """
    middle = float(np.median(own))
    mad = 1.4826 * float(np.median(np.abs(own - middle)))
    counts = 0.37 * (len(own) - 1)
    spread = math.sqrt((counts * mad**2 + _USUAL_COUNTS * usual**2) / (counts + _USUAL_COUNTS))
    shift = float(np.mean(values)) - middle
    chance = spread * math.sqrt(1 / len(values) + math.pi / 2 / len(own))
    return Drift(middle, spread, shift, (shift - min(max(shift, 0.0), afar)) / chance, len(values))


def _finite(values: Iterable[float]) -> Floats:
    array = np.array(list(values), np.float64)
    return array[np.isfinite(array)]
