"""Time a LoRA step on the CPU, side by side: precisions, and plain against fused attention.

    python scripts/benchmark_training.py [--base pocket] [--batch 4] [--rounds 8] [--threads 1]

Each round times every variant once, so that a noisy machine is noisy for all of them; what counts is the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from likeness import resources
from likeness.adapter import LoraSettings
from likeness.families import load_family
from training import model
from training.loading import DTYPES

STEPS = 5
VARIANTS = [(precision, attention) for precision in ("fp32", "bf16") for attention in ("fused", "plain")]


class Variant:
    """One way to take a step of a LoRA of rank 16."""

    def __init__(self, base: str, batch: int, precision: str, attention: str) -> None:
        family = load_family(resources.base(base), torch.float32, "cpu")
        texts = family.encode_text(["a headshot of sks person"] * batch)
        self.words = {name: tensor.detach() for name, tensor in texts.items()}
        dtype = DTYPES[precision]
        self.trained = model.make_trainable(family, "lora", LoraSettings(), model.DreamboothSettings(), 0, dtype, False)
        self.optimizer = torch.optim.AdamW(self.trained.parameters_in_order(), fused=True)
        self.noisy = torch.randn(batch, *family.latent_shape(family.resolution, family.resolution))
        self.autocast = torch.autocast("cpu", dtype, enabled=precision != "fp32")
        self.fused = attention == "fused"

    def seconds(self) -> float:
        """Of one step, the mean of a few."""
        ours = model._attention
        model._attention = lambda *_: nullcontext() if self.fused else sdpa_kernel(SDPBackend.MATH)
        try:
            started = time.perf_counter()
            for _ in range(STEPS):
                with self.autocast:
                    timesteps = torch.randint(0, 1000, (len(self.noisy),))
                    cost = self.trained(self.noisy, timesteps, self.words, None).float().square().mean()
                cost.backward()
                self.optimizer.step()
                self.optimizer.zero_grad()
            return (time.perf_counter() - started) / STEPS
        finally:
            model._attention = ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    variants = [Variant(options.base, options.batch, *names) for names in VARIANTS]
    for variant in variants:
        variant.seconds()
    rounds = [[variant.seconds() for variant in variants] for _ in range(options.rounds)]
    for number, names in enumerate(VARIANTS):
        taken = statistics.median(times[number] for times in rounds)
        ratio = statistics.median(times[0] / times[number] for times in rounds)
        print(
            f"{' '.join(names):12} {taken * 1000:7.1f} ms a step, {ratio:.2f} times as fast as {' '.join(VARIANTS[0])}"
        )


if __name__ == "__main__":
    main()
