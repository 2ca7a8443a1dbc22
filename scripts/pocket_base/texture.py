"""How far a picture's fine texture is from another's, wherever in it each grain lies.

Squared error makes a decoder leave out what it cannot place: pores, hair and the camera's noise, so that skin comes out as
plastic. Here a window of one picture is compared with the same window of the other by how often its small random filters
answer how strongly, not where: the sliced Wasserstein distance of textures (Heitz et al. 2021, arXiv 2006.07229), with
random filters (Gaussian, 5 x 5, without a mean) in place of a trained network's, on what is finer than shading.

The cheapest texture is a weave: what the up-sampling convolutions draw every second, fourth or eighth pixel. So how much of a
window's texture comes back so often is compared, too.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad

FILTERS, FILTER = 12, 5
COARSE = 7
"""Side in pixels of the box whose mean is shading."""
WINDOW = 16
"""Pixels; as many as a latent is wide."""
PERIODS = (2, 4, 8, 16)
"""In pixels, of what the decoder's levels can repeat."""
FLOOR = 0.004
"""Of answers, in [-1, 1] pixel values, under which a window has no texture that matters."""


def texture_error(made: Tensor, real: Tensor, weights: Tensor) -> Tensor:
    """Of pictures (N, 3, S, S) in [-1, 1], in parts of the real windows' own texture; weighted by (N, 1, S, S) of mean 1,
    but for what comes back, which counts everywhere.

    Filters, and where windows begin, are drawn anew in every call.
    """
    filters = torch.randn(FILTERS, 3, FILTER, FILTER, device=made.device)
    filters -= filters.mean((1, 2, 3), keepdim=True)
    filters /= filters.flatten(1).norm(dim=1)[:, None, None, None]
    left, top = torch.randint(0, WINDOW, (2,)).tolist()
    # In bfloat16, 127 and 128 are one number.
    with torch.autocast(made.device.type, enabled=False):
        drawn, wanted = fine(made.float()), fine(real.float())
        answers, own = (
            _windows(conv2d(maps, filters)[..., top:, left:]).sort(dim=-1).values for maps in (drawn, wanted)
        )
        scale = own.abs().mean(-1) + FLOOR
        edge = FILTER // 2
        inner = weights[..., edge : weights.shape[-2] - edge, edge : weights.shape[-1] - edge][..., top:, left:]
        apart = (answers - own).abs().mean(-1) / scale * avg_pool2d(inner, WINDOW).flatten(2)
        return apart.mean() + (weave(drawn) - weave(wanted)).abs().mean()


def fine(pictures: Tensor) -> Tensor:
    """What pictures (N, C, H, W) have that is finer than shading."""
    side = COARSE // 2
    return pictures - avg_pool2d(pad(pictures, (side, side, side, side), mode="reflect"), COARSE, stride=1)


def weave(maps: Tensor) -> Tensor:
    """(N, C, periods): how much of the texture (N, C, H, W) of windows of 32 px comes back with each of PERIODS; noise has 1 of each, less 1 / period².

    A window is folded to one period. By chance about 1 / repeats² of its variance is left there.
    """
    windows = _windows(maps, 2 * WINDOW)
    variance = windows.var(dim=-1) + FLOOR**2
    found = []
    for period in PERIODS:
        repeats = 2 * WINDOW // period
        folded = windows.unflatten(-1, (repeats, period, repeats, period)).mean((-4, -2)).flatten(-2)
        found.append((folded.var(dim=-1, unbiased=False) * repeats**2 / variance).mean(-1))
    return torch.stack(found, dim=-1)


def _windows(maps: Tensor, side: int = WINDOW) -> Tensor:
    """(N, K, H, W) to (N, K, windows, side²); what is left over at right and bottom is cut off."""
    rows, columns = (length // side for length in maps.shape[-2:])
    maps = maps[..., : rows * side, : columns * side]
    tiles = maps.unflatten(3, (columns, side)).unflatten(2, (rows, side)).permute(0, 1, 2, 4, 3, 5)
    return tiles.flatten(4).flatten(2, 3)
