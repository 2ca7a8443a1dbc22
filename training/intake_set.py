"""Verdicts that need the other photographs: is this one of them again, and is it the same person?"""

import math

import numpy as np
import numpy.typing as npt

from likeness.faces.arrays import Floats
from training.intake_photo import Examined

# Two groups are different people when their mean cosine is this many times further from 1 than the larger group's own ...
_CLEARLY_FURTHER = 1.8
# ... unless it is above the recogniser's threshold by this share of what remains to 1. Measured with dlib on 300 draws each
# from 48 drawn people, whose faces are more alike than real ones: ten photographs of one person are split in 2%; of one to five strangers
# among five to eight photographs 96 to 98% are told apart.
_SURELY_SAME = 0.4
_ENOUGH_TO_KNOW = 3  # photographs in a group before its own spread says anything


def reject_duplicates(photos: list[Examined]) -> list[Examined]:
    """Rejects all but the best of photographs that are one and the same; returns the kept ones in their order.

    Two copies that were changed in different ways are known by the photograph between them, or by a third copy.
    """
    groups: list[list[Examined]] = []
    for photo in photos:
        copies, apart = [photo], []
        for group in groups:
            if any(_same_photo(photo, other) for other in group):
                copies += group
            else:
                apart.append(group)
        groups = [*apart, copies]
    kept = []
    for group in groups:
        best, *others = sorted(group, key=_goodness, reverse=True)
        kept.append(best)
        for photo in others:
            reason = f"almost the same photo as {best.verdict.file.name}, which is better or as good"
            photo.verdict.reject("duplicate", reason, "Take another one instead, with other light or another angle")
    return [photo for photo in photos if any(photo is best for best in kept)]


def reject_others(photos: list[Examined], threshold: float) -> tuple[list[Examined], bool]:
    """Rejects photographs that do not show the person whom most of them show.

    threshold: the recogniser's. Returns the kept ones, and whether it was undecided: two or more people equally often.
    """
    if len(photos) < 2:
        return photos, False
    vectors = np.stack([photo.identity for photo in photos if photo.identity is not None])
    groups = person_groups(vectors @ vectors.T, threshold)
    chosen = set(groups[0])
    for index, photo in enumerate(photos):
        if index not in chosen:
            reason = "it does not look like the person on most of the other photos"
            photo.verdict.reject(
                "another-person", reason, "Take it out, or use one that shows the face upright and more clearly"
            )
    undecided = len(groups) > 1 and len(groups[0]) == len(groups[1])
    return [photo for index, photo in enumerate(photos) if index in chosen], undecided


def person_groups(cosines: Floats, threshold: float) -> list[list[int]]:
    """Photographs grouped by person, the largest group first, from their cosines (N, N): average-linkage clustering."""
    groups = [[index] for index in range(len(cosines))]
    sums = cosines.astype(np.float64)
    while True:
        sizes = np.array([len(group) for group in groups])
        between = sums / np.outer(sizes, sizes)
        allowed = np.tril(_may_be_one(between, sizes, threshold), -1)
        if not allowed.any():
            return sorted(groups, key=lambda group: (-len(group), group))
        i, j = divmod(int(np.where(allowed, between, -np.inf).argmax()), len(groups))
        groups[j] = sorted(groups[j] + groups.pop(i))
        sums[j] += sums[i]
        sums[:, j] += sums[:, i]
        sums = np.delete(np.delete(sums, i, axis=0), i, axis=1)


def _may_be_one(between: Floats, sizes: npt.NDArray[np.int64], threshold: float) -> npt.NDArray[np.bool_]:
    """Of every two groups (G, G), by the mean cosines between them; on the diagonal those within, each photograph's with itself too."""
    own = (between.diagonal() * sizes - 1) / np.maximum(sizes - 1, 1)
    i_is_larger = sizes[:, None] >= sizes
    own_of_larger = np.where(i_is_larger, own[:, None], own)
    unknown = np.maximum(sizes[:, None], sizes) < _ENOUGH_TO_KNOW
    surely = between >= threshold + _SURELY_SAME * (1 - threshold)
    near = 1 - between <= _CLEARLY_FURTHER * (1 - own_of_larger)
    return np.asarray((between >= threshold) & (unknown | surely | near))


def _same_photo(a: Examined, b: Examined) -> bool:
    if a.fingerprint is None or b.fingerprint is None or a.identity is None or b.identity is None:
        return False
    return a.fingerprint.same_photo(b.fingerprint, float(a.identity @ b.identity))


def _goodness(photo: Examined) -> tuple[float, float]:
    """By the size of the face in steps of a fifth, then by sharpness: a small copy is sharp but holds less."""
    size = photo.verdict.face.size if photo.verdict.face else 1.0
    return round(4 * math.log2(max(size, 1.0))), photo.verdict.sharpness or 0.0
