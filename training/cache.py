"""Every portrait and every prompt goes through the base's encoders once; what comes out is kept in the person's cache.

Files are named by what they hold: the hash of the pixels (or the prompt) and of the encoder's weights and configuration. So a new photo
costs one encoding, another base or family or a changed crop never meets a stale file, and nothing needs to be cleared by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from safetensors import SafetensorError
from torch import Tensor

from likeness import files
from likeness.families import Family
from likeness.families.quantization import precision
from likeness.families.source import weights_hash
from training.data import Example

_VERSION = b"1"


class Encodings:
    """The encoders of one loaded base in front of a cache folder. Encodings are float32 on the CPU."""

    def __init__(self, family: Family, folder: Path, permit: Callable[[], object] = lambda: None) -> None:
        """``permit`` is called before anything is written, and raises where it may not be any more."""
        self._family = family
        self._folder = folder
        self._permit = permit
        # Two families make different things of the same encoder's weights.
        self._image_encoder = family.name + _part_hash(family.folder / "vae")
        readers = [family.name, *(_part_hash(family.folder / name) for name in sorted(family.text_encoders))]
        readers += [_folder_hash(family.folder / name) for name in sorted(family.tokenizers)]
        # And the same weights in fewer bits read a little differently.
        readers += [precision(encoder) for encoder in family.text_encoders.values()]
        self._text_encoder = "".join(readers)

    def portrait(self, row: Mapping[str, Any], flip: bool = False) -> Example:
        """One row of the prepared portraits, encoded; mirrored on request."""
        image, mask = row["image"].convert("RGB"), row["mask"].convert("L")
        if flip:
            image, mask = ImageOps.mirror(image), ImageOps.mirror(mask)
        key = _digest(image.tobytes(), mask.tobytes(), str(image.size).encode(), self._image_encoder.encode())
        tensors: dict[str, Any] = self._cached("portraits", key, lambda: self._encode_image(image, mask))
        original = (row["original_height"], row["original_width"])
        return Example(**tensors, caption=row["caption"], photo=row["digest"], original=original)

    def text(self, prompts: Iterable[str]) -> Texts:
        """The conditioning of every prompt."""
        return Texts({prompt: self._prompt(prompt) for prompt in sorted(set(prompts))})

    def latents(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """Latents that the base itself made, under a key that says how."""
        digest = _digest(key.encode(), self._image_encoder.encode(), self._text_encoder.encode())
        return self._cached("class", digest, lambda: {"latents": make()})["latents"]

    def _prompt(self, prompt: str) -> dict[str, Tensor]:
        key = _digest(prompt.encode(), self._text_encoder.encode())
        return self._cached("text", key, lambda: _first(self._family.encode_text([prompt])))

    def _encode_image(self, image: Image.Image, mask: Image.Image) -> dict[str, Tensor]:
        mean, std = self._family.encode_image(_pixels(image) * 2 - 1)
        shape = mean.shape[-2:]
        small = F.adaptive_avg_pool2d(_pixels(mask), (shape[0], shape[1]))
        return {"mean": mean[0], "std": std[0].expand_as(mean[0]), "mask": small[0]}

    @torch.no_grad()
    def _cached(self, kind: str, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        path = self._folder / kind / f"{key}.safetensors"
        if path.is_file():
            try:
                return safetensors.torch.load_file(path)
            except SafetensorError:
                pass  # a damaged file is made anew
        made = {name: tensor.float().cpu().contiguous().clone() for name, tensor in make().items()}
        self._permit()
        files.write_bytes(path, safetensors.torch.save(made))
        return made


class Texts:
    """Conditioning by prompt, ready to be stacked for a batch."""

    def __init__(self, by_prompt: Mapping[str, dict[str, Tensor]]) -> None:
        self._by_prompt = dict(by_prompt)

    def stack(self, prompts: Iterable[str], device: torch.device | str = "cpu") -> dict[str, Tensor]:
        """What ``Family.predict`` takes for these prompts, every tensor batch first."""
        rows = [self._by_prompt[prompt] for prompt in prompts]
        return {name: torch.stack([row[name] for row in rows]).to(device) for name in rows[0]}


def _pixels(image: Image.Image) -> Tensor:
    """(1, C, H, W) in [0, 1]."""
    array = torch.from_numpy(np.array(image, dtype=np.float32)) / 255
    return array.reshape(1, image.height, image.width, -1).permute(0, 3, 1, 2)


def _first(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor[0] for name, tensor in batch.items()}


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256(_VERSION)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _part_hash(folder: Path) -> str:
    """Of weights and configuration: by that latents are scaled, and layers left out."""
    return weights_hash(folder) + files.sha256(folder / "config.json")


def _folder_hash(folder: Path) -> str:
    return "".join(files.sha256(path) for path in sorted(folder.iterdir()) if path.is_file())
