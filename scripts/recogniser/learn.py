"""What the recogniser learns by, and what it is judged by on people it never saw."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from likeness.faces.world import WorldRecogniser

from . import faces as pictures
from .faces import Faces


class CosFace(nn.Module):
    """Softmax over the training people with a margin on the cosine (Wang et al. 2018, arXiv:1801.09414)."""

    def __init__(self, network: WorldRecogniser, people: int, scale: float, margin: float) -> None:
        super().__init__()
        self.network, self.scale, self.margin = network, scale, margin
        self.centres = nn.Parameter(torch.randn(people, network.settings.dim) * 0.1)

    def forward(self, crops: Tensor, person: Tensor) -> Tensor:
        """Mean loss of crops (B, 3, side, side) of the people (B,)."""
        cosines = self.network(crops) @ nn.functional.normalize(self.centres, dim=-1).T
        own = nn.functional.one_hot(person, len(self.centres))
        return nn.functional.cross_entropy(self.scale * (cosines - self.margin * own), person)


@torch.no_grad()
def settle(network: WorldRecogniser, faces: Faces, seed: int, batches: int = 40, size: int = 96) -> None:
    """Takes the statistics of batch norm anew: those that training left belong to the last weights, not to their average."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean of all batches
    network.train()
    for number in range(batches):
        network(pictures.batch(faces, size, network.side, np.random.default_rng([seed, 2, number]))[0])
    network.eval()


@torch.inference_mode()
def vectors(network: WorldRecogniser, faces: Faces, face_px: float | None = None) -> np.ndarray:
    """Unit vectors (N, dim) of all faces; with `face_px`, as seen on pictures where faces are that large."""
    rows = np.arange(len(faces.person))
    return np.concatenate(
        [
            network(pictures.plain(faces, part, network.side, face_px)).numpy()
            for part in np.array_split(rows, len(rows) // 200 + 1)
        ]
    )


def judge(found: np.ndarray, person: np.ndarray, portrait: np.ndarray, false_matches: float) -> dict[str, float]:
    """Figures of unit vectors (N, dim) of people (N,): cosines, the threshold at that share of false matches, who is nearest.

    `rank_1`: share of the selfies whose nearest studio portrait is their own person's.
    """
    cosines = found @ found.T
    upper = np.triu(np.ones_like(cosines, bool), 1)
    alike = person[:, None] == person
    same, different = cosines[upper & alike], cosines[upper & ~alike]
    threshold = float(np.quantile(different, 1 - false_matches))
    nearest = person[portrait][cosines[~portrait][:, portrait].argmax(axis=1)]
    return {
        "same_median": float(np.median(same)),
        "same_1st_percentile": float(np.quantile(same, 0.01)),
        "different_median": float(np.median(different)),
        "different_99th_percentile": float(np.quantile(different, 0.99)),
        "threshold": threshold,
        "false_matches": false_matches,
        "true_matches": float((same > threshold).mean()),
        "rank_1": float((nearest == person[~portrait]).mean()),
        "pairs_same": len(same),
        "pairs_different": len(different),
    }
