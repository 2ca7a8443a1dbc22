"""Pivotal tuning: new words for the person, whose embeddings are trained together with the adapter.

Textual inversion (Gal et al. 2022, arXiv 2208.01618) and LoRA at once, as others do it after Roich et al. 2021 (arXiv
2106.05744). Each CLIP gets the same new words and learns its own vectors for them; no other row of its table moves.

The file is what diffusers' advanced DreamBooth scripts write: "clip_l" and, where there are two, "clip_g", each (words,
width). ComfyUI reads the same keys, and calls the words by the file's name (`embedding:NAME`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from likeness import files
from likeness.errors import LikenessError
from likeness.families.base import Family
from likeness.lora_formats import file_bytes, read_tensors
from likeness.quiet import quiet
from likeness.randomness import normal
from likeness.settings import Settings

EMBEDDINGS_FILE = "embeddings.safetensors"
TRAINED = "trainable_tokens_delta"
"""What peft calls the rows that it trains."""

_SPREAD = 0.1
"""Of the rows around the first word's, in standard deviations of the table: equal rows would only learn alike."""


class PivotalSettings(Settings):
    """New words, which stand for the person in place of ``trigger``."""

    tokens: int = Field(0, ge=0, le=32)
    """How many; 0 trains none. Two are usual for a face. Their learning rate is optim.token_lr."""
    init: str = "person"
    """They begin near this word; empty means somewhere."""
    until: float = Field(0.5, gt=0, le=1)
    """Share of the steps after which they stand still and the adapter alone goes on (the pivot): early they find the
    person, later they would only learn the photos by heart."""

    @property
    def words(self) -> list[str]:
        """<s0>, <s1>, …: as diffusers' scripts call them."""
        return [f"<s{number}>" for number in range(self.tokens)]


def add_words(family: Family, settings: PivotalSettings, seed: int) -> dict[str, list[int]]:
    """Gives each CLIP's tokenizer the words, and its table rows for them; {text encoder's folder: the rows' numbers}.

    Raises LikenessError for a family whose stock pipeline reads no such words.
    """
    if not family.embedding_keys:
        what = f"pipelines of {family.name} load no embeddings of new words"
        raise LikenessError(what, "Set pivotal.tokens to 0")
    return {folder: _add(family, folder, settings, seed) for folder in family.embedding_keys}


def save_embeddings(family: Family, words: Sequence[str], path: Path) -> None:
    """Writes the words' rows, float32. Raises LikenessError when the disk refuses."""
    tensors = {family.embedding_keys[folder]: rows.detach().float().cpu() for folder, rows in _trained(family)}
    files.write_bytes(path, file_bytes(tensors, {"format": "pt", "tokens": " ".join(words)}))


def embeddings_of(lora: Path) -> Path:
    """Where the embeddings that belong to a LoRA file lie: in an adapter's folder, or beside an exported file."""
    exported = lora.with_name(f"{lora.stem}-{EMBEDDINGS_FILE}")
    return exported if exported.is_file() else lora.with_name(EMBEDDINGS_FILE)


def load_embeddings(pipeline: Any, family: type[Family], words: Sequence[str], path: Path) -> None:
    """Puts the words into a stock pipeline. Raises LikenessError when their file is absent or of another base."""
    if not path.is_file():
        what = "the adapter was trained with new words, and the file of their embeddings is not there"
        raise LikenessError(what, "Copy it from the adapter's folder", path)
    tensors, _ = read_tensors(path)
    for folder, key in family.embedding_keys.items():
        encoder = getattr(pipeline, folder)
        rows = tensors.get(key)
        width = encoder.get_input_embeddings().weight.shape[1]
        if rows is None or tuple(rows.shape) != (len(words), width):
            what = f"these embeddings do not fit the base: {key} should hold {len(words)} rows of {width}"
            raise LikenessError(what, "Render on the base that the adapter was trained on: --base", path)
        with quiet():
            pipeline.load_textual_inversion(
                rows, token=list(words), text_encoder=encoder, tokenizer=getattr(pipeline, _tokenizer(folder))
            )


def _add(family: Family, folder: str, settings: PivotalSettings, seed: int) -> list[int]:
    encoder: Any = family.text_encoders[folder]
    tokenizer = family.tokenizers[_tokenizer(folder)]
    begin = tokenizer(settings.init, add_special_tokens=False).input_ids if settings.init else []
    tokenizer.add_tokens(settings.words)
    numbers: list[int] = tokenizer.convert_tokens_to_ids(settings.words)
    table: Tensor = encoder.get_input_embeddings().weight.detach()
    rows = normal((settings.tokens, table.shape[1]), seed, "new-words", folder) * float(table.std())
    if begin:
        rows = table[begin].mean(0).cpu() + _SPREAD * rows
    # Whatever the new rows are born with is overwritten; drawing it must not move the process's generator.
    with torch.random.fork_rng(devices=[]), quiet():
        encoder.resize_token_embeddings(max(len(table), max(numbers) + 1), mean_resizing=False)
    grown: Tensor = encoder.get_input_embeddings().weight
    grown.requires_grad_(False)
    grown[numbers] = rows.to(grown)
    return numbers


def _trained(family: Family) -> Iterator[tuple[str, Tensor]]:
    """The rows that are trained, by text encoder."""
    for folder, encoder in family.text_encoders.items():
        for name, parameter in encoder.named_parameters():
            if TRAINED in name:
                yield folder, parameter


def _tokenizer(folder: str) -> str:
    """The folder of the tokenizer that feeds a text encoder."""
    return folder.replace("text_encoder", "tokenizer")
