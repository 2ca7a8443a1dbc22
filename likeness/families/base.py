"""What the trainer and the renderer need to know of one base model: the Family.

A family's file holds only what is particular to it: which parts there are, how text becomes conditioning, how the
denoiser is called, which of its modules take LoRA. Finding a base on disk or on the Hub is `source.py`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from PIL import Image
from torch import Tensor, nn

from likeness import randomness
from likeness.errors import LikenessError
from likeness.families import quantization, source
from likeness.families.guidance import guided
from likeness.families.quantization import Quantization
from likeness.families.recipe import RECIPE_FILE, Recipe
from likeness.families.schedule import DiscreteSchedule, Schedule
from likeness.families.variant import Variant

TargetPreset = Literal["attention", "attention-mlp", "all"]


class Family(ABC):
    """One loaded base model. The parts are plain modules; freeing the encoders leaves the denoiser alone in memory."""

    name: ClassVar[str]
    pipeline_class: ClassVar[str]
    redraw_class: ClassVar[str] = ""
    """The stock pipeline that draws a picture again from a share of the noise; empty where diffusers has none."""
    denoiser_folder: ClassVar[str]
    default_licence: ClassVar[str]
    architecture: ClassVar[str]
    """What ModelSpec, or the base's publisher, calls the kind of base."""
    comfyui_modules: ClassVar[Mapping[str, str] | None] = {}
    """What ComfyUI calls modules that it does not know by diffusers' names; None where it has no place for our adapters."""
    comfyui_swapped: ClassVar[Mapping[str, str]] = {}
    """What ComfyUI calls modules whose rows it has in two halves the other way about, where diffusers' converter forgets that."""
    embedding_keys: ClassVar[Mapping[str, str]] = {}
    """Text encoders whose stock pipeline takes embeddings of new words, and the key of each in their file."""
    default_recipe: ClassVar[Recipe]
    variants: ClassVar[Mapping[str, Variant]] = {}
    """Distilled relatives that take adapters trained on the base, the usual one first."""
    draws_batches: ClassVar[bool] = True
    """Whether the stock pipeline draws a picture in a batch as it does alone; else each is drawn alone."""
    unwanted_first: ClassVar[bool] = False
    """Whether the stock pipeline, where it guides, gives the denoiser one batch, of which the negative words' rows are the first half."""
    idle: ClassVar[frozenset[str]] = frozenset()
    """Of "denoiser" and "text" those in which some weights feed nothing, as in a last layer that nobody reads."""
    half: ClassVar[torch.dtype] = torch.float16
    """The low precision that the base's numbers fit into."""

    def __init__(self, base: str, folder: Path, parts: Mapping[str, Any]) -> None:
        """`base` is the name that was asked for, `folder` where its files lie, `parts` the pipeline's components."""
        self.base = base
        self.folder = folder
        self.parts: dict[str, Any] = dict(parts)
        self.schedule: Schedule = self._make_schedule()
        for part in self.parts.values():
            if isinstance(part, nn.Module):
                part.requires_grad_(False).eval()

    @classmethod
    def load(
        cls,
        base: str,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        revision: str | None = None,
        frozen: torch.dtype | None = None,
        quantize: Quantization | None = None,
    ) -> Self:
        """A base by name, folder or Hub id.

        `frozen`: what denoiser and text encoders are kept in, where it is not `dtype`. `quantize`: which of them are kept in
        fewer bits, for a machine that `quantization.check` accepts. Raises LikenessError when the base is absent, broken
        or of another family.
        """
        folder = source.locate(base, revision, dtype)
        found = source.pipeline_class_name(folder)
        if found != cls.pipeline_class:
            raise LikenessError(
                f"this base is a {found}, not a {cls.pipeline_class}", "Name a base of the family", folder
            )
        names = [name for name in source.part_names(folder) if name.startswith("text_encoder")]
        dtypes = dict.fromkeys([cls.denoiser_folder, *names], frozen or dtype) | {"default": dtype}
        bits = quantization.pipeline_config(quantize or Quantization(), cls.denoiser_folder, names, frozen or dtype)
        return cls(base, folder, source.load_parts(folder, cls.pipeline_class, dtypes, device, bits))

    @property
    def denoiser(self) -> nn.Module:
        module = self.parts[self.denoiser_folder]
        assert isinstance(module, nn.Module)
        return module

    @property
    def vae(self) -> nn.Module:
        return self._encoder("vae")

    @property
    def text_encoders(self) -> dict[str, nn.Module]:
        """Text encoders by their folder name in the base; empty once freed."""
        return self._named("text_encoder")

    @property
    def tokenizers(self) -> dict[str, Any]:
        """Tokenizers by their folder name in the base."""
        return self._named("tokenizer")

    @property
    @abstractmethod
    def resolution(self) -> int:
        """Side in px of the square pictures that the base was trained on."""

    @abstractmethod
    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of a picture. Raises LikenessError when the size does not divide."""

    @abstractmethod
    def encode_text(self, prompts: list[str]) -> dict[str, Tensor]:
        """Conditioning for `predict`, every tensor batch first. No gradients unless the caller enabled training."""

    def framing(self, originals: Tensor) -> dict[str, Tensor]:
        """More conditioning for `predict`: of pictures that were `originals` (B, 2) px high and wide before scaling.

        Empty where the base is not told. 0 px means that nothing was scaled.
        """
        return {}

    @abstractmethod
    def unread(self, prompt: str) -> str:
        """The end of `prompt` that the base cannot read because its text is too long; empty when all is read."""

    @abstractmethod
    def encode_image(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the scaled latents of `pixels` (B, 3, H, W) in [-1, 1]."""

    @abstractmethod
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [-1, 1] of scaled latents."""

    @abstractmethod
    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        """The denoiser's prediction of `schedule`'s target, shaped like `noisy`; `timesteps` (B,) as `schedule` counts."""

    def guide(self, wanted: Tensor, unwanted: Tensor, recipe: Recipe) -> Tensor:
        """Predictions with and without the words as the stock pipeline joins them."""
        return guided(wanted, unwanted, recipe)

    @abstractmethod
    def lora_targets(self, preset: TargetPreset) -> list[str]:
        """Names (ends of dotted paths) of the denoiser's modules that take LoRA."""

    @abstractmethod
    def text_lora_targets(self) -> dict[str, list[str]]:
        """Names of the modules that take LoRA, by text encoder; empty where the stock pipeline loads no such LoRA."""

    def set_timesteps(self, scheduler: Any, steps: int, latents: Tensor) -> None:
        """Put a diffusers scheduler where the stock pipeline has it before drawing `latents` (B, C, h, w)."""
        scheduler.set_timesteps(steps, device=latents.device)

    def pipeline_arguments(
        self, recipe: Recipe, prompts: list[str], negatives: list[str], latents: Tensor
    ) -> dict[str, Any]:
        """What to call the stock pipeline with, so that it draws from `latents` (B, C, h, w), standard normal float32.

        Raises LikenessError for a recipe that the pipeline cannot follow.
        """
        for key in ("guidance_rescale", "eta"):
            if getattr(recipe, key):
                raise LikenessError(f"{self.name} knows no {key}", "Leave it at 0", self.base)
        denoiser: Any = self.denoiser
        # Copies, because some pipelines write their templates into the lists that they are given.
        words: dict[str, Any] = {"prompt": [*prompts]}
        words |= {"negative_prompt": [*negatives]} if recipe.negative else {}
        return words | {
            "latents": latents.to(denoiser.dtype),
            "num_inference_steps": recipe.steps,
            "guidance_scale": recipe.guidance_scale,
        }

    def stirring(self, scheduler: Any, recipe: Recipe, seeds: Sequence[int]) -> dict[str, Any]:
        """What else the scheduler takes where noise is put back at every step: a generator of each row, and DDIM's eta.

        seeds: one a row. Raises LikenessError for an eta and a scheduler that knows none.
        """
        from diffusers import LCMScheduler

        generators: dict[str, Any] = {"generator": [randomness.generator(seed) for seed in seeds]}
        if not recipe.eta:
            return generators if isinstance(scheduler, LCMScheduler) else {}
        if "eta" not in inspect.signature(scheduler.step).parameters:
            what = f"{type(scheduler).__name__} knows no eta"
            raise LikenessError(what, "Leave out eta, or set scheduler to ddim", self.base)
        return {"eta": recipe.eta} | generators

    @classmethod
    def reference_arguments(cls, photos: Sequence[Image.Image]) -> dict[str, Any]:
        """What else to call the stock pipeline with, so that it looks at these photographs while it draws.

        Raises LikenessError where it cannot.
        """
        raise LikenessError(f"the pipeline of {cls.name} takes no reference photos", "Leave out --references")

    def free_encoders(self) -> None:
        """Let the VAE and the text encoders leave memory; using them afterwards raises LikenessError."""
        for name in ("vae", *self.text_encoders):
            self.parts[name] = None

    def pipeline(self) -> Any:
        """The stock diffusers pipeline around these same modules, with a scheduler of its own."""
        return source.pipeline(self.pipeline_class, self.folder, self.parts)

    def redrawing(self) -> Any:
        """The stock image-to-image pipeline around these same modules. Raises LikenessError where diffusers has none."""
        if not self.redraw_class:
            what = f"diffusers has no pipeline of {self.name} that draws a picture again, which a face pass takes"
            raise LikenessError(what, "Leave face_strength at 0", self.base)
        return source.pipeline(self.redraw_class, self.folder, self.parts)

    @classmethod
    def hash(cls, base: str) -> str:
        """sha256 (hex) of the denoiser's weights on disk: what an adapter was trained on."""
        return source.weights_hash(source.locate(base) / cls.denoiser_folder)

    def sha256(self) -> str:
        """`hash` of the base that is loaded here."""
        return source.weights_hash(self.folder / self.denoiser_folder)

    @classmethod
    def licence_of(cls, folder: Path) -> str:
        """The licence that the model card in a base's folder declares, else the family's usual one."""
        return source.licence(folder, cls.default_licence)

    @property
    def licence(self) -> str:
        """`licence_of` the base that is loaded here."""
        return self.licence_of(self.folder)

    @property
    def revision(self) -> str:
        """The Hub's commit hash of the base that is loaded here; empty for a folder of one's own."""
        return source.commit(self.folder)

    @property
    def recipe(self) -> Recipe:
        """The base's own `recipe.json` where there is one, else the family's defaults."""
        own = self.folder / RECIPE_FILE
        if own.is_file():
            return Recipe.load(own)
        return self.default_recipe.model_copy(update={"guidance_rescale": self.schedule.guidance_rescale})

    def _make_schedule(self) -> Schedule:
        return DiscreteSchedule.from_config(self.parts["scheduler"].config)

    def _check_size(self, height: int, width: int, step: int) -> None:
        """Raises LikenessError for a picture whose sides, in px, are no multiples of `step`."""
        if height % step or width % step:
            raise LikenessError(f"{width} x {height} px is not a size of this base", f"Use multiples of {step} px")

    def _named(self, beginning: str) -> dict[str, Any]:
        """The parts that are there whose folder's name begins so, in the order of the names."""
        parts = self.parts
        return {name: parts[name] for name in sorted(parts) if name.startswith(beginning) and parts[name] is not None}

    def _encoder(self, name: str) -> nn.Module:
        module = self.parts.get(name)
        if not isinstance(module, nn.Module):
            raise LikenessError(f"the base's {name} was freed and is needed again", "Load the base anew", self.base)
        return module
