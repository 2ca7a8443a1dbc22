"""Render people who do not exist, each with true words on every picture.

    python -m scripts.portrait_world OUT --people 0:1500 --headshots 2 --selfies 1 --jobs 2
    python -m scripts.portrait_world OUT --cohort --jobs 2

Needs the extra `world` (numba) and the CC0 assets (see assets.py). A person is their number, so ranges can be rendered on
several cores or machines and put together; those that are there already are skipped. Numbers from 900000 are kept for the
held-out cohort.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from . import assets, cohort
from .identity import FIRST_HELD_OUT
from .people import COHORT, Order, save


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--assets", type=Path, help=f"folder of the CC0 assets (default: {assets.VARIABLE})")
    parser.add_argument("--people", default="0:10", help="numbers, from and up to")
    parser.add_argument("--cohort", action="store_true", help="the held-out cohort instead: its people, its pictures")
    own = {"headshots": 2, "selfies": 1, "size": 256, "supersample": 2}
    for name, usual in own.items():
        parser.add_argument(f"--{name}", type=int, default=usual, help="not with --cohort, which has its own")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args(arguments)
    try:
        first, last = map(int, options.people.split(":"))
    except ValueError:
        parser.error(f"--people is {options.people}; write two numbers, from and up to, such as 0:10")
    if options.cohort and any(getattr(options, name) != usual for name, usual in own.items()):
        parser.error(f"the cohort's pictures are what they are: leave out {', '.join(f'--{name}' for name in own)}")
    if last > FIRST_HELD_OUT and not options.cohort:
        parser.error(f"people from {FIRST_HELD_OUT} are held out from training: they are drawn with --cohort")
    if options.assets:
        os.environ[assets.VARIABLE] = str(options.assets)
    assets.source("mpfb")
    if importlib.util.find_spec("numba") is None:
        raise SystemExit("Rendering needs numba: pip install 'likeness[world]'")
    if options.cohort:
        order, people = COHORT, list(cohort.numbers())
    else:
        order = Order(options.headshots, options.selfies, options.size, options.supersample)
        people = list(range(first, last))
    _run(options.out, order, people, options.jobs)


def _run(out: Path, order: Order, people: list[int], jobs: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    started, made, job = time.monotonic(), 0, partial(save, out, order)
    # Fresh processes: numba and OpenCV do not mix with forked ones.
    pool = multiprocessing.get_context("spawn").Pool(jobs) if jobs > 1 else None
    results: Iterable[int] = pool.imap_unordered(job, people) if pool else map(job, people)
    for count in results:
        made += count
        if count:
            print(f"{made} pictures, {(time.monotonic() - started) / made:.2f} s each", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
