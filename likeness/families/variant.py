"""Fast variants: distilled relatives of a base, which take the adapters that were trained on it.

There are two kinds: another base in its place, or a LoRA that is stacked beneath the person's adapter.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from likeness.errors import LikenessError, first_line
from likeness.families import source
from likeness.settings import Settings

if TYPE_CHECKING:
    from likeness.families.base import Family, Recipe

FIRST = "fast"
"""What calls up the variant that a family names first."""


class Variant(Settings):
    """One relative, and how it likes to be drawn where that is not said by the base itself."""

    base: str = ""
    """A base's folder or Hub id, in place of the one that the adapter was trained on."""
    lora: str = ""
    """A .safetensors file, or one on the Hub: owner/name/file.safetensors."""
    weight: float = 1.0
    """Of the LoRA."""
    steps: int | None = Field(None, ge=1)
    guidance_scale: float | None = Field(None, ge=1)
    scheduler: str | None = None
    fits: dict[str, int] = {}
    """What the denoiser's configuration says of the bases whose adapters it takes, where a family's differ in size."""

    @model_validator(mode="after")
    def _one_kind(self) -> Variant:
        if bool(self.base) == bool(self.lora):
            raise ValueError("either base or lora")
        return self

    def over(self, recipe: Recipe) -> Recipe:
        """The base's recipe with what is said here in place of its own, without its eta (few steps would keep the noise), and guided by words."""
        given = self.model_dump(include={"steps", "guidance_scale", "scheduler"}, exclude_none=True)
        return recipe.model_copy(update={"eta": 0.0, "guidance_from": "words"} | given)

    @property
    def lora_licence(self) -> str:
        """What the model card beside the LoRA declares, before it is fetched; "none that its card names" on the Hub without one.

        Empty for a file of one's own that has no card. Raises LikenessError when the Hub does not answer.
        """
        if Path(self.lora).is_file():
            return source.licence(Path(self.lora).parent, "")
        repository, _ = _on_hub(self.lora)
        return source.licence(source.glance(repository), "none that its card names")

    def lora_file(self) -> Path:
        """The LoRA's file, fetched from the Hub when it is not here. Raises LikenessError when there is none."""
        return Path(self.lora) if Path(self.lora).is_file() else _fetch(self.lora)


def find_variant(family: type[Family], name: str, base: str = "", revision: str | None = None) -> Variant:
    """A variant by the family's name for it, by a YAML file, or by a base's folder or Hub id.

    "fast" is the first that takes adapters of `base`, or the family's first where that is not given. A LoRA that the file names may
    lie beside it. Raises LikenessError for what is none of these.
    """
    if name == FIRST and family.variants:
        return _first(family, base, revision)
    if name in family.variants:
        return family.variants[name]
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        variant = Variant.load(path)
        beside = path.parent / variant.lora
        return variant.model_copy(update={"lora": str(beside)}) if variant.lora and beside.is_file() else variant
    if path.is_dir() or "/" in name:
        return Variant(base=name)
    known = ", ".join(family.variants)
    what = f"{family.name} has no variant {name!r}" if name != FIRST else f"no fast variant of {family.name} is known"
    raise LikenessError(what, f"{f'There are: {known}. ' if known else ''}Or give a base's folder, or a YAML file")


def _first(family: type[Family], base: str, revision: str | None) -> Variant:
    """The first variant that takes adapters of `base`, by its configuration: no weights are fetched to find that out."""
    sizes = base and any(variant.fits for variant in family.variants.values())
    config: dict[str, Any] = {}
    names = " or ".join(f"--variant {name}" for name in family.variants)
    if sizes:
        try:
            config = source.part_config(source.glance(base, revision), family.denoiser_folder)
        except LikenessError as error:
            what = f"which fast variant takes this base's adapters cannot be told without it: {error.what}"
            raise LikenessError(what, f"Name it: {names} (docs/rendering.md)", base) from error
    for variant in family.variants.values():
        if not sizes or variant.fits.items() <= config.items():
            return variant
    raise LikenessError(
        f"no fast variant of {family.name} is known for a base of this size", f"There are: {names}", base
    )


def _on_hub(name: str) -> tuple[str, str]:
    """Repository and file of "owner/name/file". Raises LikenessError for what is no such name."""
    owner, _, rest = name.partition("/")
    repository, _, file = rest.partition("/")
    if not file:
        raise LikenessError(
            "there is no such file", "Give its path; a LoRA on the Hub is owner/name/file.safetensors", name
        )
    return f"{owner}/{repository}", file


def _fetch(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    repository, file = _on_hub(name)
    try:
        found: Any = hf_hub_download(repository, file)
        return Path(found)
    except Exception as error:  # offline, gated, misspelt: the message says which
        what = f"no file has this name, and the Hugging Face Hub did not give it: {first_line(error)}"
        raise LikenessError(
            what, "Check the spelling and the connection, or download it and give its path", name
        ) from error
