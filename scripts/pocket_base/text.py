"""A CLIP tokenizer made from our captions, and a small CLIP text encoder for it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .settings import DenoiserSettings

START, END = "<|startoftext|>", "<|endoftext|>"
# CLIP's own splitting (openai/CLIP simple_tokenizer.py): words, single digits, runs of other signs.
WORDS = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def make_tokenizer(captions: list[str], settings: DenoiserSettings, folder: Path) -> CLIPTokenizer:
    """Byte-pair encoding learnt on `captions`; every byte has a token, so any text that a person types can be encoded."""
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    split = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
    trained.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=settings.vocabulary, initial_alphabet=alphabet, end_of_word_suffix="</w>")
    trained.train_from_iterator(captions, trainer)
    learnt = json.loads(trained.to_str())["model"]
    # The trainer gives a letter its end-of-word form only where a caption had one; CLIP needs all of them.
    tokens = sorted(alphabet) + [letter + "</w>" for letter in sorted(alphabet)]
    tokens += [
        token for token, _ in sorted(learnt["vocab"].items(), key=lambda item: item[1]) if token not in set(tokens)
    ]
    vocabulary = {token: index for index, token in enumerate([*tokens, START, END])}
    merges: Any = [tuple(merge) for merge in learnt["merges"]]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=settings.text_length)
    tokenizer.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)


def learn_words(
    tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, captions: list[str], folder: Path
) -> CLIPTokenizer:
    """The tokenizer with one token for every word that at least one of 50 captions has and that it spelt until now.

    The encoder, in place, reads a new token as the mean of the pieces that it was spelt with. Other words keep their tokens,
    except rare ones that hold the same letters.
    """
    counts = Counter(word for text in captions for word in set(re.findall(r"[a-z]+", text.lower())))
    known = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary: dict[str, int] = dict(known["vocab"])
    merges: Any = [tuple(pair) for pair in known["merges"]]
    encoder: Any = text_encoder
    table, means = encoder.get_input_embeddings().weight.detach(), []
    for word in sorted(word for word, count in counts.items() if count >= len(captions) / 50):
        pieces = tokenizer.tokenize(word)
        mean = table[tokenizer.convert_tokens_to_ids(pieces)].mean(0)
        for end in range(1, len(pieces)):
            pair, joined = ("".join(pieces[:end]), pieces[end]), "".join(pieces[: end + 1])
            merges += [pair] if pair not in merges else []
            if joined not in vocabulary:
                vocabulary[joined] = len(vocabulary)
                means.append(mean)
    folder.mkdir(parents=True, exist_ok=True)
    CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=tokenizer.model_max_length).save_pretrained(folder)
    encoder.resize_token_embeddings(len(vocabulary), mean_resizing=False)
    if means:
        encoder.get_input_embeddings().weight.data[-len(means) :] = torch.stack(means)
    return CLIPTokenizer.from_pretrained(folder)


def build_text_encoder(tokenizer: CLIPTokenizer, settings: DenoiserSettings) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.text_width,
            intermediate_size=4 * settings.text_width,
            projection_dim=settings.text_width,
            num_hidden_layers=settings.text_layers,
            num_attention_heads=settings.text_heads,
            max_position_embeddings=settings.text_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
