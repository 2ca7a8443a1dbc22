"""Time training steps of published bases at full size on a GPU, with random weights: nothing is downloaded.

    python scripts/benchmark_families.py [key=value ...] [--base z-image ...] [--batch 4] [--px 1024] [--out FILE]

A base's denoiser is built as it is published, in bfloat16, with the LoRA of its recipe in `configs/`, and the trainer's
own loop takes 20 steps on random latents and texts: first every base as it is, then every base with its repeated blocks
compiled. `key=value` are settings as train.py takes them, such as gradient_checkpointing=true, which is off here, or
quantize.kind=fp8; they come first, and of compile --blocks decides. There is no prior, whose samples would come on top.

Utilisation is of what the model computes forwards and backwards for a LoRA, for which the gradients of the frozen weights
are not needed; what checkpointing computes again is not counted. Prints a table for docs/performance.md; FILE (JSON) is
written anew after every measurement.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from likeness import files, resources
from likeness.bases import KnownBase, known_bases
from likeness.families import quantization
from likeness.families.quantization import Quantization
from training import setup
from training.cache import Texts
from training.config import TrainConfig
from training.data import Example, Portraits
from training.loading import DTYPES
from training.loop import Loop
from training.memory_plan import on_meta
from training.metrics import peak_memory
from training.portraits import Record

BASES = ["stable-diffusion-xl", "flux.2-klein-base-4b", "z-image"]
WARM_UP = 3
DONE = "{step_s:.3f} s a step, peak {peak_gib:.1f} GiB, built in {build_s:.1f} s, compiled in {compile_s:.0f} s"
HEADS = "base | blocks | pictures | s a step | pictures/s | TFLOP a step | utilisation | peak GiB | compiling, s"
CELLS = "{step_s:.3f} | {images_s:.2f} | {tflop:.1f} | {utilisation:.1%} | {peak_gib:.1f} | {compile_s:.0f}"
PEAK_TFLOPS = 989.0
"""Of matrix products in bfloat16, dense, by the data sheets of the H100 (SXM) and the H200."""
DEFAULTS = ["person=nobody", "gradient_checkpointing=false"]
FIXED = ["objective.prior.mode=none", "method=lora", "mixed_precision=bf16"]
WIDTH = 0.02
"""Standard deviation of random weights: small enough for numbers that stay finite from end to end."""


def settings(base: KnownBase, overrides: Sequence[str] = ()) -> TrainConfig:
    """The base's recipe with what this benchmark changes in it."""
    return TrainConfig.load(resources.configs() / base.recipe, [*DEFAULTS, *overrides, *FIXED])


def conditioning(base: KnownBase, device: str = "cpu") -> dict[str, Tensor]:
    """Random numbers in place of the longest prompt's, without the batch. Masks, all ones, stay on the CPU."""
    return {
        name: torch.ones(shape) if name == "mask" else torch.randn(shape, device=device)
        for name, shape in base.conditioning.items()
    }


def model_flops(base: KnownBase, config: TrainConfig, px: int) -> int:
    """Floating-point operations of one picture's training step, counted on the meta device."""
    family = on_meta(base)
    plain = config.model_copy(update={"gradient_checkpointing": False, "compile": None})
    model = setup._trainable(plain, family, torch.bfloat16)
    noisy = torch.empty(1, *family.latent_shape(px, px), device="meta")
    texts = {name: tensor[None] for name, tensor in conditioning(base, "meta").items()}
    with FlopCounterMode(display=False) as counter:
        model(noisy, torch.empty(1, device="meta"), texts, None).float().square().mean().backward()
    return int(counter.get_total_flops())


@torch.no_grad()
def fill(module: nn.Module, device: torch.device) -> None:
    """Gives a module without weights random ones on the device: matrices small, norms 1, biases and buffers 0."""
    module.to_empty(device=device)
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=WIDTH)
        else:
            parameter.fill_(float(name.endswith("weight")))
    for buffer in module.buffers():
        buffer.zero_()


def quantise(module: nn.Module, settings: Quantization, dtype: torch.dtype, device: torch.device) -> None:
    """Puts a module's weights into fewer bits, as they are when a base is loaded so."""
    quantization.check(settings, device)
    if settings.kind == "none":
        return
    wanted = quantization._config("diffusers", settings.kind, dtype)
    if quantization.PACKAGES[settings.kind] == "torchao":
        from torchao.quantization import quantize_

        quantize_(module, wanted.quant_type)
        return
    from diffusers.quantizers.bitsandbytes.utils import replace_with_bnb_linear

    weights = dict(module.named_parameters())
    replace_with_bnb_linear(module, [], quantization_config=wanted)
    for name, layer in module.named_modules():
        if type(layer).__module__.startswith("bitsandbytes"):
            made: Any = type(layer.weight)
            own = {**vars(layer.weight), "requires_grad": False}
            layer.weight = made(weights[f"{name}.weight"].data.cpu(), **own).to(device)
            if layer.bias is not None:
                layer.bias = nn.Parameter(weights[f"{name}.bias"].data, requires_grad=False)
    setattr(module, "is_loaded_in_4bit" if wanted.load_in_4bit else "is_loaded_in_8bit", True)


