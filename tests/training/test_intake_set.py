"""Grouping by person, on vectors of known likeness."""

import time
from pathlib import Path

import numpy as np

from training.fingerprint import Fingerprint
from training.intake_photo import Examined, PhotoVerdict
from training.intake_set import person_groups, reject_duplicates


def cosines(*people: tuple[int, float], between: float) -> np.ndarray:
    """The matrix of people with so many photographs each, of such a likeness among themselves."""
    total = sum(count for count, _ in people)
    matrix = np.full((total, total), between)
    start = 0
    for count, own in people:
        matrix[start : start + count, start : start + count] = own
        start += count
    np.fill_diagonal(matrix, 1)
    return matrix


def test_people_below_the_threshold_are_apart():
    assert person_groups(cosines((4, 0.95), (2, 0.95), between=0.85), 0.9) == [[0, 1, 2, 3], [4, 5]]


def test_a_stranger_above_the_threshold_is_known_by_the_groups_own_spread():
    assert person_groups(cosines((5, 0.97), (1, 1), between=0.91), 0.9) == [[0, 1, 2, 3, 4], [5]]


def test_a_varied_person_is_not_split():
    assert person_groups(cosines((5, 0.94), (1, 1), between=0.92), 0.9) == [[0, 1, 2, 3, 4, 5]]
    assert person_groups(cosines((5, 0.99), (1, 1), between=0.95), 0.9) == [[0, 1, 2, 3, 4, 5]]


def test_the_order_of_the_photographs_does_not_matter():
    matrix = cosines((4, 0.96), (3, 0.96), between=0.9)
    order = np.random.default_rng(0).permutation(7)
    groups = person_groups(matrix[np.ix_(order, order)], 0.9)
    assert [sorted(order[group].tolist()) for group in groups] == [[0, 1, 2, 3], [4, 5, 6]]


def test_three_hundred_photographs_are_grouped_in_a_moment():
    """Not in minutes: every pair of groups was once looked at for every two that were joined."""
    rng = np.random.default_rng(0)
    vectors = np.ones(128) + 0.3 * rng.normal(size=(300, 128))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    started = time.process_time()
    assert [len(group) for group in person_groups(vectors @ vectors.T, 0.5)] == [300]
    assert time.process_time() - started < 15


def test_two_copies_are_known_by_a_third_between_them():
    """One turned a little and one without much of its colour, say: whichever of the three comes first or is the best."""

    def photo(name: str, differing: int, sharpness: float) -> Examined:
        bits, none = np.arange(63) < differing, np.arange(63) % 2 == 0
        verdict = PhotoVerdict(Path(name), "ok", "ok", sharpness=sharpness)
        return Examined(verdict, identity=np.array([1.0]), fingerprint=Fingerprint(bits, none, none ^ bits))

    for order in ([0, 7, 14], [0, 14, 7], [7, 0, 14]):
        for best in order:
            copies = [photo(f"{bits}.jpg", bits, 0.4 + (bits == best) / 10) for bits in order]
            (kept,) = reject_duplicates(copies)
            assert kept.verdict.name == f"{best}.jpg" and kept.verdict.verdict == "ok"
            codes = [one.verdict.code for one in copies if one is not kept]
            assert codes == ["duplicate"] * 2 and f"{best}.jpg" in copies[-1 if copies[0] is kept else 0].verdict.reason
