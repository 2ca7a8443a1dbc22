"""What a base reads of a prompt, and what it does not."""

from __future__ import annotations

from typing import Any


def beyond(tokenizer: Any, prompt: str, room: int) -> str:
    """The end of `prompt` that comes after so many tokens of it, none of them special; empty when there is none."""
    tokens = tokenizer(prompt, truncation=False, add_special_tokens=False, verbose=False).input_ids
    return str(tokenizer.decode(tokens[room:])).strip()
