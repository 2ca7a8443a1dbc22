"""Reads the drawn world's tone of skin, 0 to 9, off a skin's colour, by people whose tones are known."""

from __future__ import annotations

import numpy as np

from likeness.faces.arrays import Floats

TONES = 10
_POWERS = 4
"""A cubic: of people left out, it reads tones with an error of 0.4, where a straight line errs by 0.8 and a parabola by 0.5."""


class ToneReader:
    """The nearest tone, by how far colours of one tone lie apart (linear discriminants, of equal chance before anything is seen).

    Each tone has the mean colour that a cubic through all of them gives it. A fit the other way round, from colours to tones, would draw
    the outermost tones inwards, and count too few of them.
    """

    def __init__(self, colours: Floats, tones: Floats) -> None:
        """colours: (N, 3), and their true tones (N,)."""
        powers = np.vander(tones, _POWERS)
        curve = np.linalg.lstsq(powers, colours, rcond=None)[0]
        rest = colours - powers @ curve
        self._means = np.vander(np.arange(float(TONES)), _POWERS) @ curve
        self._precision = np.linalg.inv(rest.T @ rest / (len(rest) - _POWERS))

    def read(self, colours: Floats) -> Floats:
        """The tones (N,) of colours (N, 3)."""
        apart = colours[:, None] - self._means
        squares = np.einsum("nti,ij,ntj->nt", apart, self._precision, apart)
        return np.asarray(squares.argmin(axis=1), np.float64)


def error_of_reading(colours: Floats, tones: Floats, people: Floats) -> float:
    """Root mean square error, in tones, on each of the people when the others teach."""
    read = np.zeros(len(tones))
    for one in np.unique(people):
        theirs = people == one
        read[theirs] = ToneReader(colours[~theirs], tones[~theirs]).read(colours[theirs])
    return float(np.sqrt(np.mean((read - tones) ** 2)))


def shares(tones: Floats) -> list[float]:
    """Of each tone, 0 to 9."""
    return [float(part) for part in np.bincount(tones.astype(int), minlength=TONES) / len(tones)]
