"""What a person's headshots are drawn with, as somebody chose it, and the renderer that is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inference.references import choose
from inference.renderer import Renderer, revision_of
from likeness.adapter import read_info
from likeness.errors import LikenessError
from likeness.families import Quantization, family_class, family_named
from likeness.families.variant import find_variant
from likeness.person import Person


@dataclass(frozen=True)
class Choice:
    """What is drawn with: the adapter; base and device, where they are not the usual ones; variant and selfies to look at."""

    adapter: Path
    base: str | None
    weight: float
    device: str | None
    variant: str | None
    references: int
    accept_license: bool
    quantize: str
    offload: bool


def renderer_of(person: Person, chosen: Choice) -> Renderer:
    """Loads the base with the adapter, the variant and the reference photos.

    Raises LikenessError for what does not go together, and for an adapter of somebody else, whose consent is not the person's to give.
    """
    info = read_info(chosen.adapter)
    selfies = person.selfies_by_digest()
    if info and info.trained and selfies and selfies.keys().isdisjoint(info.trained):
        what = "this adapter was trained on none of this person's selfies: whom it draws may not have agreed"
        raise LikenessError(
            what, "Render it for whom it was trained on, or put the selfies back as they were", chosen.adapter
        )
    base = chosen.base or (info.base if info else "pocket")
    family = family_named(info.family) if info else family_class(base)
    revision = revision_of(base, chosen.adapter)
    variant = find_variant(family, chosen.variant, base, revision) if chosen.variant else None
    if variant and variant.base and chosen.base:
        raise LikenessError("this variant is a base of its own", "Give --base or --variant, not both")
    photos = []
    if chosen.references:
        family.reference_arguments([])  # a family that takes none is told before faces are looked for
        photos = choose(person, chosen.adapter, chosen.references)
    return Renderer(
        base,
        chosen.adapter,
        chosen.device,
        weight=chosen.weight,
        variant=variant,
        references=photos,
        accept_license=chosen.accept_license,
        quantize=Quantization.parse({"kind": chosen.quantize, "text_encoders": True}),
        offload=chosen.offload,
    )
