"""Bases that people know by name: where they are published, and the true configurations of their parts.

The parts can be built at full size on the meta device, without weights and without memory: so their parameters can be
counted, and what a step needs can be computed (`scripts/memory_plan.py`). What that found is kept in PLAN, for a command to
read at once; GiB are 2**30 bytes.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from likeness import files, resources
from likeness.families import Family, family_named
from likeness.settings import Settings

Precision = Literal["bf16", "int8", "nf4"]
PLAN = "memory.json"
GIB = 2**30
SIDES = (512, 768, 1024)
"""px of the square pictures that are planned for."""
CARDS = (8, 12, 16, 24, 48, 80)
"""GiB of the usual graphics cards."""
DRAWN = 4
"""Pictures that `likeness render` draws at once, unless it is told otherwise."""

CONTEXT = 0.75 * GIB
"""What CUDA and its libraries take before the first tensor: half a GiB to one, as others report."""
FRAGMENTATION = 1.05
"""What the allocator reserves beyond what is used; a guess on the safe side of what short runs show."""


class Part(Settings):
    """A model of a base: its class in diffusers or transformers, and what of its configuration is not the default."""

    class_name: str
    config: dict[str, Any] = {}

    def build(self) -> Any:
        """The part: a module in float32 on the device that is torch's default there, or a scheduler."""
        import diffusers
        import transformers

        if hasattr(diffusers, self.class_name):
            return getattr(diffusers, self.class_name)(**self.config)
        cls = getattr(transformers, self.class_name)
        return cls(cls.config_class(**self.config))


class KnownBase(Settings):
    """One published base."""

    name: str
    family: str
    hub: str
    licence: str
    recipe: str
    """The file in `configs/` to train it with."""
    resolution: int
    """Side in px of the pictures that it draws."""
    parts: dict[str, Part]
    """By folder, as in the base."""
    scheduler: Part
    conditioning: dict[str, list[int]]
    """Shapes, without the batch, of what `Family.encode_text` makes of the longest prompt."""

    @property
    def family_class(self) -> type[Family]:
        return family_named(self.family)


class Needs(Settings):
    """What `scripts/memory_plan.py` computed for one base: parameters, and bytes.

    A row is one picture in a forward pass: of the person, of the prior, or of the two that guidance takes.
    """

    pictures: int
    """Of the person in one step of the recipe."""
    prior: int
    """Samples of the prior in one step of the recipe, which go through the denoiser with the person's."""
    drawn: int
    """Pictures that are drawn at once, unless one asks for fewer."""
    parameters: dict[str, int]
    """By part."""
    denoiser: dict[Precision, int]
    """Bytes of its weights."""
    text_encoders: dict[Precision, int]
    """Bytes of their weights."""
    vae: int
    """Bytes of its weights in float32."""
    dequantised: int
    """Bytes of the largest matrix, which is made whole again when it is used."""
    offloaded: int
    """Bytes in bf16 of what is on the card at once of a denoiser whose blocks are offloaded."""
    offloaded_text: int
    """The same of the text encoders, whose single layers are offloaded."""
    lora: int
    """Trained parameters of the recipe."""
    step: dict[str, int]
    """Bytes that one row of a training step needs beyond the weights, by "<px>" or "<px> checkpointed"."""
    full_step: dict[str, int]
    """The same of full fine-tuning (method=dreambooth)."""
    drawing: dict[str, int]
    """Bytes that a denoising step with guidance of one picture needs beyond the weights, by "<px>"; in bf16, as the two below."""
    encoding: dict[str, int]
    """Bytes that encoding a portrait needs, by "<px>"."""
    decoding: dict[str, int]
    """Bytes that decoding a picture needs, by "<px>"."""

    @property
    def rounds(self) -> int:
        """The most rounds (`gradient_accumulation`) that a step of the recipe can be split into."""
        return math.gcd(self.pictures, self.prior)

    def training(self, px: int, precision: Precision, checkpointed: bool, rounds: int) -> float:
        """GiB to train the recipe's LoRA, a step in so many rounds: encoding first, then the steps, with pictures between.

        In fewer bits than 16 the text encoders are, too (`quantize.text_encoders`).
        Each trained parameter is there four times in float32: itself, its gradient, and AdamW's two moments. The
        autoencoder works in float32, and stays for the sample pictures.
        """
        encoding = self.text_encoders[precision] + 2 * self.encoding[str(px)]
        steps = self._weights(precision) + 4 * 4 * self.lora
        rows = (self.pictures + self.prior) // rounds
        steps += max(rows * self.step[f"{px}{' checkpointed' * checkpointed}"], 2 * self.decoding[str(px)])
        return _with_overhead(self.vae + max(encoding, steps))

    def full_training(self, px: int, spare: bool) -> float:
        """GiB to train the whole denoiser with gradient checkpointing, a step of the recipe in as many rounds as it can be.

        Of each parameter there are in float32 itself, its gradient, AdamW's two moments and the running average, and in
        bf16 the frozen base of the prior. `spare`: the moments in 8 bits (adamw8bit), no average and no prior.
        """
        encoding = self.text_encoders["bf16"] + 2 * self.encoding[str(px)]
        steps = (4 + 4 + 2 if spare else 4 + 4 + 8 + 4 + 2) * (self.denoiser["bf16"] // 2)
        rows = (self.pictures + (0 if spare else self.prior)) // self.rounds
        steps += max(rows * self.full_step[f"{px} checkpointed"], 2 * self.decoding[str(px)])
        return _with_overhead(self.vae + max(encoding, steps))

    def rendering(self, px: int, precision: Precision, offload: bool = False, count: int = 1) -> float:
        """GiB to draw `count` pictures at once, the adapter not counted. `offload`: the parts wait in the computer's memory.

        In fewer bits than 16 the text encoders are, too. Pictures are decoded one after the other.
        """
        vae, drawing, decoding = self.vae // 2, count * self.drawing[str(px)], self.decoding[str(px)]
        if offload:
            return _with_overhead(vae + max(self.offloaded + drawing, decoding, self.offloaded_text))
        busy = max(drawing, decoding)
        return _with_overhead(self._weights(precision) + self.text_encoders[precision] + vae + busy)

    def _weights(self, precision: Precision) -> int:
        return self.denoiser[precision] + (0 if precision == "bf16" else self.dequantised)


def known_bases() -> list[KnownBase]:
    """All of them, the smallest family first."""
    found = (path for path in (resources.assets() / "bases").glob("*.json") if path.name != PLAN)
    bases = [KnownBase.parse(files.read_json(path), path) for path in found]
    return sorted(bases, key=lambda base: (base.family_class.name not in ("sd15", "sdxl"), base.name))


def needs() -> dict[str, Needs]:
    """What each known base needs, by its name, as it was computed last."""
    values = files.read_json(resources.assets() / "bases" / PLAN)
    return {name: Needs.parse(value) for name, value in values.items()}


def _with_overhead(size: float) -> float:
    return (size * FRAGMENTATION + CONTEXT) / GIB
