"""What a training or denoising step of a published base needs, computed at full size without weights, memory or GPU.

The base's true modules are built on torch's meta device, where an operation makes a tensor's shape and nothing else. There
one forward pass is run, and two things are counted:

- what autograd keeps of it for the backward pass (every distinct storage that an operation saves, weights aside). With
  gradient checkpointing that is the inputs of each block, and the inside of the one block that is computed anew;
- the most that is alive at once in a pass that keeps nothing. That much a backward pass is taken to need besides: the
  gradients that it passes on have the sizes of the forward pass's own tensors.

It is computed, not measured: what libraries take for their own work is not in it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from likeness import resources
from likeness.bases import DRAWN, SIDES, KnownBase, Needs, Precision
from likeness.families import Family
from likeness.quiet import quiet
from training.config import TrainConfig
from training.model import Trained, make_trainable

NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A weight in 4 bits, with its share of the scale of 64 (8 bits) and of the scale of 256 scales (QLoRA, arXiv 2305.14314)."""

_LOW = {F.linear, F.conv2d, F.conv3d, torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, torch.einsum}
_HIGH = {F.layer_norm, F.group_norm, torch.rsqrt, Tensor.pow, torch.pow, F.softmax, torch.softmax, Tensor.softmax}


class Alive(TorchDispatchMode):
    """Inside, the bytes of all storages that are made and not yet dropped; `most` is the highest sum there was."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self.now = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        before = _storages((args, kwargs))
        result = func(*args, **(kwargs or {}))
        for key, storage in _storages(result).items():
            if key not in before:  # a view, or written in place
                self._add(storage)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._drop, storage.nbytes())

    def _drop(self, size: int) -> None:
        self.now -= size


class Kept:
    """What autograd keeps of the operations inside `outside()` and, block for block, of the calls of `checkpointed`."""

    def __init__(self, weights: nn.Module) -> None:
        """`weights`: the module whose parameters and buffers are not counted."""
        self._weights = _storages([*weights.parameters(), *weights.buffers()])
        self._outside: dict[int, torch.UntypedStorage] = {}
        self._largest_block = 0

    @property
    def bytes(self) -> int:
        """The most that is kept at once."""
        return _size(self._outside) + self._largest_block

    def outside(self) -> saved_tensors_hooks:
        """Counts what is kept until the end of the step."""
        return self._noting(self._outside)

    def checkpointed(self, block: nn.Module, *args: Any) -> Any:
        """Stands in for `torch.utils.checkpoint`: of a block only the inputs stay, and one block's inside at a time."""
        self._outside |= {key: s for key, s in _storages(args).items() if key not in self._weights}
        inside: dict[int, torch.UntypedStorage] = {}
        with self._noting(inside):
            result = block(*args)
        fresh = {key: storage for key, storage in inside.items() if key not in self._outside}
        self._largest_block = max(self._largest_block, _size(fresh))
        return result

    def _noting(self, into: dict[int, torch.UntypedStorage]) -> saved_tensors_hooks:
        def pack(tensor: Tensor) -> Tensor:
            into.update({key: s for key, s in _storages(tensor).items() if key not in self._weights})
            return tensor

        return saved_tensors_hooks(pack, lambda tensor: tensor)


class GpuLike(TorchFunctionMode):
    """Attention and mixed precision as on a GPU, for the meta device, which knows neither.

    Attention keeps its inputs, its output and a number a row, never the matrix (FlashAttention, arXiv 2205.14135). With
    `autocast`, matrix products are in bfloat16 and norms in float32, as torch.autocast has them on CUDA.
    """

    def __init__(self, autocast: bool) -> None:
        super().__init__()
        self._autocast = autocast

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            return _attention(*args, **given)
        if self._autocast and (func in _LOW or func in _HIGH):
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
    """All numbers of a base, for the LoRA of its recipe and for its whole denoiser. Takes a minute at most, and little memory."""
    with torch.device("meta"):
        encoders = {n: part.build() for n, part in base.parts.items() if n.startswith("text_encoder")}
    family = on_meta(base)
    folder, denoiser = family.denoiser_folder, family.denoiser
    parameters = {name: _count(module) for name, module in {folder: denoiser, **encoders, "vae": family.vae}.items()}
    # With guidance, the picture is drawn with and without the prompt: in one batch by most pipelines.
    passes = {name: {str(px): _alive(run(px)) for px in SIDES} for name, run in _passes(family, base).items()}
    offloaded, largest = _offloaded(denoiser), max(_leaf(m) for part in encoders.values() for m in part.modules())
    config = TrainConfig.load(resources.configs() / base.recipe, ["person=nobody"])
    step, lora = _steps(family, base, config, "lora")
    full, _ = _steps(on_meta(base), base, config, "dreambooth")
    return Needs(
        pictures=config.batch_size,
        prior=config.prior_slots,
        drawn=DRAWN if family.draws_batches else 1,
        parameters=parameters,
        denoiser=_weights([denoiser]),
        text_encoders=_weights(encoders.values()),
        vae=4 * parameters["vae"],
        dequantised=2 * max(_matrices(denoiser)),
        offloaded=2 * offloaded,
        offloaded_text=2 * 2 * largest,
        lora=lora,
        step=step,
        full_step=full,
        **passes,
    )


