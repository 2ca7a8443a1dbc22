"""Random numbers as a pure function of what they are for.

A draw is keyed by (seed, stream, counters): for instance ``normal(shape, seed, "noise", identity, step, slot)``. It
never depends on what the process drew before, on the number of processes, or on who else is in the batch, so that
resuming, data parallelism and packing agree by construction. Underneath is Philox-4x64 (Salmon et al., "Parallel
random numbers: as easy as 1, 2, 3", SC 2011) with BLAKE2b of the key tuple as its 128-bit key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch


def rng(seed: int, stream: str, *counters: int | str) -> np.random.Generator:
    """A fresh generator for one draw: equal arguments give equal generators, any other arguments unrelated ones.

    Counters are whole numbers or strings; ``1`` and ``"1"`` are different counters.
    """
    parts = [int(seed), stream, *(part if isinstance(part, str) else int(part) for part in counters)]
    # JSON writes a list of numbers and strings in exactly one way, so no two tuples share a key.
    digest = hashlib.blake2b(json.dumps(parts).encode("ascii"), digest_size=16, person=b"likeness-rng-1")
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest.digest(), "little")))


def normal(shape: Sequence[int], seed: int, stream: str, *counters: int | str) -> torch.Tensor:
    """Independent standard normal numbers: float32 on the CPU, of the given shape."""
    return torch.from_numpy(rng(seed, stream, *counters).standard_normal(tuple(shape), dtype=np.float32))


def uniform(seed: int, stream: str, *counters: int | str) -> float:
    """One number, uniform in [0, 1)."""
    return float(rng(seed, stream, *counters).random())


def integer(high: int, seed: int, stream: str, *counters: int | str) -> int:
    """One whole number, uniform in [0, high). Raises ValueError when high < 1."""
    return int(rng(seed, stream, *counters).integers(high))


def permutation(n: int, seed: int, stream: str, *counters: int | str) -> npt.NDArray[np.int64]:
    """The numbers 0 .. n-1 in random order: int64 of shape (n,)."""
    return rng(seed, stream, *counters).permutation(n)


def generator(seed: int) -> torch.Generator:
    """torch's own generator on the CPU, at that seed: for noise that a stock pipeline draws, so that anybody can draw the same."""
    return torch.Generator().manual_seed(seed)


def place_torch(seed: int, stream: str, *counters: int | str) -> None:
    """Puts torch's own generators, of every device, where these arguments alone say.

    Only for what draws inside a model and takes no generator, as dropout does.
    """
    torch.manual_seed(integer(2**63, seed, stream, *counters))
