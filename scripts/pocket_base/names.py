"""The words by which captions of the base call a person, and what those words say: who the person truly is.

A large base knows thousands of people by their names, so that a new word has somewhere to go when somebody is learnt
(textual inversion, Gal et al. 2022, arXiv:2208.01618). This base knows nobody by name. Instead four words stand for whoever is
on the picture, and while the base is trained each carries a linear map of some of that person's true parameters. The maps
are thrown away afterwards: what ships are the words at their means, which is where a person's own new words begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from scripts.portrait_world import identity

WORDS = tuple(f"<who-{number}>" for number in range(4))
NAME = "".join(WORDS)

_NUMBERS = {  # the mean and spread of each
    "undertone": (0, 1), "age_years": (46, 15), "masculinity": (0.5, 0.45), "muscle": (0.5, 0.1), "weight": (0.55, 0.15),
    "grey": (0.2, 0.3), "recede": (0.1, 0.2), "freckles": (0.15, 0.3), "blush": (0.9, 0.25), "lip_colour": (0.75, 0.25),
}  # fmt: skip
_CHOICES: dict[str, tuple[Any, ...]] = {
    "skin_tone": tuple(range(identity.TONES)),
    "sex_presentation": ("male", "female"),
    "hair": tuple(identity.HAIR_STYLES),
    "hair_colour": identity.HAIR_COLOURS,
    "beard": (0, 1, 2, 3),
    "eyebrows": tuple(range(1, identity.EYEBROWS + 1)),
    "eyes": identity.EYE_COLOURS,
}
_SAID = (
    ("skin_tone", "tone", "undertone", "freckles", "blush", "lip_colour"),
    ("hair", "hair_colour", "grey", "recede", "beard"),
    ("age_years", "sex_presentation", "masculinity", "muscle", "weight", "glasses", "eyebrows", "eyes"),
    ("ancestry", "shape"),
)
"""Which parameters each word says. A word that said everything was not learnt in 80,000 samples: the 128 of the shape, of which
each changes little, drowned the few that change much."""


def vectors(who: dict[str, Any]) -> list[list[float]]:
    """A person's parameters (`Identity.asdict`) as each word says them, numbers of about unit spread."""
    numbers = {key: [(float(who[key]) - mean) / spread] for key, (mean, spread) in _NUMBERS.items()}
    choices = {key: [2.0 * (who[key] == choice) for choice in among] for key, among in _CHOICES.items()}
    kind, material = who["glasses"] or (None, None)
    glasses = [2.0 * (kind == each) for each in identity.GLASSES_KINDS]
    glasses += [2.0 * (material == each) for each in identity.GLASSES_MATERIALS]
    others = {
        "glasses": glasses,
        "tone": [(float(who["skin_tone"]) - 4.5) / 3],
        "ancestry": [4 * (part - 1 / 3) for part in who["ancestry"]],
        "shape": list(who["shape"]),
    }
    found = numbers | choices | others
    return [[value for key in keys for value in found[key]] for keys in _SAID]


def vector(who: dict[str, Any]) -> list[float]:
    """The same, one after the other."""
    return [value for said in vectors(who) for value in said]


LENGTHS = tuple(len(said) for said in vectors(identity.draw(0).asdict()))
"""Parameters that each word says."""


def add_words(tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel) -> list[int]:
    """Gives both the words, where they have none; the words' numbers."""
    if tokenizer.add_tokens(list(WORDS)):
        text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=True)
    return [int(number) for number in tokenizer(NAME, add_special_tokens=False).input_ids]


class Names(nn.Module):
    """What the words say of each person of a batch, added to their embeddings wherever they stand."""

    def __init__(self, words: list[int], lengths: Sequence[int], width: int) -> None:
        """`lengths`: how many parameters each word says."""
        super().__init__()
        self.words, self.lengths = words, list(lengths)
        self.maps = nn.ModuleList(nn.Linear(length, width, bias=False) for length in lengths)
        for length, linear in zip(lengths, self.maps, strict=True):
            # All parameters together then move a word by about as much as words differ from each other.
            nn.init.normal_(linear.weight, std=0.02 / length**0.5)

    def forward(self, tokens: Tensor, people: Tensor) -> Tensor:
        """(B, L, width), zero but at the words, of tokens (B, L) and people's vectors (B, parameters)."""
        parts = zip(self.words, self.maps, people.split(self.lengths, 1), strict=True)
        return torch.stack([(tokens == word)[..., None] * linear(said)[:, None] for word, linear, said in parts]).sum(0)
