"""Varied selfies differ more in pose and light than drawn ones, alike ones less; fewer are among more; draws are as ever."""

import itertools
from typing import Any

import numpy as np
import pytest

from likeness import files, randomness
from likeness.faces import FaceFinder
from tests import photos
from training.variety import TRAITS, PhotosBy, choose_photos, read_traits

WAYS: tuple[PhotosBy, ...] = ("drawn", "varied", "alike")


@pytest.fixture(scope="module")
def sets() -> list[list[dict[str, Any]]]:
    """All selfies of six people of the cohort."""
    finder = FaceFinder()

    def row(path: Any) -> dict[str, Any]:
        rgb = photos.pixels(path)
        return {"digest": files.sha256(path), **read_traits(rgb, finder.find(rgb)[0])}

    return [[row(path) for path in photos.selfies(person)] for person in photos.people()[::8]]


def line(*yaws: float) -> list[dict[str, Any]]:
    """Photographs that differ in yaw alone, named by their place."""
    return [{"digest": str(place), **dict.fromkeys(TRAITS, 0.1), "yaw": yaw} for place, yaw in enumerate(yaws)]


def spread(rows: list[dict[str, Any]], chosen: set[str]) -> np.ndarray[Any, Any]:
    """Of each trait: the deviation among the chosen over that among all."""
    everything, some = (
        np.array([[row[name] for name in TRAITS] for row in rows if row["digest"] in digests])
        for digests in ({row["digest"] for row in rows}, chosen)
    )
    return np.asarray(some.std(axis=0) / everything.std(axis=0))


@pytest.mark.parametrize("count", [3, 5])
def test_varied_selfies_differ_more_than_drawn_ones_and_alike_ones_less(
    sets: list[list[dict[str, Any]]], count: int
) -> None:
    drawn, varied, alike = (np.array([spread(rows, choose_photos(rows, count, by)) for rows in sets]) for by in WAYS)
    assert varied.mean() > 1.1 * drawn.mean() > 1.3 * alike.mean()
    assert (alike.mean(axis=1) < varied.mean(axis=1)).all(), "of everybody"
    assert (alike.mean(axis=0) < varied.mean(axis=0)).all(), "in every trait"


def test_what_is_chosen_on_a_line() -> None:
    rows = line(0, 1, 2, 3, 20)
    assert choose_photos(rows, 1, "varied") == {"4"}
    assert choose_photos(rows, 2, "varied") == {"4", "0"}
    assert choose_photos(rows, 3, "varied") == {"4", "0", "3"}
    assert choose_photos(rows, 1, "alike") == {"2"}
    assert choose_photos(rows, 3, "alike") == {"1", "2", "3"}


def test_traits_weigh_the_same_whatever_their_units() -> None:
    rows = [row | {"brightness": 0.01 * row["yaw"] ** 2} for row in line(-20, -7, 1, 5, 9, 30)]
    scaled = [row | {"yaw": row["yaw"] / 1000, "brightness": 7 + row["brightness"] * 50} for row in rows]
    for by in WAYS:
        assert [choose_photos(rows, n, by) for n in range(7)] == [choose_photos(scaled, n, by) for n in range(7)]


@pytest.mark.parametrize("by", WAYS)
def test_fewer_are_among_more_and_neither_order_nor_crops_matter(
    sets: list[list[dict[str, Any]]], by: PhotosBy
) -> None:
    rows = sets[0]
    chosen = [choose_photos(rows, count, by) for count in range(1, 15)]
    assert [len(digests) for digests in chosen] == [*range(1, 13), 12, 12]
    assert all(fewer <= more for fewer, more in itertools.pairwise(chosen))
    assert [choose_photos([*rows[::-1], *rows], count, by) for count in range(1, 15)] == chosen


@pytest.mark.parametrize("by", WAYS)
def test_photographs_that_are_all_the_same_are_chosen_from_too(by: PhotosBy) -> None:
    assert len(choose_photos(line(3, 3, 3, 3), 2, by)) == 2
    assert choose_photos([], 2, by) == set()


def test_drawn_ones_are_drawn_by_their_digests_alone() -> None:
    digests = [f"{number:064x}" for number in range(12)]
    draws = sorted(digests, key=lambda digest: randomness.uniform(0, "photos", digest))
    for count in (3, 5, 8, 12):
        assert choose_photos([{"digest": digest} for digest in digests], count) == set(draws[:count])


def test_the_lights_brightness_and_colour_are_read() -> None:
    """Of a real photograph: half the light is a stop, and a third less blue is redder, with pose and side as they were."""
    rgb = photos.astronaut()
    face = FaceFinder().find(rgb)[0]
    plain, dim = read_traits(rgb, face), read_traits(photos.stops(rgb, -1), face)
    assert dim["brightness"] == pytest.approx(plain["brightness"] - 1, abs=0.15)
    assert dim["warmth"] == pytest.approx(plain["warmth"], abs=0.1)
    warm = read_traits((rgb * np.array([1, 1, 0.67])).astype(np.uint8), face)
    assert warm["warmth"] > plain["warmth"] + 0.5
    mirrored = np.ascontiguousarray(rgb[:, ::-1])
    turned = read_traits(mirrored, FaceFinder().find(mirrored)[0])
    assert turned["yaw"] == pytest.approx(-plain["yaw"], abs=4)
    assert turned["light_side"] == pytest.approx(-plain["light_side"], abs=0.3)
