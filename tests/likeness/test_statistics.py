"""Intervals hold what they say they hold, and a threshold lets through what it says."""

import numpy as np
import pytest

from likeness.statistics import gap_by_chance, group_gaps, hits_interval, mean_interval, share_interval, threshold


def test_the_interval_of_a_mean_holds_it_about_as_often_as_it_says():
    draw = np.random.default_rng(0)
    held = [
        interval.low <= 3 <= interval.high
        for number in range(400)
        if (interval := mean_interval(draw.normal(3, 2, 20).tolist(), number, "test", draws=500))
    ]
    assert len(held) == 400
    assert 0.88 <= np.mean(held) <= 0.97


def test_the_interval_follows_shifts_and_scales_and_is_drawn_by_the_seed():
    for number in range(20):
        values = np.random.default_rng(number).exponential(size=8 + number)
        plain, moved = mean_interval(values, number, "x"), mean_interval(5 - 3 * values, number, "x")
        assert plain is not None and moved is not None
        assert plain == mean_interval(values, number, "x") and plain != mean_interval(values, number + 1, "x")
        assert (moved.high, moved.low) == pytest.approx((5 - 3 * plain.low, 5 - 3 * plain.high))
        assert values.min() <= plain.low <= values.mean() <= plain.high <= values.max()
    assert mean_interval([1.0], 0, "x") is None


def test_values_that_hang_together_make_the_interval_wider():
    """20 seeds of four styles each, which share their seed's value: with the seeds told, the interval holds the mean."""
    draw, kinds = np.random.default_rng(1), np.repeat(np.arange(20), 4).tolist()
    held = {"told": [], "not told": []}
    for number in range(200):
        values = (3 + np.repeat(draw.normal(0, 2, 20), 4) + draw.normal(0, 0.3, 80)).tolist()
        for name, together in (("told", kinds), ("not told", None)):
            interval = mean_interval(values, number, "test", together, draws=300)
            assert interval is not None
            held[name].append(interval.low <= 3 <= interval.high)
    assert np.mean(held["told"]) >= 0.87 and np.mean(held["not told"]) <= 0.75
    assert mean_interval([1.0, 2.0, 3.0], 0, "x", ["a", "a", "a"]) is None


def test_the_interval_of_a_share_is_wilsons():
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for (count, total), expected in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        interval = share_interval(count, total)
        assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-4)
    with pytest.raises(ValueError):
        share_interval(3, 2)


@pytest.mark.parametrize(("kinds", "each"), [(8, 6), (4, 4), (30, 3)])
@pytest.mark.parametrize("alike", [0.0, 0.2, 0.5, 0.9])
def test_the_interval_of_a_share_holds_it_however_much_hits_hang_together(kinds: int, each: int, alike: float) -> None:
    """`alike`: their correlation within a kind, whose share has a beta density then (beta-binomial)."""
    draw, share = np.random.default_rng(kinds), 0.77
    held: list[bool] = []
    wilson: list[bool] = []
    together = np.repeat(np.arange(kinds), each).tolist()
    scale = (1 - alike) / alike if alike else np.inf
    for _ in range(400):
        own = draw.beta(share * scale, (1 - share) * scale, kinds) if alike else np.full(kinds, share)
        hits = (draw.random(kinds * each) < np.repeat(own, each)).tolist()
        for found, interval in ((held, hits_interval(hits, together)), (wilson, share_interval(sum(hits), len(hits)))):
            found.append(interval.low <= share <= interval.high)
    assert np.mean(held) >= 0.87
    assert alike < 0.5 or np.mean(wilson) < 0.87


def test_where_nothing_hangs_together_it_is_wilson_s_and_kinds_are_what_counts_where_all_are_hits() -> None:
    alone, wilson = hits_interval([True, False, False, True, True], range(5)), share_interval(3, 5)
    assert (alone.low, alone.high) == pytest.approx((wilson.low, wilson.high))
    assert hits_interval([True] * 12, [0, 1, 2] * 4) == share_interval(3, 3)
    assert hits_interval([True, False], [0, 0]) == share_interval(0.5, 1)


