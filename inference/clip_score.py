"""How well a picture fits its prompt by CLIP, where somebody has one: none ships, and none is fetched unless it is named.

CLIPScore of Hessel et al. 2021 (arXiv 2104.08718): 2.5 times the cosine of the picture's and the prompt's embeddings, not below
0. Good photographs reach about 0.6 to 0.8 with the common CLIP models; it compares renders with renders, not with a bar.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from likeness.errors import LikenessError
from likeness.quiet import quiet

_WEIGHT = 2.5
_PREFIX = "A photo depicts "
"""Before every prompt, as the paper has it."""
_MEAN, _SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the colours that CLIP was trained on (Radford et al. 2021, the published preprocessing)."""


class ClipScore:
    """A CLIP model, loaded once."""

    def __init__(self, spec: str) -> None:
        """On the CPU. `spec`: a folder or Hub id that `transformers.CLIPModel` reads. Raises LikenessError when it is not one."""
        from transformers import CLIPModel, CLIPTokenizer

        try:
            with quiet():
                self._model: Any = CLIPModel.from_pretrained(spec).eval()
                self._tokenizer: Any = CLIPTokenizer.from_pretrained(spec)
        except (OSError, ValueError) as error:
            remedy = 'Give a folder or a Hub id such as "openai/clip-vit-base-patch32", downloaded before'
            raise LikenessError("no CLIP model can be loaded from here", remedy, spec) from error

    @torch.inference_mode()
    def score(self, image: Image.Image, prompt: str) -> float:
        """CLIPScore of an RGB picture and a prompt, in [0, 2.5]; what is beyond the text that CLIP reads is cut off."""
        length = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer([_PREFIX + prompt], return_tensors="pt", truncation=True, max_length=length)
        output = self._model(pixel_values=self._pixels(image), **tokens)
        # The model gives both embeddings at unit length.
        return _WEIGHT * max(0.0, float((output.image_embeds * output.text_embeds).sum()))

    def _pixels(self, image: Image.Image) -> torch.Tensor:
        """(1, 3, side, side): the shorter side scaled, the middle cut out. transformers' own processor wants torchvision."""
        side = self._model.config.vision_config.image_size
        scale = side / min(image.size)
        size = max(side, round(image.width * scale)), max(side, round(image.height * scale))
        scaled = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        left, top = (scaled.width - side) // 2, (scaled.height - side) // 2
        values = np.asarray(scaled.crop((left, top, left + side, top + side)), np.float32) / 255
        normal = (values - np.array(_MEAN, np.float32)) / np.array(_SPREAD, np.float32)
        return torch.from_numpy(normal.transpose(2, 0, 1)[None].copy())
