"""An identity loss: does the picture that the denoiser sees behind the noise show the person, by a recogniser's eye?

The clean latents that follow from a prediction are decoded, the face is aligned by where it lies on the portrait, and its vector
is held against the mean vector of the portraits that are trained on (as PhotoMaker's and PuLID's trainings do; PuLID is Guo et
al. 2024, arXiv 2404.16022):

    loss += weight * mean over the person's samples of  signal(t) * (1 - cos(e(x0), mean e))

signal(t) is the share of the picture in the power of what the denoiser sees: where noise is nearly all, the picture behind it is a blur, which a
recogniser cannot judge, so that such samples are left out, and cost no decoding. Only the recogniser of the drawn world can be
differentiated, and it knows drawn people only; who trains with it must not select or report with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import ImageOps
from torch import Tensor

from likeness.errors import LikenessError
from likeness.faces import FaceFinder
from likeness.faces.scorer import looked_at
from likeness.faces.world import WorldRecogniser, align
from likeness.families import Family
from training.objective import IdentitySettings, Losses


class Looker:
    """Where the face lies on each portrait, and the mean vector of them all."""

    def __init__(self, network: WorldRecogniser, finder: FaceFinder) -> None:
        self.network, self._finder = network, finder
        self._vectors: list[Tensor] = []

    @torch.no_grad()
    def points(self, row: Mapping[str, Any], flip: bool) -> Tensor:
        """Eyes, nose tip and mouth corners (5, 2) in px of a prepared portrait; NaN where no face is found."""
        image = row["image"].convert("RGB")
        image = ImageOps.mirror(image) if flip else image
        large = looked_at(image)
        faces = self._finder.find(large)
        if not faces:
            return torch.full((5, 2), torch.nan)
        # (0, 0) is the middle of the first pixel.
        points = torch.from_numpy((faces[0].points5 + 0.5) * image.width / large.shape[1] - 0.5).float()
        pixels = torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
        self._vectors.append(self.network(align(pixels, points[None], self.network.side))[0])
        return points

    def target(self) -> Tensor:
        """The unit vector (dim,) of all portraits looked at. Raises LikenessError when none has a face."""
        if not self._vectors:
            what = "the identity loss finds no face on the portraits"
            raise LikenessError(what, "Set objective.identity.weight to 0, or look at: likeness check")
        return F.normalize(torch.stack(self._vectors).mean(dim=0), dim=0)


class IdentityLoss:
    """Adds the term to the losses of a forward pass."""

    def __init__(self, settings: IdentitySettings, family: Family, network: WorldRecogniser, target: Tensor) -> None:
        """``family``: with its VAE. ``target`` (dim,): a unit vector of ``network``'s."""
        self._settings, self._family, self._network, self._target = settings, family, network, target
        self.recogniser = network.settings.id

    def add(self, cost: Losses, prediction: Tensor, noisy: Tensor, timesteps: Tensor, points: Tensor) -> Losses:
        """The losses with the term of the person's P samples in ``total``; ``points`` (P, 5, 2) in px, NaN where unknown."""
        schedule = self._family.schedule
        signal = schedule.signal(timesteps)
        seen = (signal >= self._settings.least_signal) & points.isfinite().all(dim=(1, 2))
        if not seen.any():
            return cost
        clean = schedule.noise_to_x0(prediction[seen].float(), noisy[seen].float(), timesteps[seen])
        pixels = self._family.decode_latents(clean).float()
        vectors = self._network(align(pixels, points[seen], self._network.side))
        # A mean over all samples, so that a step's weight does not hang on how many of them are clean enough.
        term = (signal[seen] * (1 - vectors @ self._target)).sum() / len(timesteps)
        return replace(cost, total=cost.total + self._settings.weight * term)