def test_a_threshold_is_the_lowest_that_keeps_its_rate():
    draw = np.random.default_rng(5)
    for _ in range(50):
        scores = draw.normal(size=draw.integers(1, 80)).round(1).tolist()
        rate = float(draw.uniform(0, 0.5))
        found = threshold(scores, rate)
        above = np.mean([score > found.value for score in scores])
        assert above == found.false_accepts <= rate
        lower = [score for score in scores if score < found.value]
        if lower:
            assert np.mean([score > max(lower) for score in scores]) > rate
        assert found.interval.low <= above <= found.interval.high
    with pytest.raises(ValueError):
        threshold([], 0.1)


def test_gaps_between_groups_hold_their_error_rate_and_find_what_is_there():
    draw = np.random.default_rng(3)
    groups = np.array([[n < 8 for n in range(24)], [n % 3 == 0 for n in range(24)]])
    least = []
    for number in range(100):
        values = draw.standard_t(3, size=(24, 3))
        values[draw.random((24, 3)) < 0.1] = np.nan
        values[:, 2] = values[:, 1] + 0.1 * values[:, 2]  # measures that hang together
        least.append(min(gap.p for row in group_gaps(values, groups, ~groups, number, draws=300) for gap in row if gap))
    assert np.mean(np.array(least) < 0.05) <= 0.12
    values = draw.normal(size=(24, 2))
    values[:8, 1] += 4
    gaps = group_gaps(values, groups, ~groups, 0, draws=1000)
    assert gaps[0][1] is not None and gaps[0][1].p < 0.01 and gaps[0][1].difference > 2
    assert gaps[0][0] is not None and gaps[0][0].p > 0.05
    assert gaps[0][1].difference == pytest.approx(values[:8, 1].mean() - values[8:, 1].mean())


def test_t_is_in_deviations_of_chance_also_where_few_are_measured():
    """Of 40 people 4 are measured, so that most draws leave the small group none of them and tell nothing."""
    values = np.full((40, 1), np.nan)
    values[:4, 0] = [1.0, 2.0, 4.0, 8.0]
    one = np.arange(40)[None] % 10 == 0
    ((gap,),) = group_gaps(values, one, ~one, 0, draws=2000)
    # One member at a time is drawn in most of the draws that tell anything: the spread of one against three.
    single = [first - np.delete(values[:4, 0], place).mean() for place, first in enumerate(values[:4, 0])]
    assert gap is not None and gap.difference == pytest.approx(single[0])
    assert gap.t == pytest.approx(gap.difference / np.sqrt(np.mean(np.square(single))), rel=0.1)


def test_a_measure_that_does_not_vary_has_no_gap():
    values = np.column_stack([np.ones(6), np.full(6, np.nan)])
    half = np.array([[True] * 3 + [False] * 3])
    assert group_gaps(values, half, ~half, 0, draws=50) == [[None, None]]


def test_of_whom_it_is_not_known_is_on_neither_side_of_a_gap():
    values = np.array([[1.0], [3.0], [5.0], [7.0], [100.0], [-50.0]])
    one, other = (np.array([[place in side for place in range(6)]]) for side in ((0, 1), (2, 3)))
    ((gap,),) = group_gaps(values, one, other, 0, draws=50)
    assert gap is not None and gap.difference == -4


def test_a_share_of_people_s_own_shares():
    assert share_interval(2.5, 5).low < 0.5 < share_interval(2.5, 5).high


def test_the_gap_that_random_labels_give():
    values = np.random.default_rng(4).normal(size=400)
    values = (values - values.mean()) / values.std(ddof=1)
    half = np.arange(400) < 200
    by_chance = gap_by_chance(values, np.array([half, ~half]), 0, draws=2000)
    # The difference of two halves is normal, with a deviation of sqrt(1/200 + 1/200); 0.6745 is the median of its modulus.
    assert by_chance == pytest.approx(0.6745 * 0.1, rel=0.08)
    values[:200] += 5  # what is really there is scatter between people, once labels are random
    assert gap_by_chance(values, np.array([half, ~half]), 0) == pytest.approx(0.6745 * 0.1 * values.std(), rel=0.1)
    assert gap_by_chance(np.append(values, np.nan), np.array([np.append(half, True), np.append(~half, True)]), 0) > 0
    assert gap_by_chance(values, np.empty((0, 400), bool), 0) is None
    assert gap_by_chance(np.full(400, np.nan), np.array([half, ~half]), 0) is None
