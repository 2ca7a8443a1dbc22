"""What is where in a picture: triangles and strands of hair drawn into buffers of depth, on the processor (numba).

Points are (N, 3): column and row in pixels, and the distance from the camera, which must be positive. Buffers are (H, W).
"""

from __future__ import annotations

import math

import numba

kernel = numba.njit(cache=True, fastmath=True)


@kernel
def _covered(low, high, size):  # type: ignore[no-untyped-def]
    """The pixels between two coordinates, inside a picture of that size."""
    return max(0, math.floor(low)), min(size - 1, math.ceil(high))


@kernel
def triangles(points, corners, cutout, atlas, uv, depth, owner, weights):  # type: ignore[no-untyped-def]
    """Draw triangles (T, 3) into `depth`, their numbers into `owner` and two barycentric weights into `weights`.

    cutout (T,): the layer of `atlas` (L, S, S) whose opacity at `uv` (T, 3, 2) decides, by a dither, whether a pixel is
    covered; -1 is solid.
    """
    height, width = depth.shape
    for t in range(corners.shape[0]):
        i, j, k = corners[t, 0], corners[t, 1], corners[t, 2]
        x0, y0, z0 = points[i, 0], points[i, 1], points[i, 2]
        x1, y1, z1 = points[j, 0], points[j, 1], points[j, 2]
        x2, y2, z2 = points[k, 0], points[k, 1], points[k, 2]
        if z0 <= 0.1 or z1 <= 0.1 or z2 <= 0.1:
            continue
        left, right = _covered(min(x0, x1, x2), max(x0, x1, x2), width)
        top, bottom = _covered(min(y0, y1, y2), max(y0, y1, y2), height)
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if left > right or top > bottom or abs(area) < 1e-9:
            continue
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                a = ((x1 - x - 0.5) * (y2 - y - 0.5) - (x2 - x - 0.5) * (y1 - y - 0.5)) / area
                b = ((x2 - x - 0.5) * (y0 - y - 0.5) - (x0 - x - 0.5) * (y2 - y - 0.5)) / area
                if a < 0 or b < 0 or a + b > 1:
                    continue
                z = 1 / (a / z0 + b / z1 + (1 - a - b) / z2)
                if z >= depth[y, x]:
                    continue
                a, b = a * z / z0, b * z / z1
                if cutout[t] >= 0:
                    u = uv[t, 0, 0] * a + uv[t, 1, 0] * b + uv[t, 2, 0] * (1 - a - b)
                    v = uv[t, 0, 1] * a + uv[t, 1, 1] * b + uv[t, 2, 1] * (1 - a - b)
                    dither = ((x * 73856093) ^ (y * 19349663) ^ (t * 83492791)) & 1023
                    if _texel(atlas, cutout[t], u, v) < (dither + 0.5) / 1024 * 0.9 + 0.05:
                        continue
                depth[y, x] = z
                owner[y, x] = t
                weights[y, x, 0] = a
                weights[y, x, 1] = b


@kernel
def _texel(atlas, layer, u, v):  # type: ignore[no-untyped-def]
    size = atlas.shape[1]
    column, row = min(size - 1, max(0, int(u * size))), min(size - 1, max(0, int((1 - v) * size)))
    return atlas[layer, row, column]


