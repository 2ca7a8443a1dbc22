"""What each idea of the training is worth, measured on people of the cohort: python scripts/ablate.py --people 12

Writes ablations.json and the table, ablations.md, after every training, so that it may be stopped at any time; the same
command goes on, and started several times it shares the people out. Likeness is reported by the recogniser and by the
held-out selfies that chose nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from likeness import resources
from likeness.errors import LikenessError
from likeness.faces import REPORTING, SELECTING, world
from likeness.tune import (
    EXIT_INTERRUPTED,
    Comparison,
    Interrupted,
    ScorecardSettings,
    Sweep,
    base_values,
    cohort_sample,
    compare,
)


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0, 2 for what the user can put right, 75 when it was stopped and can be gone on with."""
    parser = argparse.ArgumentParser(prog="ablate.py", description="Train every variant on people of the cohort.")
    parser.add_argument("--config", type=Path, default=resources.configs() / "pocket.yaml")
    parser.add_argument("--sweep", type=Path, default=resources.configs() / "sweeps" / "ablations.yaml")
    parser.add_argument("--people", type=int, default=12, help="of the cohort, evenly of its groups")
    parser.add_argument("--count", type=int, default=2, help="pictures in each of four styles")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--recogniser", default=REPORTING, help="reports; must not be the one that selects")
    parser.add_argument("--selects", default=_selecting(), help="the recogniser that selects checkpoints")
    parser.add_argument("--out", type=Path, default=Path("outputs/ablations"))
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that override the file's")
    options = parser.parse_intermixed_args(arguments)
    if options.selects == options.recogniser:
        print("note: one recogniser selects and reports, though by different photographs", file=sys.stderr)
    try:
        wanted = Comparison(
            sweep=Sweep.load(options.sweep),
            base=base_values(options.config, [f"selection.recogniser={options.selects}", *options.overrides]),
            people=cohort_sample(options.people, options.out / "people"),
            scores=ScorecardSettings(count=options.count, recogniser=options.recogniser),
            judges="reporting",
            out=options.out,
            seeds=options.seeds,
        )
        compare(wanted, "ablations", Console())
    except LikenessError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except (Interrupted, KeyboardInterrupt):
        print("stopped; the same command goes on from there", file=sys.stderr)
        return EXIT_INTERRUPTED
    print((options.out / "ablations.md").read_text(encoding="utf-8"))
    return 0


def _selecting() -> str:
    """The recogniser of the drawn world, as the cohort is drawn; where its weights are not there, the usual one."""
    return "world" if (world.folder() / "model.safetensors").is_file() else SELECTING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
