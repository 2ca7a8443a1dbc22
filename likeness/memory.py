"""What a GPU says when its memory is full, in words that help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from likeness.errors import LikenessError


@contextmanager
def fits(remedy: str) -> Iterator[None]:
    """Around a call or as a decorator: turns torch.OutOfMemoryError into a LikenessError with that remedy."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        what = f"the GPU's memory is full: {' '.join(str(error).split())[:160]}"
        raise LikenessError(what, f"{remedy}; docs/memory.md says what fits") from error
