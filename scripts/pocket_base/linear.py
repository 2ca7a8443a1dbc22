"""An autoencoder that starts as principal components instead of noise.

From random weights the autoencoder has seen 20,000 pictures before it keeps colours: too long for a CPU. But it contains a
linear autoencoder: the convolutions that change resolution and the 1x1 shortcuts. Here those get closed-form weights: each
down-sampling keeps the principal components of 2x2 cells, and each up-sampling is the least-squares way back. What else is
in the network starts as the identity:

- residual bodies and attention end in zeros, so that each block is its shortcut;
- the two output norms cannot be left out, so each of their groups gets constant channels K and -K, next to which the signals
  hardly change the group's variance, and each signal beside its negative, so that the mean stays zero;
- silu(x) - silu(-x) = x undoes the activation between norm and last convolution.

The encoder stays as it is made here until the whole autoencoder is trained, and where it is not to learn then, for good. The
decoder's up-sampling of nearest neighbours cannot draw the finest alternation of its grid linearly; what that costs, its residual bodies learn (`vae.py`).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

CONSTANT = 16.0
LOG_VARIANCE = -6.0
RIDGE = 1e-4
# With latents of unit variance the denoiser would spend as much on the faintest component as on the strongest; like this it
# draws from coarse to fine, as it does with pixels, whose spectrum falls.
WHITENING = 0.5


def kept(vae: AutoencoderKL) -> list[int]:
    """How many components each down-sampling keeps; the last are the latents."""
    counts, channels = [3], vae.config.block_out_channels
    for width in channels[:-1]:
        counts.append(min(4 * counts[-1], width))
    return [*counts[1:-1], vae.config.latent_channels]


@torch.no_grad()
def features(vae: Any, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
    """Pixels, then the components kept by each down-sampling but the last, fine to coarse; and the latents."""
    found, hidden = [pixels], vae.encoder.conv_in(pixels)
    for block, count in zip(vae.encoder.down_blocks[:-1], kept(vae), strict=True):
        hidden = block.downsamplers[0](_shortcut(block)(hidden))
        found.append(hidden[:, :count])
    # Without the residual bodies and the attention, which add nothing here and cost most.
    encoder = vae.encoder
    hidden = _shortcut(encoder.down_blocks[-1])(hidden)
    moments = vae.quant_conv(encoder.conv_out(F.silu(encoder.conv_norm_out(hidden))))
    return found[:-1], moments.chunk(2, dim=1)[0]


@torch.no_grad()
def construct(vae: Any, pixels: Tensor) -> None:
    """Give `vae` the weights that the head of this file describes, from pictures (N, 3, S, S) in [-1, 1]."""
    for name, module in vae.named_modules():
        if name.endswith(("conv2", "to_out.0")):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    for conv in (vae.quant_conv, vae.post_quant_conv, vae.encoder.conv_in, vae.decoder.conv_in):
        _pass_through(conv)
    hidden = pixels
    for block, count in zip(vae.encoder.down_blocks[:-1], kept(vae), strict=True):
        _pass_through(_shortcut(block))
        hidden = _principal_components(block.downsamplers[0].conv, hidden, count)
    scale = hidden.std((0, 2, 3)) ** -WHITENING
    to_latents = hidden.new_zeros(len(scale), _shortcut(vae.encoder.down_blocks[-1]).in_channels)
    to_latents[:, : len(scale)] = torch.diag(scale)
    _set_output(_shortcut(vae.encoder.down_blocks[-1]), vae.encoder, to_latents)
    vae.encoder.conv_out.bias[len(scale) :] = LOG_VARIANCE
    vae.decoder.conv_in.weight[: len(scale), : len(scale), 1, 1] = torch.diag(1 / scale)
    for block in vae.decoder.up_blocks[:-1]:
        _pass_through(_shortcut(block))
    last = _shortcut(vae.decoder.up_blocks[-1])
    _set_output(last, vae.decoder, torch.eye(3, last.in_channels))


def through(vae: Any, latents: Tensor, level: int) -> Tensor:
    """What the decoder has made of latents after the residual blocks that follow its `level`-th up-sampling."""
    decoder = vae.decoder
    hidden = _residuals(decoder.up_blocks[0], decoder.mid_block(decoder.conv_in(vae.post_quant_conv(latents))))
    for number in range(level):
        hidden = step(vae, hidden, number + 1)
    return hidden


def step(vae: Any, hidden: Tensor, level: int) -> Tensor:
    """From the end of one level of the decoder to the end of the next."""
    blocks = vae.decoder.up_blocks
    return _residuals(blocks[level], blocks[level - 1].upsamplers[0](hidden))


def colours(vae: Any, hidden: Tensor) -> Tensor:
    """From the end of the decoder's last level to pixels."""
    return vae.decoder.conv_out(F.silu(vae.decoder.conv_norm_out(hidden)))


