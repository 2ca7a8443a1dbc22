"""What learns, as one module; and the base as it was, to say what it would have said.

Everything that gradients flow through is inside one ``forward``, so that data parallelism, mixed precision and later
sharding wrap one thing, whatever the method and whether or not the text encoders learn.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from likeness import adapter
from likeness.adapter import LoraSettings
from likeness.families import Family
from likeness.families.guidance import without_adapter
from likeness.families.quantization import is_plain
from likeness.pivotal import TRAINED, PivotalSettings
from likeness.settings import Settings
from training.optim import GroupName

Conditioning = Mapping[str, Tensor]


class EmaSettings(Settings):
    """A running average of the weights, which is then what the adapter holds."""

    enabled: bool = True
    """Off saves a copy of the weights in float32."""
    decay: float = Field(0.999, gt=0, lt=1)
    """In the end; it rises towards this as (1 + step) / (10 + step)."""


class DreamboothSettings(Settings):
    """Full fine-tuning (Ruiz et al. 2022, arXiv 2208.12242)."""

    text_encoder: bool = False
    """Train the text encoders too."""
    ema: EmaSettings = EmaSettings()


class Trained(nn.Module):
    """The denoiser, with those text encoders that learn too."""

    def __init__(self, family: Family, trains_text: bool, dtype: torch.dtype) -> None:
        """``dtype``: what the denoiser's frozen weights are in."""
        super().__init__()
        self.family = family
        self.dtype = dtype
        self.denoiser = family.denoiser
        # Not those that stand still: in training mode T5 would drop out.
        learning = {f: e for f, e in family.text_encoders.items() if any(p.requires_grad for p in e.parameters())}
        self.text_encoders = nn.ModuleDict(learning if trains_text else {})
        self.checkpoints_gradients = False

    def forward(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, prompts: list[str] | None
    ) -> Tensor:
        """The prediction (B, ...) for noisy latents, under conditioning and, where the text encoders learn, prompts."""
        if prompts is not None:
            conditioning = {**conditioning, **self.family.encode_text(prompts)}
        # What is computed again in the backward pass must be computed in the same way there.
        with nullcontext() if self.checkpoints_gradients else _attention(noisy):
            return predict_in(self.dtype, self.family, noisy, timesteps, conditioning)

    @property
    def leaves_idle(self) -> bool:
        """Whether some of what learns gets no gradient, which data parallelism would wait for."""
        learning = {"denoiser", "text"} if len(self.text_encoders) else {"denoiser"}
        return bool(self.family.idle & learning)

    def parameter_groups(self) -> dict[GroupName, list[nn.Parameter]]:
        """The parameters that learn: the denoiser's, the text encoders', and their rows for new words."""
        groups: dict[GroupName, list[nn.Parameter]] = {"denoiser": [], "text": [], "tokens": []}
        groups["denoiser"] = [p for p in self.denoiser.parameters() if p.requires_grad]
        for name, parameter in self.text_encoders.named_parameters():
            if parameter.requires_grad:
                groups["tokens" if TRAINED in name else "text"].append(parameter)
        return groups

    def parameters_in_order(self) -> list[nn.Parameter]:
        """All parameters that learn, always in the same order."""
        return [parameter for group in self.parameter_groups().values() for parameter in group]


class FrozenBase:
    """The base before any training, for the prior's targets.

    With LoRA it is the same weights with the adapter switched off, which costs no memory. A fully fine-tuned denoiser
    has to be kept twice, in the low precision if there is one: predictions cannot be made beforehand, for every step
    draws new noise.
    """

    def __init__(self, family: Family, method: Literal["lora", "dreambooth"], dtype: torch.dtype) -> None:
        """To be made before the denoiser is changed."""
        self._switchable = method == "lora"
        self._dtype = dtype
        self._family = family
        if not self._switchable:
            frozen = copy.deepcopy(family.denoiser).requires_grad_(False).eval()
            for parameter in frozen.parameters():
                parameter.data = parameter.data.to(dtype)
            self._family = copy.copy(family)
            self._family.parts = {**family.parts, family.denoiser_folder: frozen}

    @torch.no_grad()
    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The base's prediction, in float32."""
        with without_adapter(self._family.denoiser) if self._switchable else nullcontext():
            return predict_in(self._dtype, self._family, noisy, timesteps, conditioning).float()


def make_trainable(
    family: Family,
    method: Literal["lora", "dreambooth"],
    lora: LoraSettings,
    dreambooth: DreamboothSettings,
    seed: int,
    dtype: torch.dtype,
    gradient_checkpointing: bool,
    pivotal: PivotalSettings | None = None,
) -> Trained:
    """Puts the LoRA layers in, or unfreezes; what learns is float32, the rest of the denoiser goes to ``dtype``."""
    if method == "lora":
        adapter.inject(family, lora, seed, pivotal)
    else:
        adapter.unfreeze(family, dreambooth.text_encoder)
    kept = dtype if method == "lora" else torch.float32
    model = Trained(family, trains_text(method, lora, dreambooth, pivotal or PivotalSettings()), kept)
    for parameter in model.parameters():
        if is_plain(parameter):
            parameter.data = parameter.data.to(torch.float32 if parameter.requires_grad else dtype)
    if gradient_checkpointing:
        model.checkpoints_gradients = True
        denoiser: Any = family.denoiser
        denoiser.enable_gradient_checkpointing()
        for encoder in family.text_encoders.values():
            any_encoder: Any = encoder
            # The newer name of transformers 5.2x; the older one is deprecated there.
            enable = getattr(any_encoder, "activation_checkpointing_enable", any_encoder.gradient_checkpointing_enable)
            enable({"use_reentrant": False})
    # Dropout (LoRA's own) and gradient checkpointing of the text encoders are for training mode only.
    return model.train()


def trains_text(
    method: Literal["lora", "dreambooth"], lora: LoraSettings, dreambooth: DreamboothSettings, pivotal: PivotalSettings
) -> bool:
    """Whether anything of the text encoders learns, so that prompts cannot be encoded once for all."""
    return lora.text_encoder or pivotal.tokens > 0 if method == "lora" else dreambooth.text_encoder


def _attention(latents: Tensor) -> AbstractContextManager[None]:
    """Plain attention for small pictures in bfloat16 on the CPU.

    There torch's fused attention is slow backwards (docs/performance.md); it saves memory, which matters only where pictures
    are large.
    """
    small = latents.shape[-2] * latents.shape[-1] <= 1024
    slow = small and latents.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    return sdpa_kernel(SDPBackend.MATH) if slow else nullcontext()


def predict_in(
    dtype: torch.dtype, family: Family, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    """`Family.predict` by a denoiser whose weights are in ``dtype``: outside of autocast nothing else brings its inputs to it."""
    given = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in conditioning.items()}
    return family.predict(noisy.to(dtype), timesteps, given)
