import itertools
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from likeness import randomness

GOLDEN_NORMAL = [0.5431771278381348, -1.145230770111084, 1.2624517679214478, -0.12364163249731064]
GOLDEN_UNIFORM = 0.3200585375588769
GOLDEN_INTEGER = 620
GOLDEN_ORDER = [0, 4, 2, 3, 7, 1, 5, 6]


def test_a_draw_is_a_pure_function_of_its_key() -> None:
    first = randomness.normal((3, 5), 7, "noise", "ana", 10, 2)
    np.random.seed(0)
    torch.manual_seed(0)
    randomness.normal((100,), 7, "noise", "ana", 11, 2)
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda _: randomness.normal((3, 5), 7, "noise", "ana", 10, 2), range(16)))
    assert all(torch.equal(first, other) for other in again)


def test_drawing_leaves_the_global_generators_alone() -> None:
    numpy_before, torch_before = str(np.random.get_state()), torch.get_rng_state()
    randomness.normal((10,), 1, "a")
    randomness.permutation(10, 1, "a")
    assert numpy_before == str(np.random.get_state())
    assert torch.equal(torch_before, torch.get_rng_state())


def test_another_process_with_another_hash_seed_draws_the_same() -> None:
    code = "from likeness.randomness import uniform; print(uniform(3, 'crop', 'ana', 1).hex())"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    drawn = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert drawn.stdout.strip() == randomness.uniform(3, "crop", "ana", 1).hex()


def test_keys_that_look_alike_are_different_keys() -> None:
    keys = [
        (1, "a"),
        (1, "a", 0),
        (1, "a", 0, 0),
        (1, "a", 1),
        (1, "a", "1"),
        (1, "a", 1, 1),
        (1, "a", 11),
        (1, "a", "1,1"),
        (1, "a", "1", "1"),
        (1, "a1"),
        (11, "a"),
        (-1, "a"),
        (2**64 + 1, "a"),
        (1, "a", ""),
        (1, "ä"),
    ]
    assert len({randomness.uniform(*key) for key in keys}) == len(keys)  # type: ignore[arg-type]


def test_whole_numbers_of_any_type_are_the_same_counter() -> None:
    assert randomness.uniform(1, "a", 5) == randomness.uniform(int(np.int64(1)), "a", np.int64(5))  # type: ignore[arg-type]


def test_normal_numbers_have_the_moments_of_the_normal_distribution() -> None:
    n = 1_000_000
    x = randomness.normal((n,), 0, "noise").double()
    # Five standard errors of each sample moment of N(0, 1): var(x^k) = (2k-1)!! - ((k-1)!!)^2 for even k.
    assert abs(x.mean().item()) < 5 / math.sqrt(n)
    assert abs(x.square().mean().item() - 1) < 5 * math.sqrt(2 / n)
    assert abs((x**3).mean().item()) < 5 * math.sqrt(15 / n)
    assert abs((x**4).mean().item() - 3) < 5 * math.sqrt(96 / n)
    assert x.abs().max() > 4


def test_small_draws_of_neighbouring_keys_are_normal_and_independent() -> None:
    # What training does: few numbers from each of very many streams.
    slots = torch.stack([randomness.normal((16,), 0, "noise", "ana", step, 0) for step in range(4000)]).double()
    neighbours = torch.stack([randomness.normal((16,), 0, "noise", "ana", step, 1) for step in range(4000)]).double()
    n = slots.numel()
    assert abs(slots.mean().item()) < 5 / math.sqrt(n)
    assert abs(slots.var().item() - 1) < 5 * math.sqrt(2 / n)
    assert abs((slots * neighbours).mean().item()) < 5 / math.sqrt(n)
    assert abs((slots[:-1] * slots[1:]).mean().item()) < 5 / math.sqrt(n)


def test_streams_and_seeds_are_uncorrelated() -> None:
    n = 20_000
    keys = list(itertools.product((0, 1, 2), ("noise", "timestep", "crop")))
    drawn = torch.stack([randomness.normal((n,), seed, stream) for seed, stream in keys]).double()
    correlation = torch.corrcoef(drawn) - torch.eye(len(keys), dtype=torch.float64)
    assert correlation.abs().max() < 5 / math.sqrt(n)


def test_uniform_and_integer_are_uniform() -> None:
    n = 4000
    ones = np.array([randomness.uniform(0, "t", step) for step in range(n)])
    assert ones.min() >= 0
    assert ones.max() < 1
    assert abs(ones.mean() - 0.5) < 5 / math.sqrt(12 * n)
    counts = np.bincount([randomness.integer(10, 0, "t", step) for step in range(n)], minlength=10)
    chi_square = ((counts - n / 10) ** 2 / (n / 10)).sum()
    assert chi_square < 30  # 9 degrees of freedom: exceeded with probability 4e-4
    with pytest.raises(ValueError):
        randomness.integer(0, 0, "t")


def test_permutation_is_one_and_every_first_is_equally_likely() -> None:
    drawn = [randomness.permutation(5, 0, "order", epoch) for epoch in range(2000)]
    assert all(sorted(order) == list(range(5)) for order in drawn)
    counts = np.bincount([order[0] for order in drawn], minlength=5)
    assert ((counts - 400) ** 2 / 400).sum() < 24  # 4 degrees of freedom: probability 8e-5


def test_golden_values() -> None:
    """These must never change: they decide every adapter that was ever trained with a seed."""
    assert randomness.normal((4,), 42, "noise", "ana", 3, 1).tolist() == GOLDEN_NORMAL
    assert randomness.uniform(42, "timestep", 3) == GOLDEN_UNIFORM
    assert randomness.integer(1000, 42, "timestep", 3) == GOLDEN_INTEGER
    assert randomness.permutation(8, 42, "order", 0).tolist() == GOLDEN_ORDER


def test_shape_and_type() -> None:
    drawn = randomness.normal((2, 3, 4), 0, "a")
    assert drawn.shape == (2, 3, 4)
    assert drawn.dtype == torch.float32
    assert drawn.device.type == "cpu"


def test_dropout_is_a_pure_function_too() -> None:
    ones = torch.ones(1000)
    drawn = []
    for step in (3, 4, 3):
        randomness.place_torch(0, "dropout", "ana", step)
        drawn.append(torch.nn.functional.dropout(ones))
        torch.rand(step)
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
