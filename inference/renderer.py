"""The renderer: one base and one adapter, loaded once; pictures that depend on their own seed and prompt alone.

Every picture starts from `likeness.randomness.normal` keyed by its seed, whatever the batch it is drawn in, and where noise is put
back (`eta`, and the scheduler "lcm") torch's own generator, at the same seed, is where it comes from. Around that
is the stock diffusers pipeline, so that anybody can draw the same picture without us; `docs/rendering.md` shows how.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from inference.face_pass import FacePass
from inference.schedulers import scheduler_named
from likeness import licences
from likeness.adapter import AdapterInfo, load_into, read_info
from likeness.adapter_file import stack_beneath
from likeness.bases import DRAWN
from likeness.errors import LikenessError
from likeness.families import Family, Quantization, Recipe, family_class, licence_of, load_family, quantization
from likeness.families.guidance import away_from_base, has_adapter
from likeness.families.variant import Variant
from likeness.memory import fits
from likeness.quiet import quiet
from likeness.randomness import normal
from likeness.settings import Settings

LATENT_STREAM = "render"


class Sampling(Settings):
    """How a picture is drawn. What is None is the base's own recipe."""

    steps: int | None = Field(None, ge=1, le=1000)
    guidance_scale: float | None = Field(None, ge=1)
    guidance_rescale: float | None = Field(None, ge=0, le=1)
    guidance_from: Literal["words", "base"] | None = None
    words_scale: float | None = Field(None, ge=1)
    scheduler: Literal["base", "ddim", "euler", "dpm++", "unipc", "euler-trailing", "lcm"] | None = None
    """Those that put noise back take it from the picture's seed, which is all the chance there is."""
    eta: float | None = Field(None, ge=0, lt=1)
    face_strength: float | None = Field(None, ge=0, lt=1)
    width: int | None = Field(None, ge=8)
    height: int | None = Field(None, ge=8)
    """Pixels as drawn, before finishing. None: the base's resolution."""

    def over(self, recipe: Recipe) -> Recipe:
        """The recipe with what is set here in place of its own; its eta goes with DDIM alone, its words_scale with guidance from the base."""
        given = self.model_dump(exclude_none=True, include=set(Recipe.model_fields))
        unasked = {} if self.scheduler in (None, "base", "ddim") else {"eta": 0.0}
        unasked |= {"words_scale": 1.0} if given.get("guidance_from", recipe.guidance_from) == "words" else {}
        return recipe.model_copy(update=unasked | given)


@dataclass(frozen=True)
class RenderJob:
    """One picture. closer: the prompt of its face pass; empty where that is the same."""

    prompt: str
    negative: str
    seed: int
    closer: str = ""


@dataclass(frozen=True)
class ReferencePhoto:
    """A photograph of the person as it is shown to the base; sha256 is that of its file."""

    image: Image.Image
    sha256: str


_LESS_MEMORY = "Try --batch 1, --quantize nf4, or --offload"


