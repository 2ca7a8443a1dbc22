"""The configuration of a training run: composed of the settings of its parts, each of which is kept beside its code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from likeness import resources
from likeness.adapter import LoraSettings
from likeness.bases import known_bases
from likeness.families import Quantization
from likeness.person import check_name
from likeness.pivotal import PivotalSettings
from likeness.settings import Settings
from training.averaging import AveragingSettings
from training.checkpoint import CheckpointSettings
from training.data import DataSettings
from training.evaluation import EvaluationSettings
from training.model import DreamboothSettings, trains_text
from training.objective import ObjectiveSettings
from training.optim import OptimSettings
from training.samples import SampleSettings
from training.selection import SelectionSettings
from training.tracking import TrackingSettings

_MAY_CHANGE = (
    "person",
    "accept_license",
    "steps",
    "checkpoint",
    "tracking",
    "evaluation",
    "samples",
    "gradient_accumulation",
    "gradient_checkpointing",
)
"""Keys that a run can be gone on with when they have changed. Other ``steps`` are another curve of the learning rate from there on,
unless its schedule is constant, and another pivot; none of the others changes what the steps compute, but what
`training.resume` looks after where there is lora.dropout."""


class TrainConfig(Settings):
    """One run: whose face, on which base, how."""

    person: Path
    """Their folder, such as people/ana."""
    base: str = "pocket"
    """ "pocket", a folder in diffusers layout, a Hub id, or a .safetensors checkpoint of Stable Diffusion 1.5 or XL."""
    revision: str | None = None
    """Of a Hub id: a commit's hash, a branch or a tag; none means the newest. The adapter records the hash."""
    accept_license: bool = False
    """To be set by who has read the base's licence, where that is not open to everybody."""
    name: str = ""
    """Of the run and the adapter; empty means one made of base and method, such as pocket-lora."""
    method: Literal["lora", "dreambooth"] = "lora"
    """An adapter beside the base's weights, or all of its denoiser's weights."""
    trigger: str = "sks"
    """A rare word that comes to mean the person."""
    class_word: str = "person"
    """What the person is one of. Say no more: what they look like is learnt from the photos."""
    seed: int = 0
    """Of everything that is drawn by lot: the order of the photos, noise, the adapter's first weights."""
    steps: int = Field(1000, ge=1)
    """Steps of the optimiser."""
    batch_size: int = Field(4, ge=1)
    """Photos in one optimiser step, over all processes and accumulation rounds. The result does not depend on those, but with lora.dropout,
    which is drawn for the whole share of a process and round at once."""
    gradient_accumulation: int = Field(1, ge=1)
    """Rounds that a step's batch is split into, to need less memory."""
    gradient_checkpointing: bool = False
    """Make activations again in the backward pass rather than keep them: less memory, more time (docs/memory.md)."""
    mixed_precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """What is trained stays in fp32; this is what the rest is kept and computed in."""
    compile: Literal["inductor", "cudagraphs", "aot_eager"] | None = None
    """torch.compile's backend for the denoiser's blocks. On a GPU "inductor" makes steps shorter (docs/performance.md); none,
    because it has to compile first, and needs a C++ compiler or Triton."""
    quantize: Quantization = Quantization()
    """Of the frozen base: not at all, for it costs time and, in 4 bits, a little likeness to the base."""
    lora: LoraSettings = LoraSettings()
    dreambooth: DreamboothSettings = DreamboothSettings()
    pivotal: PivotalSettings = PivotalSettings()
    data: DataSettings = DataSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    optim: OptimSettings = OptimSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    samples: SampleSettings = SampleSettings()
    selection: SelectionSettings = SelectionSettings()
    averaging: AveragingSettings = AveragingSettings()
    tracking: TrackingSettings = TrackingSettings()

    @classmethod
    def load(cls, yaml_path: Path | None, overrides: Sequence[str] = ()) -> Self:
        """As all settings; `configs/pocket.yaml` is the packaged one where there is no such file."""
        return super().load(yaml_path and resources.config(yaml_path), overrides)

    @model_validator(mode="after")
    def _averages_products(self) -> TrainConfig:
        if self.averaging.last and self.method == "lora" and self.lora.dora:
            # DoRA divides by the length of W + B A, so that no product of means does what the mean of it did.
            raise ValueError("averaging.last 0 with lora.dora")
        return self

    @model_validator(mode="after")
    def _has_a_rank(self) -> TrainConfig:
        if self.objective.least_rank < 1 and self.method != "lora":
            raise ValueError("objective.least_rank 1 with method=dreambooth: whole weights have no rank to lower")
        return self

    @field_validator("name")
    @classmethod
    def _safe_name(cls, name: str) -> str:
        return check_name(name, "run's name") if name else name

    @model_validator(mode="after")
    def _words_need_an_adapter(self) -> TrainConfig:
        if self.pivotal.tokens and self.method != "lora":
            raise ValueError("pivotal.tokens 0 with method=dreambooth: new words are trained beside a LoRA")
        return self

    @model_validator(mode="after")
    def _quantised_is_frozen(self) -> TrainConfig:
        if self.quantize.kind != "none" and self.method != "lora":
            raise ValueError("quantize.kind none with method dreambooth: only what is frozen can be quantised")
        if self.quantize.kind != "none" and self.quantize.text_encoders and self.trains_text:
            raise ValueError("quantize.text_encoders false where text encoders or new words are trained")
        return self

    @property
    def run_name(self) -> str:
        """The name of the run's and the adapter's folder."""
        base = "".join(letter if letter.isalnum() else "-" for letter in Path(self.base).name.lower()).strip("-")
        return self.name or check_name(f"{base or 'base'}-{self.method}"[:64], "run's name: set name=...")

    @property
    def trains_text(self) -> bool:
        """Whether the text encoders learn too, so that prompts cannot be encoded once for all."""
        return trains_text(self.method, self.lora, self.dreambooth, self.pivotal)

    @property
    def trigger_words(self) -> str:
        """What calls the person up: the new words, if any are trained, else ``trigger``."""
        return "".join(self.pivotal.words) or self.trigger

    @property
    def pivot(self) -> int:
        """The step from which new words stand still."""
        return round(self.pivotal.until * self.steps)

    @property
    def prior_slots(self) -> int:
        """Prior samples in one step."""
        prior = self.objective.prior
        return 0 if prior.mode == "none" or prior.weight == 0 else prior.batch_size or self.batch_size


def usual_recipe(overrides: Sequence[str]) -> Path | None:
    """The packaged recipe of the base that overrides name ("pocket" where they name none); None of one that is not known."""
    named = [
        value.strip(" '\"") for key, _, value in (one.partition("=") for one in overrides) if key.strip() == "base"
    ]
    base = named[-1] if named else "pocket"
    recipes = {known.hub: known.recipe for known in known_bases()} | {"pocket": "pocket.yaml"}
    return resources.configs() / recipes[base] if base in recipes else None


def differing_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The dotted keys that differ between two resolved configurations, those left out that a run may change on its way."""
    flat_old, flat_new = dict(_flat(old)), dict(_flat(new))
    keys = [key for key in sorted(flat_old.keys() | flat_new.keys()) if key.split(".")[0] not in _MAY_CHANGE]
    return [key for key in keys if flat_old.get(key) != flat_new.get(key)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
