"""Prompts for the language models that newer bases read with: a chat template, a fixed length, hidden states inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from likeness.errors import LikenessError
from likeness.families.text import beyond

TEXT_LENGTH = 512
"""Tokens that the stock pipelines read, the template's own included."""


def hidden_states(
    encoder: Any, tokenizer: Any, prompts: list[str], layers: Sequence[int], thinking: bool
) -> tuple[list[Tensor], Tensor]:
    """The states (B, TEXT_LENGTH, width) after each of `layers` (0: the embedding), and the mask (B, TEXT_LENGTH).

    The mask is True for what is text and False for what fills up. `thinking` leaves the model room to think aloud.
    """
    worded = [_templated(tokenizer, prompt, thinking) for prompt in prompts]
    tokens = tokenizer(worded, padding="max_length", max_length=TEXT_LENGTH, truncation=True, return_tensors="pt")
    device = next(encoder.parameters()).device
    mask = tokens.attention_mask.to(device)
    # The language model without its head: words are not asked for, and their scores would fill gigabytes.
    model = getattr(encoder, "model", encoder)
    states = model(
        input_ids=tokens.input_ids.to(device), attention_mask=mask, output_hidden_states=True, use_cache=False
    ).hidden_states
    return [states[layer] for layer in layers], mask.to(torch.bool)


def unread(tokenizer: Any, prompt: str, thinking: bool) -> str:
    """The end of `prompt` for which there is no room beside the template; empty when all is read."""
    template = len(tokenizer(_templated(tokenizer, "", thinking)).input_ids)
    return beyond(tokenizer, prompt, TEXT_LENGTH - template)


def _templated(tokenizer: Any, prompt: str, thinking: bool) -> str:
    if not tokenizer.chat_template:
        what = "the base's tokenizer lacks its chat template (chat_template.jinja)"
        raise LikenessError(what, "Copy the base model anew", tokenizer.name_or_path)
    message = [{"role": "user", "content": prompt}]
    return str(
        tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True, enable_thinking=thinking)
    )