class Renderer:
    """A base, or a fast variant of it, with at most one adapter in it, and reference photos for those that look at some."""

    @fits(_LESS_MEMORY)
    def __init__(
        self,
        base: str,
        adapter: Path | None = None,
        device: str | None = None,
        dtype: torch.dtype | None = None,
        weight: float = 1.0,
        variant: Variant | None = None,
        references: Sequence[ReferencePhoto] = (),
        accept_license: bool = False,
        quantize: Quantization | None = None,
        offload: bool = False,
        revision: str | None = None,
    ) -> None:
        """Load everything; `device` and `dtype` are the best of this machine by default.

        A base on the Hub is that of `revision`, else the very commit that the adapter was trained on, where that is the base's
        own. Raises LikenessError when the base or the device is not there, the adapter does not belong to it, it takes no
        references, or its licence must be accepted. `quantize`: the base in fewer bits. `offload`: what is not at work waits in the computer's memory.
        """
        self.device = checked_device(device) if device else best_device()
        _check_memory(quantize or Quantization(), offload, adapter, self.device)
        base = variant.base or base if variant else base
        revision = revision or revision_of(base, adapter)
        licences.check(licence_of(base, revision), accept_license, base)
        if variant and variant.lora and (licence := variant.lora_licence):
            licences.check(licence, accept_license, variant.lora, "LoRA")
        self.dtype = dtype or (family_class(base, revision).half if self.device.startswith("cuda") else torch.float32)
        self.family = load_family(base, self.dtype, revision=revision, quantize=quantize)
        self.base = base
        self.weight = weight
        self.references = tuple(references)
        images = [photo.image for photo in references]
        self._looked_at = self.family.reference_arguments(images) if images else {}
        self.variant = variant
        self.pipe: Any = _pipeline(self.family)
        self.base_sha256 = self.family.sha256()
        self.info: AdapterInfo | None = None
        if adapter is not None:
            self.info = load_into(self.pipe, adapter, base, weight, self.base_sha256, self.family.revision)
        self.variant_lora = variant.lora_file() if variant and variant.lora else None
        if variant and self.variant_lora:
            stack_beneath(self.pipe, self.variant_lora, variant.weight, weight)
        if offload:
            _offload(self.family, torch.device(self.device))
        else:
            self.pipe.to(self.device)
        self._own_scheduler = self.pipe.scheduler
        self.recipe = self._recipe()
        """How it likes to be drawn."""

    def _recipe(self) -> Recipe:
        own = self.variant.over(self.family.recipe) if self.variant else self.family.recipe
        own = own if self._leaves_base else own.model_copy(update={"guidance_from": "words"})
        return own if self.info else own.model_copy(update={"face_strength": 0.0})

    @property
    def _leaves_base(self) -> bool:
        """Whether the adapter can be switched off, and nothing else with it, as a stacked LoRA would be."""
        return has_adapter(self.family.denoiser) and not self.variant_lora

    def render(
        self, jobs: Sequence[RenderJob], sampling: Sampling | None = None, batch: int = DRAWN
    ) -> list[Image.Image]:
        """One RGB picture a job, in order. See `stream`."""
        return list(self.stream(jobs, sampling, batch))

    def stream(
        self, jobs: Sequence[RenderJob], sampling: Sampling | None = None, batch: int = DRAWN
    ) -> Iterator[Image.Image]:
        """The pictures as their batches are done. A job gives the same picture in any batch, within float rounding.

        A face pass makes them larger. Raises LikenessError for a size that the base cannot draw, for eta with a scheduler
        that knows none, for guidance from the base where there is no adapter, or none that can be switched off, for words_scale
        without that or on a family that has none, and for a face pass likewise.
        """
        sampling = sampling or Sampling()
        recipe = sampling.over(self.recipe)
        self._check_guidance(sampling, recipe)
        height, width = (side or self.family.resolution for side in (sampling.height, sampling.width))
        self.family.latent_shape(height, width)
        self.pipe.scheduler = scheduler_named(recipe.scheduler, self._own_scheduler, recipe.steps, self.family)
        if recipe.face_strength:
            _ = self._face_pass  # refused before anything is drawn
        count = max(1, batch) if self.family.draws_batches else 1
        for start in range(0, len(jobs), count):
            yield from self._batch(jobs[start : start + count], recipe, height, width)

    def _check_guidance(self, sampling: Sampling, recipe: Recipe) -> None:
        if recipe.guidance_from == "words":
            if sampling.words_scale not in (None, 1):
                what = "words_scale goes with guidance away from the base, and here guidance is by the words alone"
                raise LikenessError(what, "Set guidance_scale in its place, or guidance_from to base", self.base)
        elif not self._leaves_base:
            what = "guidance away from the base takes a LoRA that can be switched off by itself, and there is none here"
            raise LikenessError(what, "Set guidance_from to words", self.base)
        elif recipe.words_scale != 1 and not self.family.unwanted_first:
            what = f"guidance away from the base and by words together is not offered for {self.family.name}"
            raise LikenessError(what, "Leave words_scale at 1, or set guidance_from to words", self.base)

    @fits(_LESS_MEMORY)
    @torch.inference_mode()
    def _batch(self, jobs: Sequence[RenderJob], recipe: Recipe, height: int, width: int) -> list[Image.Image]:
        shape = self.family.latent_shape(height, width)
        latents = torch.stack([initial_latents(job.seed, shape) for job in jobs])
        prompts, negatives = [job.prompt for job in jobs], [job.negative for job in jobs]
        from_base = recipe.guidance_from == "base" and not recipe.guidance_scale == recipe.words_scale == 1
        by_words = {"guidance_scale": recipe.words_scale, "guidance_rescale": 0.0}
        told = recipe.model_copy(update=by_words) if from_base else recipe
        arguments = self.family.pipeline_arguments(told, prompts, negatives, latents.to(self.device))
        arguments |= self.family.stirring(self.pipe.scheduler, recipe, [job.seed for job in jobs])
        with quiet(), away_from_base(self.family.denoiser, recipe) if from_base else nullcontext():
            drawn = list(self.pipe(**arguments, **self._looked_at, height=height, width=width).images)
            if not recipe.face_strength:
                return drawn
            closer, seeds = [job.closer or job.prompt for job in jobs], [job.seed for job in jobs]
            return self._face_pass(drawn, closer, negatives, seeds, told, self.pipe.scheduler)

    @cached_property
    def _face_pass(self) -> FacePass:
        return FacePass(self.family)


