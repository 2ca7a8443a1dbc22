"""What the tiny bases of several families are made of: tokenizers, language models and autoencoders."""

import string
from typing import Any

import diffusers
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    GemmaTokenizer,
    LlamaTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    Qwen3Config,
)

from tests import tiny

SIDE = 32
"""px of the pictures that the tests draw."""

# Qwen3's own, but for tools and histories: a turn, and an empty thought where the model shall not think.
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def blocks(count: int) -> dict[str, Any]:
    return {
        "down_block_types": ("DownEncoderBlock2D",) * count,
        "up_block_types": ("UpDecoderBlock2D",) * count,
        "sample_size": SIDE,
    }


def kl() -> Any:
    """An autoencoder that shifts as well as it scales, as those of flow matching do."""
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.4,
        shift_factor=0.1,
        use_quant_conv=False,
        use_post_quant_conv=False,
        **blocks(3),
    )


def clip_with_summary(width: int) -> CLIPTextModelWithProjection:
    """A summary of 20 numbers."""
    vocabulary = tiny._vocabulary()
    config = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=20,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
        pad_token_id=vocabulary["<|endoftext|>"],
    )
    return CLIPTextModelWithProjection(config).eval()


def qwen_vocabulary() -> dict[str, int]:
    return {word: number for number, word in enumerate([*sorted(ByteLevel.alphabet()), *SPECIAL])}


def qwen_tokenizer() -> Qwen2Tokenizer:
    """Qwen's byte-level BPE without a single merge."""
    tokenizer = Qwen2Tokenizer(vocab=qwen_vocabulary(), merges=[], additional_special_tokens=SPECIAL[1:])
    tokenizer.chat_template = CHAT
    return tokenizer


def qwen3(layers: int) -> Qwen3Config:
    return Qwen3Config(head_dim=4, **qwen(layers))


def qwen(layers: int) -> dict[str, Any]:
    """Of a language model of 8 numbers a token."""
    vocabulary = qwen_vocabulary()
    return {
        "vocab_size": len(vocabulary),
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "bos_token_id": vocabulary["<|endoftext|>"],
        "eos_token_id": vocabulary["<|im_end|>"],
        "pad_token_id": vocabulary["<|endoftext|>"],
    }


def qwen_vae() -> Any:
    return diffusers.AutoencoderKLQwenImage(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True],
        latents_mean=[-0.5, 0.1, 0.3, 0.0],
        latents_std=[1.2, 0.8, 0.5, 2.0],
    )


def gemma_vocabulary() -> dict[str, int]:
    """One character is one token."""
    words = [
        "<pad>",
        "<eos>",
        "<bos>",
        "<unk>",
        "<mask>",
        "\u2581",
        *sorted(set(string.printable) - set(string.whitespace)),
    ]
    return {word: number for number, word in enumerate(words)}


def gemma_tokenizer() -> GemmaTokenizer:
    """Begins every text, as the published one does."""
    tokenizer = GemmaTokenizer(vocab=gemma_vocabulary(), merges=[], padding_side="right")
    begin = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", gemma_vocabulary()["<bos>"])])
    tokenizer.backend_tokenizer.post_processor = begin
    return tokenizer


def llama_tokenizer() -> LlamaTokenizer:
    """Ends every text and begins none, as ComfyUI has it for Pile-T5. One character is one token."""
    words = ["<pad>", "<s>", "</s>", "<unk>", "\u2581", *sorted(set(string.printable) - set(string.whitespace))]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = LlamaTokenizer(vocab=vocabulary, merges=[], pad_token="<pad>", padding_side="right")
    end = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", vocabulary["</s>"])])
    tokenizer.backend_tokenizer.post_processor = end
    return tokenizer


def glm_tokenizer() -> PreTrainedTokenizerFast:
    """GLM-4's byte-level BPE without a single merge: two tokens begin every text, and it is filled up on the left."""
    special = ["<|endoftext|>", "[gMASK]", "<sop>"]
    vocabulary = {word: number for number, word in enumerate([*sorted(ByteLevel.alphabet()), *special])}
    tokenizer = Tokenizer(BPE(vocabulary, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    begin = [(word, vocabulary[word]) for word in special[1:]]
    tokenizer.post_processor = TemplateProcessing(single="[gMASK] <sop> $A", special_tokens=begin)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=special[0], additional_special_tokens=special[1:], padding_side="left"
    )