def on_meta(base: KnownBase) -> Family:
    """The family around a denoiser in bfloat16 and an autoencoder, both of them empty; text encoders are gone already."""
    names = [name for name in base.parts if not name.startswith("text_encoder")]
    with torch.device("meta"), quiet():
        parts = {name: base.parts[name].build().to(torch.bfloat16) for name in names}
    gone: dict[str, Any] = dict.fromkeys(("text_encoder", "text_encoder_2", "text_encoder_3"))
    return base.family_class(base.name, Path(), {**gone, **parts, "scheduler": base.scheduler.build()})


def _passes(family: Family, base: KnownBase) -> dict[str, Callable[[int], Callable[[], Any]]]:
    def drawing(px: int) -> Callable[[], Any]:
        noisy, timesteps = _inputs(family, px, 2)
        return lambda: family.predict(noisy.bfloat16(), timesteps, _conditioning(base, 2))

    def encoding(px: int) -> Callable[[], Any]:
        return lambda: family.encode_image(torch.empty(1, 3, px, px, device="meta"))

    def decoding(px: int) -> Callable[[], Any]:
        return lambda: family.decode_latents(_inputs(family, px, 1)[0])

    return {"drawing": drawing, "encoding": encoding, "decoding": decoding}


def _alive(run: Callable[[], Any]) -> int:
    with torch.no_grad(), GpuLike(autocast=False), Alive() as alive:
        run()
    return alive.most


def _steps(
    family: Family, base: KnownBase, config: TrainConfig, method: Literal["lora", "dreambooth"]
) -> tuple[dict[str, int], int]:
    """What one row of a training step needs beyond the weights and what belongs to them, and the parameters that are trained."""
    model = make_trainable(family, method, config.lora, config.dreambooth, 0, torch.bfloat16, False)
    denoiser: Any = family.denoiser
    needed = {}
    for name in ("", " checkpointed"):
        for px in SIDES:
            kept, inputs = Kept(model), (*_inputs(family, px, 1), _conditioning(base, 1))
            if name:
                denoiser.enable_gradient_checkpointing(kept.checkpointed)
            with torch.no_grad(), GpuLike(autocast=True), Alive() as alive:
                model(*inputs, None)
            needed[f"{px}{name}"] = kept_bytes(model, kept, *inputs) + alive.most
    return needed, sum(parameter.numel() for parameter in model.parameters_in_order())


def kept_bytes(model: Trained, kept: Kept, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> int:
    """Bytes that autograd keeps of the forward pass of a training step."""
    with GpuLike(autocast=True), kept.outside():
        model(noisy, timesteps, conditioning, None)
    return kept.bytes


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


def _weights(modules: Collection[nn.Module]) -> dict[Precision, int]:
    """Bytes of the weights. In fewer bits only the matrices of linear layers are."""
    whole = 2 * sum(_count(module) for module in modules)
    matrices = sum(size for module in modules for size in _matrices(module))
    return {"bf16": whole, "int8": whole - matrices, "nf4": round(whole - (2 - NF4_BYTES) * matrices)}


def _matrices(module: nn.Module) -> list[int]:
    return [layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Linear)]


def _storages(tree: Any) -> dict[int, torch.UntypedStorage]:
    """The distinct storages of the tensors in something nested, by their address."""
    found = (leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
    return {storage._cdata: storage for storage in found}


def _size(storages: dict[int, torch.UntypedStorage]) -> int:
    return sum(storage.nbytes() for storage in storages.values())


def _leaf(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
