"""``likeness demo``: a bundled person, who does not exist, goes the whole way that a real person goes.

Nothing here is particular to that person: each step is the function behind ``likeness check``, ``train.py`` and ``likeness
render``. What the demo adds is the measurement at the end: how like the held-out selfies the headshots are, against the
same prompts and seeds drawn without the adapter, and against everybody else of the bundled cohort.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from inference.headshots import RenderRequest, render
from inference.ranking import Judge, best_first, judge_of
from inference.renderer import Renderer, RenderJob
from likeness import resources
from likeness.adapter import AdapterInfo, read_info
from likeness.cohort import cohort_person
from likeness.errors import LikenessError
from likeness.faces import FaceFinder, Reference, embedder
from likeness.faces.panel import Panel, Score, cohort_vectors
from likeness.files import read_json, write_image, write_json
from likeness.images import enlarge
from likeness.person import Person
from likeness.sheets import tile
from training.config import TrainConfig
from training.intake import check
from training.intake_report import contact_sheet, print_report
from training.metrics import peak_memory
from training.run import train

PERSON = "p900000"
STYLES = ("corporate", "warm-studio", "black-and-white", "outdoor", "office", "academic", "creative", "medical")
SELFIES_OF_OTHERS = 2
"""Enough to tell 47 others apart from the person; each costs an eighth of a second."""
CANDIDATES = 2
"""Drawn for each headshot that is kept."""
SIZE, COLUMNS = 512, 8


def demo(into: Path, count: int, overrides: list[str], console: Console) -> Path:
    """Runs all of it in the folder `into`, going on from what is there; returns the contact sheet.

    `count`: headshots of each style. `overrides`: settings of the training as key=value. Raises LikenessError.
    """
    started = time.monotonic()
    person = cohort_person(into / "people" / PERSON)
    console.rule("1 of 4: the selfies")
    report = check(person.selfies)
    print_report(report, console)
    write_image(into / "selfies.jpg", contact_sheet(report))

    console.rule("2 of 4: training")
    recipe = resources.configs() / "pocket.yaml"
    adapter = train(TrainConfig.load(recipe, [f"person={person.folder}", *overrides]))

    console.rule("3 of 4: headshots")
    info, held_out = _reports(person, adapter)
    judge = judge_of(person, RenderRequest().recogniser, info.trained)
    headshots = _render(person, adapter, judge, count, console)

    console.rule("4 of 4: whom do they look like?")
    without = _without_adapter(headshots, judge, console)
    sheet = _measure(person, held_out, headshots, without, into, console)
    minutes = (time.monotonic() - started) / 60
    console.print(f"{minutes:.1f} minutes, {peak_memory():.1f} GiB of memory at most. The contact sheet:", style="bold")
    console.print(str(sheet), soft_wrap=True)
    return sheet


def _render(person: Person, adapter: Path, judge: Judge, count: int, console: Console) -> list[Path]:
    """The headshots, style by style, best first. The base is loaded once."""
    renderer, made = Renderer(resources.base("pocket"), adapter), []
    for number, style in enumerate(track(STYLES, "Drawing", console=console, transient=True)):
        request = RenderRequest(style=style, count=count, oversample=CANDIDATES, size=SIZE, seed=1000 * number)
        made += [shot.path for shot in render(person, request, renderer, adapter, judge=judge)[1]]
    return made


def _measure(
    person: Person,
    held_out: Collection[str],
    headshots: list[Path],
    without: list[Image.Image],
    into: Path,
    console: Console,
) -> Path:
    """Scores the headshots and what was drawn without the adapter; writes report.json and the contact sheet."""
    records = [_record(path) for path in headshots]
    pictures = [Image.open(path).convert("RGB") for path in headshots]
    panel = _panel(person, held_out, console)
    scores = {"headshots": panel.score(pictures), "without adapter": panel.score(without)}
    about = {"people": 1 + len(panel.others), "held_out": sorted(held_out), "recogniser": panel.embedder.id}
    write_json(into / "report.json", about | {name: asdict(score) for name, score in scores.items()})
    _print_scores(scores, 1 + len(panel.others), console)

    selfies = person.selfie_files()[:COLUMNS]
    tiles = [Image.open(path).convert("RGB") for path in selfies] + pictures
    captions = [f"selfie{', held out' if path.name in held_out else ''}" for path in selfies]
    captions += [f"{record['style']}\nlikeness {record['assessment']['likeness'] or 0:.2f}" for record in records]
    sheet = into / "contact-sheet.jpg"
    write_image(sheet, tile(tiles, captions, COLUMNS, 192), quality=90)
    return sheet


def _record(headshot: Path) -> dict[str, Any]:
    record: dict[str, Any] = read_json(headshot.with_suffix(".json"))
    return record


def _without_adapter(headshots: list[Path], judge: Judge, console: Console) -> list[Image.Image]:
    """The same prompts drawn by the base alone: as many candidates, of the same seeds, chosen in the same way."""
    renderer, kept = Renderer(resources.base("pocket")), []
    gates = renderer.family.recipe.gates
    prompts = Counter((_record(path)["prompt"], _record(path)["negative_prompt"]) for path in headshots)
    for number, (prompt, count) in enumerate(
        track(prompts.items(), "Drawing without the adapter", console=console, transient=True)
    ):
        seeds = range(1000 * number, 1000 * number + CANDIDATES * count)
        drawn = renderer.render([RenderJob(*prompt, seed) for seed in seeds])
        drawn = [enlarge(picture, SIZE) for picture in drawn]
        kept += [drawn[place] for place in best_first([judge.assess(picture) for picture in drawn], gates)[:count]]
    return kept


def _reports(person: Person, adapter: Path) -> tuple[AdapterInfo, set[str]]:
    """What the adapter says of itself, and the names of the selfies that it was neither trained on nor chosen by."""
    info = read_info(adapter)
    if info is None or not info.trained or not info.reporting:
        raise LikenessError(
            "this adapter does not say what it was not trained on", "Remove it and run the demo again", adapter
        )
    selfies = person.selfies_by_digest()
    return info, {selfies[digest].name for digest in info.reporting}


def _panel(person: Person, held_out: Collection[str], console: Console) -> Panel:
    finder, recogniser = FaceFinder(), embedder()
    photos = person.selfie_files()
    whole = Reference.of(photos, finder, recogniser)
    reference = whole.subset([row for row, path in enumerate(photos) if path.name in held_out])
    with console.status("Looking at the other people of the cohort"):
        others = cohort_vectors(SELFIES_OF_OTHERS, finder, recogniser, but=person.name)
    return Panel(reference, others.values(), finder, recogniser)


def _print_scores(scores: dict[str, Score], people: int, console: Console) -> None:
    table = Table("", "likeness", f"rank among {people}", "more like them than anyone else", "with a face", box=None)
    for label, score in scores.items():
        table.add_row(label, f"{score.likeness:.2f}", str(score.rank), f"{score.rank_1:.0%}", f"{score.faces:.0%}")
    console.print(table)
    console.print("likeness: 1.00 is how like the person's own photographs are to each other, 0.00 is somebody else.")
