"""What fits into a graphics card: memory to train and to draw with the published bases, computed, not measured.

    python scripts/memory_plan.py [--json] [--write] [--base z-image ...]

Prints a table for docs/memory.md, or everything as JSON. --write keeps the numbers where `likeness bases` reads them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from likeness import files, resources
from likeness.bases import CARDS, PLAN, SIDES, KnownBase, Needs, Precision, known_bases, needs
from training.memory_plan import compute

TRAINING: tuple[tuple[Precision, bool], ...] = (
    ("bf16", False),
    ("bf16", True),
    ("int8", True),
    ("nf4", True),
)
FULL = {"by default": False, "spare": True}
DRAWING: tuple[tuple[Precision, bool], ...] = (("bf16", False), ("int8", False), ("nf4", False), ("bf16", True))


def training_table(plans: dict[str, Needs], px: int) -> str:
    """GiB by way of training, in rounds and at once, and the quickest way that fits each card."""
    rows, heads = [], [f"{precision}{', checkpointed' * kept}" for precision, kept in TRAINING]
    for name, plan in plans.items():
        sizes = [[plan.training(px, *way, rounds) for rounds in (plan.rounds, 1)] for way in TRAINING]
        rows.append([name, *_both(heads, sizes, "in rounds")])
    return _table([f"LoRA at {px} px", *heads, *(f"{card} GB" for card in CARDS)], rows)


def full_table(plans: dict[str, Needs], px: int) -> str:
    """GiB to train the whole denoiser, and the roomiest way that fits each card."""
    rows = []
    for name, plan in plans.items():
        ways = {way: plan.full_training(px, spare) for way, spare in FULL.items()}
        rows.append([name, *(f"{size:.1f}" for size in ways.values()), *(_first(ways, card) for card in CARDS)])
    return _table([f"DreamBooth at {px} px", *FULL, *(f"{card} GB" for card in CARDS)], rows)


def drawing_table(plans: dict[str, Needs], px: int) -> str:
    """GiB by way of drawing, one picture and as many as are drawn at once, and the quickest way that fits each card."""
    rows, heads = [], [f"{precision}{', offloaded' * offload}" for precision, offload in DRAWING]
    for name, plan in plans.items():
        sizes = [[plan.rendering(px, *way, count) for count in (1, plan.drawn)] for way in DRAWING]
        rows.append([name, *_both(heads, sizes, "singly")])
    return _table([f"pictures of {px} px", *heads, *(f"{card} GB" for card in CARDS)], rows)


def _both(heads: list[str], sizes: list[list[float]], least: str) -> list[str]:
    """Cells of a row: of each way the least and what is usual, then by card the first way that fits, of which `least` may be said."""
    ways: dict[str, float] = {}
    for head, (low, usual) in zip(heads, sizes, strict=True):
        ways |= {head: usual, f"{head}, {least}": low}
    return [*(f"{low:.1f} ({usual:.1f})" for low, usual in sizes), *(_first(ways, card) for card in CARDS)]


def size_table(bases: list[KnownBase], plans: dict[str, Needs]) -> str:
    """Parameters in thousand millions, and of the recipe's LoRA in millions."""
    rows = []
    for base in bases:
        plan = plans[base.name]
        denoiser = plan.parameters[base.family_class.denoiser_folder]
        encoders = sum(count for part, count in plan.parameters.items() if part.startswith("text_encoder"))
        rows.append([base.name, f"{denoiser / 1e9:.2f}", f"{encoders / 1e9:.2f}", f"{plan.lora / 1e6:.0f}"])
    return _table(["base", "denoiser, 10^9", "text encoders, 10^9", "LoRA, 10^6"], rows)


def _first(ways: dict[str, float], card: int) -> str:
    return next((way for way, size in ways.items() if size <= card), "-")


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--base", nargs="*", help="names of bases, or their Hub ids; all")
    options = parser.parse_args()
    bases = [base for base in known_bases() if not options.base or {base.name, base.hub} & set(options.base)]
    strange = set(options.base or []) - {name for base in bases for name in (base.name, base.hub)}
    if strange:
        parser.error(
            f"no base is called {', '.join(sorted(strange))}; there are: {', '.join(base.name for base in known_bases())}"
        )
    plans = {}
    for base in bases:
        print(base.name, file=sys.stderr, flush=True)
        plans[base.name] = compute(base)
    values = {name: plan.model_dump(mode="json") for name, plan in plans.items()}
    if options.write:
        # What is there may be of an older form; it is read only for what was not computed anew.
        known = plans if len(plans) == len(known_bases()) else needs() | plans
        kept = {base.name: known[base.name].model_dump(mode="json") for base in known_bases()}
        files.write_json(resources.assets() / "bases" / PLAN, kept)
    if options.json:
        print(json.dumps(values, indent=1))
        return
    tables = [size_table(bases, plans)]
    tables += [table(plans, px) for table in (training_table, full_table, drawing_table) for px in SIDES]
    print("\n\n".join(tables))


if __name__ == "__main__":
    main()
