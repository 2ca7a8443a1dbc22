"""What the measures of looks, copying and identity find, on faults that were planted on the cohort's people.

    python scripts/evaluate_measures.py --out docs/pocket/measures.json

An examiner knows a person by selfies, two of them held out, and all with a painted mole. Other pictures of the person get a
fault; a measure that is worth something lies beyond its limit then, and the others do not. Two ways:

selfies: six selfies are known, and the next four get the faults, so that camera and light are the same kind
portraits: ten selfies are known, and the four portraits get the faults, as what an adapter draws are portraits too

Judged four together, as a certificate does, and each alone, as the gate does.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image
from tqdm import tqdm

from inference.gates import recognised_above
from likeness import files, resources
from likeness.faces import Face, FaceEmbedder, FaceFinder, embedder
from likeness.faces.arrays import Floats, Pixels
from likeness.faces.drift import MEASURES
from likeness.faces.examiner import Examiner, Findings
from scripts import plants

Way = Literal["selfies", "portraits"]
KNOWN: dict[Way, int] = {"selfies": 6, "portraits": 10}
HELD_OUT, PICTURES = 2, 4
LOOKS = frozenset(str(measure.kind) for measure in MEASURES.values())


def pictures_of(person: Path, kind: str) -> list[Pixels]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(person.glob(f"{kind}_*.jpg"))]


def impostors_of(people: Sequence[Path], finder: FaceFinder, recogniser: FaceEmbedder) -> dict[str, list[Floats]]:
    """Unit vectors of two selfies of everybody, by name: an examiner of one person holds the others' against them."""
    found = {}
    for person in tqdm(people, "impostors"):
        shown = [(rgb, finder.find(rgb)) for rgb in pictures_of(person, "selfie")[:2]]
        found[person.name] = [recogniser.embed(rgb, faces[0]) for rgb, faces in shown if faces]
    return found


@dataclass
class Subject:
    """A person whose selfies all show a painted mole, as an examiner knows them, and material for pictures of them.

    trained: known selfies that were not held out.  shots: other pictures with the mole, and their faces; `moleless` are
    the same without.  strangers: selfies of somebody else.
    """

    examiner: Examiner
    accepted_above: float
    has_hair: bool
    trained: list[Pixels]
    shots: list[tuple[Pixels, Face]]
    moleless: list[Pixels]
    strangers: list[Pixels]

    @staticmethod
    def of(
        person: Path, stranger: Path, way: Way, impostors: Mapping[str, Sequence[Floats]], recogniser: FaceEmbedder
    ) -> Subject:
        """`impostors`: as `impostors_of` gives them."""
        finder, known = FaceFinder(), KNOWN[way]
        selfies = pictures_of(person, "selfie")
        drawn = selfies[known : known + PICTURES] if way == "selfies" else pictures_of(person, "headshot")[:PICTURES]
        draw = np.random.default_rng(zlib.crc32(person.name.encode()))
        faces = [finder.find(rgb)[0] for rgb in (*selfies[:known], *drawn)]
        marked = [
            plants.with_mole(rgb, face, tuple(draw.normal(0, 1, 2)))
            for rgb, face in zip((*selfies[:known], *drawn), faces, strict=True)
        ]
        names = [(f"{number}.jpg", rgb) for number, rgb in enumerate(marked[:known])]
        examiner = Examiner(names, {name for name, _ in names[known - HELD_OUT :]}, finder, recogniser)
        others = [vector for name in impostors if name != person.name for vector in impostors[name]]
        return Subject(
            examiner,
            recognised_above(examiner.reference, others),
            json.loads((person / "person.json").read_text())["identity"]["hair"] != "bald",
            marked[: known - HELD_OUT],
            list(zip(marked[known:], faces[known:], strict=True)),
            drawn,
            pictures_of(stranger, "selfie")[:PICTURES],
        )

    def look(self, pictures: Sequence[Pixels]) -> list[Findings]:
        """The findings on pictures; those without a face are left out, as they are by a certificate."""
        examined = [self.examiner.examine(rgb) for rgb in pictures]
        return [item[0] for item in examined if item]

    def beyond(self, found: Sequence[Findings]) -> set[str]:
        """Which kinds of measure lie beyond their limits, of pictures together."""
        drifts = self.examiner.looks.drifts([item.looks for item in found])
        kinds = {str(MEASURES[name].kind) for name, drift in drifts.items() if drift.beyond}
        stranger = np.mean([item.cosine for item in found]) <= self.accepted_above
        return (
            kinds
            | ({"identity"} if stranger else set())
            | ({"copy"} if any(item.copied for item in found) else set())
            | ({"setting"} if any(item.setting_copied for item in found) else set())
        )

    def cut_out(self) -> list[tuple[Pixels, Floats]]:
        return [(rgb, self.examiner.finder.person_mask(rgb)) for rgb, _ in self.shots]

    def before(self, others: Sequence[Pixels]) -> list[Pixels]:
        """The person before the backgrounds of other pictures."""
        return [plants.with_background(*item, other) for item, other in zip(self.cut_out(), others, strict=True)]

    def greyed(self) -> list[Pixels]:
        masks = [mask for _, mask in self.cut_out()]
        return (
            [plants.greyed(*shot, mask) for shot, mask in zip(self.shots, masks, strict=True)] if self.has_hair else []
        )


