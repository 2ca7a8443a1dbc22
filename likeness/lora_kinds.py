"""What is in a LoRA file, by the names of its tensors: LoRA and DoRA are read, anything else is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from likeness.errors import LikenessError

MAGNITUDE, DORA_SCALE = "lora_magnitude_vector", "dora_scale"
"""What peft and what kohya and ComfyUI call the length of DoRA's rows."""
_OTHER_KINDS = {
    "hada": "a LoHa",
    "lokr": "a LoKr",
    "oft": "an OFT",
    "boft": "a BOFT",
    "lora_mid": "a LoCon with a third matrix (Tucker)",
    "diff": "a difference of whole weights",
    "w_norm": "a difference of norms",
}
"""What LyCORIS and others train that is no product of two matrices, by how the last words of a tensor's name begin."""


def check_kind(raw: Mapping[str, Tensor], path: Path) -> None:
    """Raises LikenessError for a file with what is neither LoRA nor DoRA, by its name."""
    for key in sorted(raw):
        last = key.removesuffix(".weight").rpartition(".")[2]
        found = [kind for start, kind in _OTHER_KINDS.items() if last.startswith(start)]
        if found:
            what = f"this adapter is {found[0]} ({key}), or has one in it, and only LoRA and DoRA are drawn"
            raise LikenessError(what, "Train it as a plain LoRA (LyCORIS: algo=lora, without use_tucker)", path)


def check_axis(raw: Mapping[str, Tensor], path: Path) -> None:
    """Raises LikenessError for a DoRA that scales the columns of a matrix, which diffusers cannot.

    LyCORIS and ComfyUI tell the axis by the shape, (out, 1) or (1, in), and of a square matrix nothing else tells it.
    """
    columns = [k for k, t in raw.items() if k.endswith(f".{DORA_SCALE}") and t.shape[:1] == (1,) and t.numel() > 1]
    if columns:
        what = f"this DoRA has lengths of inputs ({some(columns)}), and diffusers knows those of outputs alone"
        raise LikenessError(
            what, "Train it with lengths of outputs (LyCORIS: wd_on_output=True), or as a plain LoRA", path
        )


def some(keys: list[str]) -> str:
    """The first few of the keys, for a message."""
    shown = ", ".join(sorted(keys)[:3])
    return f"{shown}, …" if len(keys) > 3 else shown
