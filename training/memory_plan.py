"""What a training or denoising step of a published base needs, computed at full size without weights, memory or GPU.

The base's true modules are built on torch's meta device, where an operation makes a tensor's shape and nothing else. A real
step (forward, loss, backward) runs there, and every storage that comes to be is counted from its birth to its death: the
highest sum is the step's need. It is computed, not measured: what libraries take for their own work is not in it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import _engine_run_backward
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from likeness import resources
from likeness.bases import KnownBase, Needs
from likeness.families import Family
from likeness.quiet import quiet
from training.config import TrainConfig
from training.model import Trained, make_trainable

SIDES = (512, 768, 1024)
"""px of the square pictures that are planned for."""
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A weight in 4 bits, with its share of the scale of 64 (8 bits) and of the scale of 256 scales (QLoRA, arXiv 2305.14314)."""

_LOW = {F.linear, F.conv2d, F.conv3d, torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, torch.einsum}
_HIGH = {F.layer_norm, F.group_norm, torch.rsqrt, Tensor.pow, torch.pow, F.softmax, torch.softmax, Tensor.softmax}


class Counted(TorchDispatchMode):
    """Inside, the bytes of all storages that are made and not yet dropped; `most` is the highest sum there was."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self.now = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        before = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in before and storage not in self._known:
                    self._add(storage)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        self._known.add(storage)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.now -= size


class GpuLike(TorchFunctionMode):
    """Mixed precision and attention as on a GPU, for the meta device, which knows neither.

    Matrix products in bfloat16 and norms in float32, as autocast has them; attention that keeps its inputs, its output and
    a number a row, never the matrix (FlashAttention, arXiv 2205.14135).
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            return _attention(*args, **given)
        if func in _LOW or func in _HIGH:
            dtype = torch.bfloat16 if func in _LOW else torch.float32
            args, given = tree_map_only(Tensor, lambda t: t.to(dtype) if t.is_floating_point() else t, (args, given))
        return func(*args, **given)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa:
        key, value = (t.repeat_interleave(query.shape[1] // t.shape[1], dim=1) for t in (key, value))
    query, key, value = (t.to(torch.bfloat16) for t in (query, key, value))
    if attn_mask is not None:
        attn_mask = torch.zeros(1, device=query.device, dtype=query.dtype).expand(attn_mask.shape)
    out: Tensor = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, is_causal, attn_mask=attn_mask, scale=scale
    )[0]
    return out


def compute(base: KnownBase) -> Needs:
    """All numbers of a base, for the LoRA of its recipe. Takes seconds and little memory."""
    family = _on_meta(base)
    with torch.device("meta"):
        encoders = {n: part.build() for n, part in base.parts.items() if n.startswith("text_encoder")}
    folder, denoiser, vae = family.denoiser_folder, family.denoiser, family.vae
    parameters = {name: _count(module) for name, module in {folder: denoiser, **encoders, "vae": vae}.items()}
    drawing = {str(px): _peak(lambda px=px: _draw(family, base, px)) for px in SIDES}  # type: ignore[misc]
    decoding = {str(px): _peak(lambda px=px: _decode(family, px)) for px in SIDES}  # type: ignore[misc]
    matrices = [module.weight.numel() for module in denoiser.modules() if isinstance(module, nn.Linear)]
    largest = max((_leaf(module) for encoder in encoders.values() for module in encoder.modules()), default=0)
    step, lora = _steps(base)
    return Needs(
        parameters=parameters,
        denoiser={
            "bf16": 2 * parameters[folder],
            "int8": 2 * parameters[folder] - sum(matrices),
            "nf4": round(2 * parameters[folder] - (2 - NF4_BYTES) * sum(matrices)),
        },
        text_encoders=2 * sum(parameters[name] for name in encoders),
        vae=4 * parameters["vae"],
        dequantised=2 * max(matrices),
        offloaded=2 * _offloaded(denoiser),
        offloaded_text=2 * 2 * largest,
        lora=lora,
        step=step,
        drawing=drawing,
        decoding=decoding,
    )


def _on_meta(base: KnownBase) -> Family:
    """The family around a denoiser in bfloat16 and an autoencoder, both of them empty; text encoders are gone already."""
    names = [name for name in base.parts if not name.startswith("text_encoder")]
    with torch.device("meta"), quiet():
        parts = {name: base.parts[name].build().to(torch.bfloat16) for name in names}
    gone: dict[str, Any] = dict.fromkeys(("text_encoder", "text_encoder_2", "text_encoder_3"))
    return base.family_class(base.name, Path(), {**gone, **parts, "scheduler": base.scheduler.build()})


def _steps(base: KnownBase) -> tuple[dict[str, int], int]:
    """What training steps need, and the parameters that are trained."""
    needed = {}
    for checkpointed in (False, True):
        family = _on_meta(base)
        config = TrainConfig.load(resources.configs() / base.recipe, ["person=nobody"])
        model = make_trainable(family, "lora", config.lora, config.dreambooth, 0, torch.bfloat16, checkpointed)
        for px in SIDES:
            key = f"{px}{' checkpointed' * checkpointed}"
            needed[key] = _peak(lambda model=model, px=px: _train(model, base, px))  # type: ignore[misc]
            model.zero_grad(set_to_none=True)
    return needed, sum(parameter.numel() for parameter in model.parameters_in_order())


def _peak(run: Callable[[], None]) -> int:
    with GpuLike(), Counted() as counted:
        run()
    return counted.most


def _train(model: Trained, base: KnownBase, px: int) -> None:
    noisy, timesteps = _inputs(model.family, px, 1)
    said = model(noisy, timesteps, _conditioning(base, 1), None)
    loss = (said.float() - noisy).square().mean()
    # Not loss.backward(), inside which no function mode holds: checkpointed blocks are run again there.
    _engine_run_backward(
        (loss,), (torch.ones_like(loss),), False, False, (), allow_unreachable=True, accumulate_grad=True
    )


@torch.no_grad()
def _draw(family: Family, base: KnownBase, px: int) -> None:
    """With and without the prompt in one batch: most pipelines do, and the others need less."""
    noisy, timesteps = _inputs(family, px, 2)
    family.predict(noisy.to(torch.bfloat16), timesteps, _conditioning(base, 2))


@torch.no_grad()
def _decode(family: Family, px: int) -> None:
    family.decode_latents(_inputs(family, px, 1)[0])


def _inputs(family: Family, px: int, count: int) -> tuple[Tensor, Tensor]:
    shape = family.latent_shape(px, px)
    return torch.empty(count, *shape, device="meta"), torch.empty(count, device="meta")


def _conditioning(base: KnownBase, count: int) -> dict[str, Tensor]:
    """Of the longest prompts. Masks are real ones: families count what they let through."""
    return {
        name: torch.ones(count, *shape) if name == "mask" else torch.empty(count, *shape, device="meta").bfloat16()
        for name, shape in base.conditioning.items()
    }


def _offloaded(denoiser: nn.Module) -> int:
    """Parameters on the card when blocks are offloaded: the one at work, the next on its way, and all that is in none."""
    blocks = [_count(one) for group in denoiser.children() if isinstance(group, nn.ModuleList) for one in group]
    return _count(denoiser) - sum(blocks) + sum(sorted(blocks)[-2:])


def _leaf(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