def _check_memory(quantize: Quantization, offload: bool, adapter: Path | None, device: str) -> None:
    """Raises LikenessError for what does not go together, or not with this machine."""
    quantization.check(quantize, device)
    if quantize.kind == "none":
        return
    if offload:
        raise LikenessError("a quantised base cannot be offloaded", "Choose one of --quantize and --offload")
    info = read_info(adapter) if adapter is not None else None
    if info is not None and info.method == "dreambooth":
        raise LikenessError(
            "whole trained weights cannot be put into a quantised base", "Leave out --quantize", adapter
        )


def _pipeline(family: Family) -> Any:
    """The stock pipeline. It decodes a batch picture by picture: at once, that would take more memory than the steps do."""
    pipe = family.pipeline()
    pipe.vae.enable_slicing()
    return pipe


def _offload(family: Family, device: torch.device) -> None:
    """The denoiser's blocks and the text encoders' layers come to the device when they are needed, and leave it again."""
    from diffusers.hooks import apply_group_offloading

    # On a GPU the next block is on its way while the last one works.
    options: dict[str, Any] = {"onload_device": device, "use_stream": device.type == "cuda"}
    apply_group_offloading(family.denoiser, offload_type="block_level", num_blocks_per_group=1, **options)
    for encoder in family.text_encoders.values():
        apply_group_offloading(encoder, offload_type="leaf_level", **options)
    family.vae.to(device)


def revision_of(base: str, adapter: Path | None) -> str | None:
    """The commit of `base` that the adapter was trained on; None of another base, and of one that is not from the Hub."""
    info = read_info(adapter) if adapter is not None else None
    return info.revision or None if info is not None and info.base == base else None


def initial_latents(seed: int, shape: tuple[int, int, int]) -> Tensor:
    """Standard normal latents (C, H, W), float32 on the CPU: all the chance that is in a picture."""
    return normal(shape, seed, LATENT_STREAM)


def checked_device(name: str) -> str:
    """The name itself. Raises LikenessError, before a large base is loaded, for a device that is not here."""
    here = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    other = torch.accelerator.current_accelerator(check_available=True)
    if other is not None and other.type not in here:
        here[other.type] = torch.accelerator.device_count()
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or (device.index or 0) >= here.get(device.type, 0):
        remedy = (
            f"There are: {', '.join(kind for kind, count in here.items() if count)}. The best is taken if none is named"
        )
        raise LikenessError(f"there is no device {name!r} here", remedy)
    return name


def best_device() -> str:
    """cuda, mps or cpu: the first that this machine has."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