def make_loop(base: KnownBase, config: TrainConfig, px: int, accelerator: Accelerator) -> Loop:
    """The trainer's loop around the base, with one portrait of noise for every slot of a step."""
    torch.manual_seed(0)
    family, dtype = on_meta(base), DTYPES[config.mixed_precision]
    fill(family.denoiser, accelerator.device)
    quantise(family.denoiser, config.quantize, dtype, accelerator.device)
    shape = family.latent_shape(px, px)
    noise, mask = torch.randn(config.batch_size, *shape), torch.ones(1, *shape[1:])
    photos = [Example(one, torch.ones(shape), mask, "a photo of {subject}", str(n)) for n, one in enumerate(noise)]
    encodings: Any = None  # asked for class pictures alone
    person, _ = setup._samplers(config, family, encodings, [Portraits(photos)], [(px, px)])
    texts = Texts({prompt: conditioning(base) for prompt in person.all_prompts()})
    absent: Any = dict.fromkeys(("frozen", "prior", "identity", "evaluation", "samples", "selector"))
    made: Any = {"family": family, "model": setup._trainable(config, family, dtype), "texts": texts, "person": person}
    parts = setup.Parts(
        **absent, **made, selector_note="", resolution=px, portraits=Record("", [], [], ""), glasses=False
    )
    return Loop(config, accelerator, parts, Path(), {})


def measure(base: KnownBase, config: TrainConfig, options: argparse.Namespace) -> dict[str, Any]:
    """Times steps; fewer than asked for when the time is up."""
    AcceleratorState._reset_state()
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="bf16")
    began = time.perf_counter()
    loop = make_loop(base, config, options.px, accelerator)
    built = _now()
    for step in range(WARM_UP):
        loop._step(step)
    warm = _now()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    taken: list[float] = []
    while len(taken) < options.steps and (time.perf_counter() < options.until or not taken):
        start = _now()
        loop._step(WARM_UP + len(taken))
        taken.append(_now() - start)
    median = statistics.median(taken)
    compiling = 0.0 if config.compile is None else max(0.0, warm - built - WARM_UP * median)
    found = {"step_s": median, "images_s": config.batch_size / median, "peak_gib": peak_memory(), "all_s": taken}
    return found | {"build_s": built - began, "compile_s": compiling, "loss": loop.meter.average}


def _now() -> float:
    """Seconds, when all that was asked of the GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [HEADS, "---" + " | ---" * HEADS.count("|")]
    for row in rows:
        lines.append(f"{row['base']} | {row['blocks']} | {row['batch_size']} | {row['error'] or CELLS.format(**row)}")
    return "\n".join(f"| {line} |" for line in lines)


def benchmark(options: argparse.Namespace, chosen: dict[str, TrainConfig], bases: dict[str, KnownBase]) -> None:
    """All that was asked for: rows of numbers, said as they come, written, and in the end as a table."""
    began = time.perf_counter()
    options.until = began + options.seconds
    rows: list[dict[str, Any]] = []
    versions = {name: version(name) for name in ("torch", "diffusers", "peft", "accelerate")}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    report = {"device": device, "versions": versions, "px": options.px, "rows": rows}

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:6.1f} s  {text}", file=sys.stderr, flush=True)
        if options.out is not None and rows:
            files.write_json(options.out, report)

    say(f"on {device}")
    for blocks, (name, config) in itertools.product(options.blocks, chosen.items()):
        if time.perf_counter() > options.until:
            say(f"{name} {blocks}: left out, the time is up")
            continue
        rows.append({"base": name, "blocks": blocks, "batch_size": config.batch_size, "error": ""})
        rows[-1] |= {"checkpointed": config.gradient_checkpointing, "quantize": config.quantize.kind}
        try:
            compiler = options.backend if blocks == "compiled" else None
            rows[-1] |= measure(bases[name], config.model_copy(update={"compile": compiler}), options)
        except Exception as error:  # noqa: BLE001 - one base that fails must not end the others
            rows[-1]["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:160]
        AcceleratorState._reset_state()
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()
        say(f"{name} {blocks}: {rows[-1]['error'] or DONE.format(**rows[-1])}")
    # At last, because it takes seconds in which a GPU has nothing to do.
    good = [row for row in rows if not row["error"]]
    for name in dict.fromkeys(row["base"] for row in good):
        tflop = chosen[name].batch_size * model_flops(bases[name], chosen[name], options.px) / 1e12
        for row in (row for row in good if row["base"] == name):
            row |= {"tflop": tflop, "utilisation": tflop / row["step_s"] / options.peak_tflops}
        say(f"{name}: {tflop:.1f} TFLOP a step")
    print(table(rows))


def main(arguments: Sequence[str] | None = None) -> None:
    bases = {base.name: base for base in known_bases()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--base", nargs="+", default=BASES, choices=bases, metavar="NAME", help="as in `likeness bases`"
    )
    parser.add_argument("--batch", nargs="+", type=int, default=[1], help="pictures a step: one number, or one a base")
    parser.add_argument("--px", type=int, default=1024, help="side of the square pictures")
    parser.add_argument("--steps", type=int, default=20, help=f"that are timed, after {WARM_UP} that are not")
    parser.add_argument("--blocks", nargs="+", choices=("plain", "compiled"), default=["plain", "compiled"])
    parser.add_argument("--backend", default="inductor", help="torch.compile's")
    parser.add_argument("--peak-tflops", type=float, default=PEAK_TFLOPS, help="of the card, in bfloat16")
    parser.add_argument("--seconds", type=float, default=3600, help="begin nothing more after so many")
    parser.add_argument("--out", type=Path, help="everything, as JSON")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args(arguments)
    sizes = options.batch * (len(options.base) if len(options.batch) == 1 else 1)
    if len(sizes) != len(options.base):
        parser.error("--batch takes one number, or one for each base")
    chosen = {
        name: settings(bases[name], [*options.settings, f"batch_size={size}"])
        for name, size in zip(options.base, sizes, strict=True)
    }
    benchmark(options, chosen, bases)


if __name__ == "__main__":
    main()