@dataclass(frozen=True)
class Plant:
    """A fault: the kind of measure that is its own (None where nothing is wrong), what else it truly changes, how it is made.

    `make` gives the pictures, none where a person cannot have the fault.
    """

    own: str | None
    make: Callable[[Subject], list[Pixels]]
    also: frozenset[str] = frozenset()


PLANTS: dict[str, Plant] = {
    "none": Plant(None, lambda one: [rgb for rgb, _ in one.shots]),
    "skin lightened by 18 L*": Plant("skin", lambda one: [plants.lightened(*shot) for shot in one.shots]),
    "face thinned to 0.84": Plant("shape", lambda one: [plants.thinned(*shot) for shot in one.shots]),
    "skin blurred": Plant("texture", lambda one: [plants.blurred_skin(*shot) for shot in one.shots]),
    "mole removed": Plant("marks", lambda one: one.moleless),
    "hair greyed": Plant("hair", Subject.greyed),
    "another person": Plant("identity", lambda one: one.strangers, LOOKS),
    "a new background": Plant(None, lambda one: one.before(one.strangers)),
    "a known selfie's background": Plant("setting", lambda one: one.before(one.trained[:PICTURES])),
    "a known selfie": Plant("copy", lambda one: one.trained[:PICTURES], frozenset({"setting"})),
}


def evaluate(subject: Subject) -> dict[str, tuple[set[str], list[set[str]]]]:
    """By plant, which kinds of measure lie beyond their limits: of the pictures together, and of each alone."""
    result = {}
    for name, plant in PLANTS.items():
        found = subject.look(plant.make(subject))
        if found:
            result[name] = subject.beyond(found), [subject.beyond([one]) for one in found]
    return result


def shares(plant: Plant, moved: Sequence[set[str]]) -> dict[str, Any]:
    """How often its own measure was found, anything else that it does not change, and which of those."""
    others = [kinds - plant.also - {plant.own} for kinds in moved]
    return {
        "of": len(moved),
        "own": None if plant.own is None else float(np.mean([plant.own in kinds for kinds in moved])),
        "others": float(np.mean([bool(kinds) for kinds in others])),
        "which": {kind: float(np.mean([kind in kinds for kinds in others])) for kind in sorted(set().union(*others))},
    }


def report_of(evaluated: Sequence[Mapping[str, tuple[set[str], list[set[str]]]]]) -> dict[str, Any]:
    """By plant, the shares of people by their pictures together, and of pictures each alone."""
    report = {}
    for name, plant in PLANTS.items():
        found = [one[name] for one in evaluated if name in one]
        report[name] = {
            "measure": plant.own,
            "together": shares(plant, [together for together, _ in found]),
            "single": shares(plant, [kinds for _, each in found for kinds in each]),
        }
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the report (JSON)")
    parser.add_argument("--people", type=int, help="only so many, evenly out of all")
    arguments = parser.parse_args()
    everyone, recogniser = resources.cohort_folders(), embedder()
    picked = np.unique(np.linspace(0, len(everyone) - 1, arguments.people or len(everyone)).round().astype(int))
    impostors = impostors_of(everyone, FaceFinder(), recogniser)
    report: dict[str, Any] = {"people": len(picked), "pictures": PICTURES, "held_out": HELD_OUT}
    for way, known in KNOWN.items():
        subjects = (
            Subject.of(everyone[one], everyone[(one + 7) % len(everyone)], way, impostors, recogniser)
            for one in tqdm(picked, way)
        )
        report[way] = {"known": known, "plants": report_of([evaluate(subject) for subject in subjects])}
    files.write_json(arguments.out, report)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
