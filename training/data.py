"""A person's portraits as the steps see them, and which of them falls to which slot of a step.

A step trains ``batch_size`` slots, whatever the number of processes and accumulation rounds they are spread over. All
that is random about a slot is a function of (seed, stream, identity, step, slot): photo order, crop, timestep, noise,
caption dropout, posterior sample. So a resumed run and a run on more processes draw the same.

Portraits of one resolution and shape make a bucket, whose tensors can be stacked. All slots of a step, the prior's too,
come from one bucket; which one is a function of (seed, step), so that people who are trained side by side meet in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from likeness import randomness
from likeness.faces.framing import Crop
from likeness.settings import Settings
from training.captions import worded
from training.crops import Shape
from training.moved import MovedSettings
from training.variety import PhotosBy


def _listed(value: Any) -> Any:
    """One value, or none, as a list."""
    return value if isinstance(value, list | tuple) else [] if value is None else [value]


class DataSettings(Settings):
    """What of the prepared portraits is trained on."""

    resolution: Annotated[list[Annotated[int, Field(ge=8)]], BeforeValidator(_listed)] = []
    """Width in px, or a list of widths; none means the base's own."""
    shape: Annotated[list[Shape], BeforeValidator(_listed), Field(min_length=1)] = ["square"]
    """Of the portraits, or a list of shapes: "portrait" is 4:5. Square is what most bases were trained on first."""
    photos: int | None = Field(None, ge=1)
    """At most so many selfies of those that are not held out; none means all. To compare numbers of them: three are
    among the five, and five among the eight. The others report as held-out ones do."""
    photos_by: PhotosBy = "drawn"
    """Which these are: "varied", those that differ most in pose and light, "alike", those that differ least, or "drawn", any, so that
    a comparison of numbers says what the number does. Which are held out does not depend on it."""
    crops: list[Crop] = Field(["full", "shoulders", "close"], min_length=1)
    """How closely portraits are cut: the whole photograph, head and shoulders, the face. A photograph that gives none of these, but all of which is nearly one, for it was taken closely, stands for that."""
    flip: bool = False
    """Train on mirrored portraits as well. Off, because faces are not symmetric: a parting, a mole, a crooked smile would
    be taught on both sides, and the mirrored person is not who others know."""
    caption_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of samples trained without their caption. It teaches the person to the unconditional prediction as well,
    which guidance then subtracts."""
    moved: MovedSettings = MovedSettings()
    sample_posterior: bool = True
    """Sample the VAE's posterior anew in every slot, instead of taking its mean."""

    @model_validator(mode="after")
    def _chooses_from_more(self) -> DataSettings:
        if self.photos_by != "drawn" and self.photos is None:
            raise ValueError(f"data.photos, how many selfies, with data.photos_by {self.photos_by}")
        return self

    def buckets(self, own: int) -> list[tuple[int, Shape]]:
        """Every (resolution, shape) once, in order; ``own`` is the base's resolution."""
        widths = self.resolution or [own]
        return list(dict.fromkeys((width, shape) for width in widths for shape in self.shape))


@dataclass(frozen=True)
class Example:
    """One crop of one photo, encoded. Tensors are on the CPU in float32."""

    mean: Tensor
    """Of the scaled latents, (C, h, w)."""
    std: Tensor
    mask: Tensor
    """Face weight at the latents' resolution, (1, h, w) in [0, 1]."""
    caption: str
    """With "{subject}" where the person stands."""
    photo: str
    """Digest of the selfie that it was cut from."""
    original: tuple[int, int] = (0, 0)
    """Height and width in px before it was scaled; 0 where nothing was."""
    points: Tensor = field(default_factory=lambda: torch.full((5, 2), torch.nan))
    """Eyes, nose tip and mouth corners in px of the portrait; NaN where nobody looked or no face was found."""
    moved: Sequence[Example] = ()
    """The same portrait cut a little aside (training/moved.py)."""


@dataclass(frozen=True)
class Batch:
    """The slots of one forward pass: tensors (B, ...) in float32, on the CPU."""

    latents: Tensor
    noise: Tensor
    quantiles: Tensor
    """Of the timestep density, in [0, 1)."""
    masks: Tensor
    originals: Tensor
    """Heights and widths in px before scaling, (B, 2) int64; 0 where nothing was scaled."""
    prompts: list[str]
    points: Tensor
    """Of the faces, (B, 5, 2) in px, NaN where unknown."""


class Portraits:
    """Examples grouped by photo, in an order that does not depend on how they were read."""

    def __init__(self, examples: Sequence[Example]) -> None:
        groups: dict[str, list[Example]] = {}
        for example in examples:
            groups.setdefault(example.photo, []).append(example)
        self.photos: list[list[Example]] = [groups[photo] for photo in sorted(groups)]
        self.identity: str = hashlib.sha256("".join(sorted(groups)).encode()).hexdigest()[:32]
        """Names whose photos these are in the keys of random draws."""

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def captions(self) -> list[str]:
        """Every different caption, sorted."""
        return sorted({example.caption for photo in self.photos for example in photo})


