"""The recognisers side by side on the held-out cohort, whose people neither was trained on.

    python scripts/evaluate_recognisers.py --out docs/pocket/recognisers.json

Faces are found and aligned as everywhere else; nothing is told of the truth but whose picture it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image
from tqdm import tqdm

from inference.labels import cohort_labels
from likeness import files, resources
from likeness.faces import FaceEmbedder, FaceFinder, embedder
from scripts.recogniser.learn import judge

FALSE_MATCHES = 0.01, 0.001


def pictures_of(people: Sequence[Path]) -> list[Path]:
    return [path for person in people for path in sorted(person.glob("*.jpg"))]


def look(
    paths: Sequence[Path], finder: FaceFinder, recognisers: Sequence[FaceEmbedder], side: int | None
) -> tuple[list[Path], list[np.ndarray]]:
    """The pictures with a face, and for each recogniser their unit vectors (N, dim); with `side`, reduced to that first."""
    kept: list[Path] = []
    found: list[list[Any]] = [[] for _ in recognisers]
    for path in tqdm(paths, f"faces at {side or 'full'} px"):
        picture = Image.open(path).convert("RGB")
        rgb = np.asarray(picture.resize((side, side), Image.Resampling.BOX) if side else picture)
        faces = finder.find(rgb)
        if faces:
            kept.append(path)
            for row, recogniser in zip(found, recognisers, strict=True):
                row.append(recogniser.embed(rgb, faces[0]))
    return kept, [np.stack(row) for row in found]


def figures(paths: Sequence[Path], vectors: np.ndarray, recogniser: FaceEmbedder) -> dict[str, Any]:
    """What `judge` says, at several shares of false matches, at the recogniser's own threshold, and for each group of people."""
    person = np.unique([path.parent.name for path in paths], return_inverse=True)[1]
    portrait = np.array([path.name.startswith("headshot") for path in paths])
    report: dict[str, Any] = judge(vectors, person, portrait, FALSE_MATCHES[0])
    for name in ("threshold", "false_matches", "true_matches"):
        del report[name]
    cosines = vectors @ vectors.T
    pair = np.triu(np.ones_like(cosines, bool), 1)
    same = person[:, None] == person
    report["true_matches_at_false"] = {
        str(share): float((cosines[pair & same] > np.quantile(cosines[pair & ~same], 1 - share)).mean())
        for share in FALSE_MATCHES
    }
    report["at_own_threshold"] = {
        "threshold": recogniser.threshold,
        "true_matches": float((cosines[pair & same] > recogniser.threshold).mean()),
        "false_matches": float((cosines[pair & ~same] > recogniser.threshold).mean()),
    }
    nearest = person[portrait][cosines[~portrait][:, portrait].argmax(axis=1)] == person[~portrait]
    selfies = [path for path, other in zip(paths, portrait, strict=True) if not other]
    groups: dict[str, list[bool]] = {}
    for path, hit in zip(selfies, nearest, strict=True):
        for attribute, value in cohort_labels(path.parent.name).items():
            groups.setdefault(f"{attribute}: {value}", []).append(bool(hit))
    report["rank_1_of"] = {name: float(np.mean(hits)) for name, hits in sorted(groups.items())}
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the report (JSON)")
    arguments = parser.parse_args()
    people = resources.cohort_folders()
    finder, recognisers = FaceFinder(), [embedder("dlib"), embedder("world")]
    paths = pictures_of(people)
    report: dict[str, Any] = {"people": len(people), "pictures": len(paths)}
    for name, side in (("384 px", None), ("128 px", 128)):
        kept, vectors = look(paths, finder, recognisers, side)
        report[name] = {"with_a_face": len(kept)}
        for recogniser, found in zip(recognisers, vectors, strict=True):
            report[name][recogniser.id] = figures(kept, found, recogniser)
    files.write_json(arguments.out, report)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
