"""The index of one render, `headshots.json`: every candidate that was drawn, what the gates said of it, and what was kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference.ranking import Assessment
from likeness import files
from likeness.errors import LikenessError
from likeness.gates import Failure, GateName, Gates

INDEX = "headshots.json"

_REMEDIES: dict[GateName, str] = {
    "faults": "try another seed, or fewer words of your own",
    "skin": "train on selfies in more different light",
    "shape": "train longer, or on more selfies seen from the front",
    "texture": "use a base that draws larger pictures",
    "marks": "train on sharper selfies",
    "hair": "train on selfies on which the hair is seen, in more different light",
    "copying": "train for fewer steps, or on more selfies",
    "setting": "train on selfies from more places",
    "likeness": "train longer, or on more selfies",
}


@dataclass(frozen=True)
class Candidate:
    """One picture that was drawn. file: its name while it is there; passes: whether no gate rejected it."""

    seed: int
    file: str | None
    passes: bool
    assessment: Assessment


@dataclass(frozen=True)
class Index:
    """One render. headshots: the kept ones, best first; not_kept: the others, in the order of drawing."""

    style: str
    adapter_sha256: str | None
    asked: int
    gates: Gates
    headshots: tuple[Candidate, ...]
    not_kept: tuple[Candidate, ...]

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return (*self.headshots, *self.not_kept)

    @property
    def complete(self) -> bool:
        """Whether there are as many as were asked for: a render that was killed has fewer."""
        return len(self.headshots) >= self.asked

    @property
    def passed(self) -> int:
        """How many candidates passed the gates as they were set."""
        return sum(candidate.passes for candidate in self.candidates)

    def shortfall(self) -> str:
        """In words: that fewer headshots pass than were asked for, why, and what to do. Empty when enough do."""
        if self.passed >= self.asked:
            return ""
        reasons = [failure for one in self.candidates for failure in self.gates.rejecting(one.assessment.failures)]
        often = Counter(failure.what for failure in reasons).most_common()
        gates = [gate for gate, _ in Counter(failure.gate for failure in reasons).most_common()]
        rest = sum(not candidate.passes for candidate in self.headshots)
        return (
            f"{self.passed} of {self.asked} headshots pass, of {len(self.candidates)} candidates drawn. "
            f"Rejected for: {', '.join(f'{what} ({count})' for what, count in often) or 'nothing'}. "
            f"The best {rest} of the rest are kept as *-not-passing. "
            f"What may help: {'; '.join(_REMEDIES[gate] for gate in gates[:2])}; "
            f"draw more (--max-oversample); or be told only (--gate {gates[0] if gates else 'skin'}=warn)."
        )

    def write(self, folder: Path) -> None:
        """Writes it into the folder of the render."""
        record = {
            "style": self.style,
            "adapter_sha256": self.adapter_sha256,
            "asked": self.asked,
            "drawn": len(self.candidates),
            "passed": self.passed,
            "gates": self.gates.model_dump(),
            "headshots": [_entry(candidate) for candidate in self.headshots],
            "not_kept": [_entry(candidate) for candidate in self.not_kept],
        }
        files.write_json(folder / INDEX, record)


def read_index(path: Path) -> Index:
    """The index at `path`. Raises LikenessError when it is not one."""
    record = _read_json(path)
    try:
        return Index(
            record["style"],
            record["adapter_sha256"],
            int(record["asked"]),
            Gates.parse(record["gates"], path),
            tuple(_candidate(entry) for entry in record["headshots"]),
            tuple(_candidate(entry) for entry in record["not_kept"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path) from error


def read_record(path: Path) -> dict[str, Any]:
    """The record beside a headshot. Raises LikenessError when it is not one."""
    record = _read_json(path)
    try:
        str(record["assessment"]["recogniser"])
        max((0, *record.get("drawn_size", ())))
        return dict(record)
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path) from error


def _read_json(path: Path) -> Any:
    """What a JSON file beside headshots holds. Raises LikenessError when it cannot be read."""
    try:
        return files.read_json(path)
    except ValueError as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> LikenessError:
    return LikenessError(
        "is no index or record of headshots", "Remove this folder of headshots, or draw them again", path
    )


def _entry(candidate: Candidate) -> dict[str, Any]:
    about = {"file": candidate.file, "seed": candidate.seed, "passes": candidate.passes}
    return about | asdict(candidate.assessment)


def _candidate(entry: dict[str, Any]) -> Candidate:
    if entry["file"] is not None and Path(entry["file"]).name != entry["file"]:
        raise ValueError("a headshot lies beside its index")
    failures = tuple(Failure.read(failure) for failure in entry["failures"])
    assessment = Assessment(entry["likeness"], entry["raw"], failures, bool(entry["measured"]))
    return Candidate(int(entry["seed"]), entry["file"], bool(entry["passes"]), assessment)
