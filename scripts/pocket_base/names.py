"""The words by which captions of the base call a person, and what those words say: who the person truly is.

A large base knows thousands of people by their names, so that a new word has somewhere to go when somebody is learnt
(textual inversion, Gal et al. 2022, arXiv:2208.01618). This base knows nobody by name. Instead four words stand for whoever is
on the picture, and while the base is trained their embeddings carry a linear map of the true parameters of that person. The map
is thrown away afterwards: what ships are the words at its mean, which is where a person's own new words begin.
"""

from __future__ import annotations

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


def vector(who: dict[str, Any]) -> list[float]:
    """A person's parameters (`Identity.asdict`) as numbers of about unit spread: what can be seen of them anywhere."""
    numbers = [(float(who[key]) - mean) / spread for key, (mean, spread) in _NUMBERS.items()]
    choices = [2.0 * (who[key] == choice) for key, among in _CHOICES.items() for choice in among]
    kind, material = who["glasses"] or (None, None)
    glasses = [2.0 * (kind == each) for each in identity.GLASSES_KINDS]
    glasses += [2.0 * (material == each) for each in identity.GLASSES_MATERIALS]
    ancestry = [4 * (part - 1 / 3) for part in who["ancestry"]]
    return [*numbers, (float(who["skin_tone"]) - 4.5) / 3, *ancestry, *choices, *glasses, *who["shape"]]


def add_words(tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel) -> list[int]:
    """Gives both the words, where they have none; the words' numbers."""
    if tokenizer.add_tokens(list(WORDS)):
        text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=True)
    return list(tokenizer.convert_tokens_to_ids(list(WORDS)))


class Names(nn.Module):
    """What the words say of each person of a batch, added to their embeddings wherever they stand."""

    def __init__(self, words: list[int], parameters: int, width: int) -> None:
        super().__init__()
        self.words = words
        self.map = nn.Linear(parameters, len(words) * width, bias=False)
        # A vector of all parameters then moves a word by about as much as words differ from each other.
        nn.init.normal_(self.map.weight, std=0.02 / parameters**0.5)

    def forward(self, tokens: Tensor, people: Tensor) -> Tensor:
        """(B, L, width), zero but at the words, of tokens (B, L) and people's vectors (B, parameters)."""
        said = self.map(people).unflatten(1, (len(self.words), -1))
        places = torch.stack([tokens == word for word in self.words], 2).to(said.dtype)
        return torch.einsum("blk,bkw->blw", places, said)
