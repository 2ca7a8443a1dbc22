"""Where the files that ship with the package are, and which base model a name means."""

from __future__ import annotations

import re
from pathlib import Path

from likeness.errors import LikenessError
from likeness.files import expanded

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def assets() -> Path:
    """The folder of the packaged data: the pocket base, the face models, the synthetic cohort."""
    return Path(__file__).resolve().parent / "assets"


def cohort_folders() -> list[Path]:
    """The folder of every person of the bundled cohort, called by their name; sorted."""
    return sorted(path.parent for path in (assets() / "cohort").glob("*/person.json"))


def cohort(each: int, but: str = "") -> list[list[Path]]:
    """Selfies, `each` at most, of every person of the bundled cohort; of all but the one of that name."""
    return [sorted(folder.glob("selfie_*.jpg"))[:each] for folder in cohort_folders() if folder.name != but]


def cohort_portraits(name: str) -> list[Path]:
    """The studio portraits of the person of that name in the bundled cohort; none of anybody else."""
    return sorted((assets() / "cohort" / name).glob("headshot_*.jpg"))


def configs() -> Path:
    """The folder of the packaged configurations: inside the package when installed, else the repository's own."""
    packaged = Path(__file__).resolve().parent / "configs"
    return packaged if packaged.is_dir() else packaged.parents[1] / "configs"


def config(path: Path) -> Path:
    """The file itself, else the packaged one of that name: `configs/pocket.yaml` is meant wherever the command is run."""
    packaged = configs() / path.name
    named = path.parent in (Path(), Path("configs"))
    return packaged if named and not path.exists() and packaged.is_file() else path


def without_path(base: str) -> str:
    """What a base is called where others may read it: of a folder or file its name, for a path tells where somebody keeps theirs."""
    if base == "pocket" or (_HUB_ID.fullmatch(base) and not Path(base).exists()):
        return base
    # Nobody's own base is the packaged one, whatever its folder is called.
    return Path(base).name if Path(base).name != "pocket" else "./pocket"


def base(name_or_path: str) -> str:
    """What to load for a base model: "pocket" (packaged), a folder in diffusers layout, a checkpoint in one file, or a Hub
    id "org/name".

    A Hub id is returned as it is, without asking whether it exists. Raises LikenessError for anything else.
    """
    folder = assets() / "pocket" if name_or_path == "pocket" else expanded(Path(name_or_path))
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise LikenessError(
                "this folder is not a base model: it has no model_index.json",
                "Give a folder that a diffusers pipeline was saved to",
                folder,
            )
        return str(folder)
    if folder.is_file():
        if folder.suffix != ".safetensors":
            what = (
                "this file is not a base model: a checkpoint is read as .safetensors alone, for a pickle can run code"
            )
            raise LikenessError(what, "Convert it, or give a folder in diffusers layout", folder)
        return str(folder)
    if not folder.exists() and _HUB_ID.fullmatch(name_or_path):
        return name_or_path
    raise LikenessError(
        f"there is no base model {name_or_path!r}",
        'Use "pocket", a folder in diffusers layout, a .safetensors checkpoint, or a Hugging Face id such as "org/name"',
    )