@dataclass(frozen=True)
class Sampler:
    """Deals portraits, noise and timesteps to one role's slots: the person's, or the prior's."""

    buckets: Sequence[Portraits]
    subject: str
    """Stands in the captions where "{subject}" is."""
    seed: int
    identity: str
    role: Literal["person", "prior"]
    slots: int
    """In one step, over all processes."""
    stratified: bool
    sample_posterior: bool
    noise_offset: float
    caption_dropout: float = 0.0
    prompts: Sequence[str] = ()
    """Drawn from in place of the portraits' captions, if there are any."""
    moved_below: float = 0.0
    """Quantile of the timestep density below which a portrait's moved copies stand in for it as often as it comes itself."""

    def all_prompts(self) -> list[str]:
        """Every prompt that a batch can hold."""
        captions = {worded(caption, self.subject) for portraits in self.buckets for caption in portraits.captions}
        return list(self.prompts or sorted(captions)) + ([""] if self.caption_dropout else [])

    def batch(self, step: int, slots: range) -> Batch:
        """The given slots of a step."""
        drawn = [self._slot(step, slot) for slot in slots]
        return Batch(
            latents=torch.stack([latents for latents, *_ in drawn]),
            noise=torch.stack([noise for _, noise, *_ in drawn]),
            quantiles=torch.tensor([self._quantile(step, slot) for slot in slots], dtype=torch.float64).float(),
            masks=torch.stack([example.mask for *_, example, _ in drawn]),
            originals=torch.tensor([example.original for *_, example, _ in drawn]),
            prompts=[prompt for *_, prompt in drawn],
            points=torch.stack([example.points for *_, example, _ in drawn]),
        )

    def place_dropout(self, step: int, slot: int) -> None:
        """Dropout draws from torch's own generator: puts it where it is for a share of the slots that begins with this one.

        So a step is the same after a restart; but what a slot drops depends on which share it is in.
        """
        randomness.place_torch(*self._key("dropout", step, slot))

    def _slot(self, step: int, slot: int) -> tuple[Tensor, Tensor, Example, str]:
        portraits = self.buckets[self._bucket(step)]
        photo = portraits.photos[self._photo(portraits, step, slot)]
        example = photo[randomness.integer(len(photo), *self._key("crop", step, slot))]
        if example.moved and self._quantile(step, slot) < self.moved_below:
            copies = [example, *example.moved]
            example = copies[randomness.integer(len(copies), *self._key("moved", step, slot))]
        shape = tuple(example.mean.shape)
        latents = example.mean
        if self.sample_posterior:
            latents = latents + example.std * randomness.normal(shape, *self._key("posterior", step, slot))
        noise = randomness.normal(shape, *self._key("noise", step, slot))
        if self.noise_offset:
            constant = randomness.normal((shape[0], 1, 1), *self._key("noise-offset", step, slot))
            noise = noise + self.noise_offset * constant
        return latents, noise, example, self._prompt(example, step, slot)

    def _bucket(self, step: int) -> int:
        """Every bucket comes once in each pass over the buckets; whose photos they are must not matter."""
        round_, place = divmod(step, len(self.buckets))
        return int(randomness.permutation(len(self.buckets), self.seed, "bucket-order", round_)[place])

    def _photo(self, portraits: Portraits, step: int, slot: int) -> int:
        """Every photo comes once in each pass over the photos of a bucket; every pass has an order of its own."""
        seen = step // len(self.buckets)  # as often has this bucket come before
        round_, place = divmod(seen * self.slots + slot, len(portraits))
        return int(randomness.permutation(len(portraits), *self._key("photo-order", round_))[place])

    def _quantile(self, step: int, slot: int) -> float:
        if not self.stratified:
            return randomness.uniform(*self._key("timestep", step, slot))
        return (randomness.uniform(*self._key("timestep", step)) + slot / self.slots) % 1.0

    def _prompt(self, example: Example, step: int, slot: int) -> str:
        if (
            self.caption_dropout
            and randomness.uniform(*self._key("caption-dropout", step, slot)) < self.caption_dropout
        ):
            return ""
        if self.prompts:
            return self.prompts[randomness.integer(len(self.prompts), *self._key("prompt", step, slot))]
        return worded(example.caption, self.subject)

    def _key(self, stream: str, *counters: int) -> tuple[int, str, str, *tuple[int, ...]]:
        return self.seed, f"{self.role}-{stream}", self.identity, *counters


def joined(batches: Sequence[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, noise and quantiles of several batches, one after the other."""
    columns = ((batch.latents, batch.noise, batch.quantiles) for batch in batches)
    latents, noise, quantiles = (torch.cat(column) for column in zip(*columns, strict=True))
    return latents, noise, quantiles