@kernel
def coverage(points, corners, layer, atlas, uv, bias, depth, opacity, owner):  # type: ignore[no-untyped-def]
    """Lay see-through triangles over what `depth` holds: how much of each pixel they cover, and which of them lies there.

    layer: of `atlas`, whose opacity is taken, or -1 for solid triangles. bias: how far behind the surface they may lie.
    """
    height, width = depth.shape
    for t in range(corners.shape[0]):
        i, j, k = corners[t, 0], corners[t, 1], corners[t, 2]
        x0, y0, z0 = points[i, 0], points[i, 1], points[i, 2]
        x1, y1, z1 = points[j, 0], points[j, 1], points[j, 2]
        x2, y2, z2 = points[k, 0], points[k, 1], points[k, 2]
        if z0 <= 0.1 or z1 <= 0.1 or z2 <= 0.1:
            continue
        left, right = _covered(min(x0, x1, x2), max(x0, x1, x2), width)
        top, bottom = _covered(min(y0, y1, y2), max(y0, y1, y2), height)
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if left > right or top > bottom or abs(area) < 1e-9:
            continue
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                a = ((x1 - x - 0.5) * (y2 - y - 0.5) - (x2 - x - 0.5) * (y1 - y - 0.5)) / area
                b = ((x2 - x - 0.5) * (y0 - y - 0.5) - (x0 - x - 0.5) * (y2 - y - 0.5)) / area
                c = 1 - a - b
                if a < 0 or b < 0 or c < 0 or a * z0 + b * z1 + c * z2 > depth[y, x] + bias:
                    continue
                opaque = 1.0
                if layer >= 0:
                    u = uv[t, 0, 0] * a + uv[t, 1, 0] * b + uv[t, 2, 0] * c
                    v = uv[t, 0, 1] * a + uv[t, 1, 1] * b + uv[t, 2, 1] * c
                    opaque = _texel(atlas, layer, u, v)
                if opaque >= 0.01:
                    opacity[y, x] = 1 - (1 - opacity[y, x]) * (1 - opaque)
                    owner[y, x] = t


@kernel
def strands(lines, camera, focal, thickness, depth, owner, along):  # type: ignore[no-untyped-def]
    """Draw strands (S, P, 3) as lines that taper, in front of what `depth` holds.

    camera: (3, 4), from the strands' own space to right, down and away from the camera. thickness: pixels at the root;
    below one a part of the pixels is left out. owner: the strand's number; along: 0 at its root to 1 at its tip.
    """
    height, width = depth.shape
    count, length = lines.shape[0], lines.shape[1]
    for s in range(count):
        x0 = y0 = z0 = 0.0
        for k in range(length):
            px, py, pz = lines[s, k, 0], lines[s, k, 1], lines[s, k, 2]
            z1 = camera[2, 0] * px + camera[2, 1] * py + camera[2, 2] * pz + camera[2, 3]
            scale = focal / max(z1, 0.1)
            x1 = (camera[0, 0] * px + camera[0, 1] * py + camera[0, 2] * pz + camera[0, 3]) * scale + width * 0.5
            y1 = (camera[1, 0] * px + camera[1, 1] * py + camera[1, 2] * pz + camera[1, 3]) * scale + height * 0.5
            if k > 0 and z0 > 0.1 and z1 > 0.1:
                dx, dy = x1 - x0, y1 - y0
                steps = int(max(abs(dx), abs(dy))) + 1
                if steps <= 800:
                    for q in range(steps):
                        f = (q + 0.5) / steps
                        x, y, z, t = x0 + dx * f, y0 + dy * f, z0 + (z1 - z0) * f, (k - 1 + f) / (length - 1)
                        wide = thickness * (1 - 0.6 * t)
                        if wide < 1 and ((s * 7919) ^ (k * 104729) ^ (q * 1299709)) & 1023 > wide * 1023:
                            continue
                        for o in range(int(wide) + 1 if wide > 1 else 1):
                            shift = -wide * 0.5 + o + 0.5
                            xi, yi = (int(x + shift), int(y)) if abs(dy) > abs(dx) else (int(x), int(y + shift))
                            if 0 <= xi < width and 0 <= yi < height and z < depth[yi, xi]:
                                depth[yi, xi] = z
                                owner[yi, xi] = s
                                along[yi, xi] = t
            x0, y0, z0 = x1, y1, z1


@kernel
def bilinear(texture, uv, out):  # type: ignore[no-untyped-def]
    """`texture` (H, W, C) at uv (N, 2), v upwards, into `out` (N, C)."""
    height, width, channels = texture.shape
    for i in range(uv.shape[0]):
        x, y = uv[i, 0] * width - 0.5, (1 - uv[i, 1]) * height - 0.5
        x0, y0 = math.floor(x), math.floor(y)
        fx, fy = x - x0, y - y0
        left, right = min(width - 1, max(0, x0)), min(width - 1, max(0, x0 + 1))
        top, bottom = min(height - 1, max(0, y0)), min(height - 1, max(0, y0 + 1))
        for c in range(channels):
            above = texture[top, left, c] * (1 - fx) + texture[top, right, c] * fx
            below = texture[bottom, left, c] * (1 - fx) + texture[bottom, right, c] * fx
            out[i, c] = above * (1 - fy) + below * fy