@torch.no_grad()
def least_squares(vae: Any, level: int, batches: list[Tensor]) -> None:
    """Set the `level`-th up-sampling (1 is the coarsest) to the best linear way to that level's features."""
    conv = vae.decoder.up_blocks[level - 1].upsamplers[0].conv
    width = 9 * conv.in_channels + 1
    gram = torch.zeros(width, width, dtype=torch.float64, device=conv.weight.device)
    moment = gram.new_zeros(())
    for pixels in batches:
        found, latents = features(vae, pixels)
        hidden = F.interpolate(through(vae, latents, level - 1), scale_factor=2.0)
        rows = F.unfold(hidden, 3, padding=1).permute(0, 2, 1).reshape(-1, width - 1)
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], 1)
        wanted = found[-level].permute(0, 2, 3, 1).flatten(0, 2)
        gram = gram + (rows.T @ rows).double()
        moment = moment + (rows.T @ wanted).double()
    gram += torch.eye(width, dtype=gram.dtype, device=gram.device) * RIDGE * gram.diagonal().mean()
    solution = torch.linalg.solve(gram, moment).T.float()
    count = len(solution)
    _pass_through(conv)
    # The features come first; behind them, what was there before goes on as far as there is room.
    conv.weight[count:] = conv.weight[: len(conv.weight) - count].clone()
    conv.weight[:count] = solution[:, :-1].reshape(count, -1, 3, 3)
    conv.bias[:count] = solution[:, -1]


def _shortcut(block: Any) -> Any:
    found = block.resnets[0].conv_shortcut
    return nn.Identity() if found is None else found


def _residuals(block: Any, hidden: Tensor) -> Tensor:
    for resnet in block.resnets:
        hidden = resnet(hidden, None)
    return hidden


def _pass_through(conv: Any) -> None:
    """Channel i in becomes channel i out, as many as there are of both."""
    if isinstance(conv, nn.Identity):
        return
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    middle = conv.kernel_size[0] // 2
    for channel in range(min(conv.in_channels, conv.out_channels)):
        conv.weight[channel, channel, middle, middle] = 1


def _principal_components(conv: Any, hidden: Tensor, count: int) -> Tensor:
    """Let a down-sampling keep the first components of 2x2 cells of `hidden`; returns them."""
    channels = hidden.shape[1]
    cells = F.pixel_unshuffle(hidden, 2).permute(0, 2, 3, 1).flatten(0, 2).double()
    mean = cells.mean(0)
    directions = torch.linalg.eigh((cells - mean).T @ (cells - mean)).eigenvectors.flip(1)[:, :count].T
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    conv.weight[:count, :channels, :2, :2] = directions.reshape(count, channels, 2, 2).float()
    conv.bias[:count] = -(directions @ mean).float()
    padded = F.pad(hidden, (0, 1, 0, 1))
    return F.conv2d(padded, conv.weight[:count, :channels], conv.bias[:count], stride=2)


def _set_output(before: Any, half: Any, wanted: Tensor) -> None:
    """Let `before`, then norm, SiLU and last convolution of an encoder or decoder, compute the matrix `wanted`."""
    norm, last, signals = half.conv_norm_out, half.conv_out, len(wanted)
    size = norm.num_channels // norm.num_groups
    per_group = -(-signals // norm.num_groups)
    constants = (size - 2 * per_group) // 2
    assert constants >= 1, "the last block needs room for a pair of constants in every group"
    for weights in (before.weight, before.bias, last.weight, last.bias):
        nn.init.zeros_(weights)
    for group in range(norm.num_groups):
        for place, signal in enumerate(range(group * per_group, min(signals, (group + 1) * per_group))):
            for channel, sign in ((group * size + place, 1.0), (group * size + per_group + place, -1.0)):
                before.weight[channel, :, 0, 0] = sign * wanted[signal]
                last.weight[signal, channel, 1, 1] = sign
        begin = group * size + 2 * per_group
        before.bias[begin : begin + constants] = CONSTANT
        before.bias[begin + constants : begin + 2 * constants] = -CONSTANT
    nn.init.constant_(norm.weight, CONSTANT * (2 * constants / size) ** 0.5)
    nn.init.zeros_(norm.bias)
