"""Light on surfaces and on hair: each light is a direction with a shadow map of its own (numba).

Skin scatters light (a Lambert lobe that wraps around, most in red) and glosses (Cook and Torrance's form with the GGX
distribution); hair has the two glosses of Marschner et al. 2003, one untinted and one through the fibre. Where a strand
lies before a point, light is let through by how much hair lies there (a deep shadow map with one layer).
"""

from __future__ import annotations

import math

import numba

kernel = numba.njit(cache=True, fastmath=True)
FAR = 1e9


@kernel
def solid_shadow(points, corners, frame, scale, depth):  # type: ignore[no-untyped-def]
    """Depth (S, S) of triangles seen from the light; those that face away from it are left out.

    points: about the map's centre. frame: (3, 3), rows right, up and away from the light.
    """
    size = depth.shape[0]
    seen = points @ frame.T
    for t in range(corners.shape[0]):
        i, j, k = corners[t, 0], corners[t, 1], corners[t, 2]
        half = size * 0.5
        x0, y0 = seen[i, 0] * scale + half, seen[i, 1] * scale + half
        x1, y1 = seen[j, 0] * scale + half, seen[j, 1] * scale + half
        x2, y2 = seen[k, 0] * scale + half, seen[k, 1] * scale + half
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area < 1e-9:
            continue
        left, right = max(0, int(min(x0, x1, x2))), min(size - 1, int(max(x0, x1, x2)) + 1)
        top, bottom = max(0, int(min(y0, y1, y2))), min(size - 1, int(max(y0, y1, y2)) + 1)
        over = 1 / area
        z0, z1, z2 = seen[i, 2], seen[j, 2], seen[k, 2]
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                a = ((x1 - x - 0.5) * (y2 - y - 0.5) - (x2 - x - 0.5) * (y1 - y - 0.5)) * over
                b = ((x2 - x - 0.5) * (y0 - y - 0.5) - (x0 - x - 0.5) * (y2 - y - 0.5)) * over
                if a < -0.01 or b < -0.01 or a + b > 1.01:
                    continue
                z = a * z0 + b * z1 + (1 - a - b) * z2
                depth[y, x] = min(depth[y, x], z)


@kernel
def hair_shadow(lines, frame, scale, weight, depth, count):  # type: ignore[no-untyped-def]
    """The nearest strand and how many lie in each cell of the map. frame: (3, 4), from the strands' own space."""
    size = depth.shape[0]
    half = size * 0.5
    for s in range(lines.shape[0]):
        x0 = y0 = z0 = 0.0
        for k in range(lines.shape[1]):
            px, py, pz = lines[s, k, 0], lines[s, k, 1], lines[s, k, 2]
            x1 = (frame[0, 0] * px + frame[0, 1] * py + frame[0, 2] * pz + frame[0, 3]) * scale + half
            y1 = (frame[1, 0] * px + frame[1, 1] * py + frame[1, 2] * pz + frame[1, 3]) * scale + half
            z1 = frame[2, 0] * px + frame[2, 1] * py + frame[2, 2] * pz + frame[2, 3]
            if k > 0:
                steps = int(max(abs(x1 - x0), abs(y1 - y0))) + 1
                for q in range(min(steps, 400)):
                    f = (q + 0.5) / steps
                    x, y, z = int(x0 + (x1 - x0) * f), int(y0 + (y1 - y0) * f), z0 + (z1 - z0) * f
                    if 0 <= x < size and 0 <= y < size:
                        count[y, x] += weight
                        depth[y, x] = min(depth[y, x], z)
            x0, y0, z0 = x1, y1, z1


@kernel
def light_surface(at, normal, view, wrap, rough, facing, frame, scale, direction, radiance, maps, diffuse, gloss):  # type: ignore[no-untyped-def]
    """Add one light to `diffuse` and `gloss` (N, 3) of points `at` (about the maps' centre).

    wrap: (N, 3), how far light wraps around by channel. rough, facing (N,): of the gloss, and its strength face on.
    maps: (3, S, S): depth of solids, depth of hair, count of hair.
    """
    size = maps.shape[1]
    for i in range(at.shape[0]):
        nx, ny, nz = normal[i, 0], normal[i, 1], normal[i, 2]
        lit = nx * direction[0] + ny * direction[1] + nz * direction[2]
        if lit <= -wrap[i, 0]:
            continue
        px, py, pz = at[i, 0] + nx * 0.02, at[i, 1] + ny * 0.02, at[i, 2] + nz * 0.02
        u = (px * frame[0, 0] + py * frame[0, 1] + pz * frame[0, 2]) * scale + size * 0.5 - 0.5
        v = (px * frame[1, 0] + py * frame[1, 1] + pz * frame[1, 2]) * scale + size * 0.5 - 0.5
        z = px * frame[2, 0] + py * frame[2, 1] + pz * frame[2, 2]
        x0, y0 = math.floor(u), math.floor(v)
        fu, fv = u - x0, v - y0
        seen = 0.0
        for a in range(2):
            for b in range(2):
                x, y, w = x0 + a, y0 + b, (fu if a else 1 - fu) * (fv if b else 1 - fv)
                if x < 0 or y < 0 or x >= size or y >= size:
                    seen += w
                elif z <= maps[0, y, x] + 0.04:
                    seen += w * (math.exp(-0.55 * maps[2, y, x]) if z - maps[1, y, x] > 0.04 else 1.0)
        if seen <= 0.002:
            continue
        for c in range(3):
            spread = (lit + wrap[i, c]) / ((1 + wrap[i, c]) * (1 + wrap[i, c]))
            if spread > 0:
                diffuse[i, c] += seen * spread * radiance[c]
        if lit > 0:
            vx, vy, vz = view[i, 0], view[i, 1], view[i, 2]
            hx, hy, hz = vx + direction[0], vy + direction[1], vz + direction[2]
            over = 1 / math.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
            nh, vh = max(0.0, (nx * hx + ny * hy + nz * hz) * over), max(0.0, (vx * hx + vy * hy + vz * hz) * over)
            nv, alpha = max(0.02, nx * vx + ny * vy + nz * vz), rough[i] * rough[i]
            q = nh * nh * (alpha * alpha - 1) + 1
            spike = min(60.0, alpha * alpha / (3.14159 * q * q + 1e-9))
            k = alpha * 0.5
            shadowing = 1 / ((nv * (1 - k) + k) * (lit * (1 - k) + k) + 1e-6)
            fresnel = facing[i] + (1 - facing[i]) * (1 - vh) ** 5
            shine = seen * lit * spike * shadowing * fresnel * 0.25
            for c in range(3):
                gloss[i, c] += shine * radiance[c]


@kernel
def light_hair(at, tangent, view, frame, scale, direction, radiance, maps, diffuse, first, second):  # type: ignore[no-untyped-def]
    """Add one light to points of hair: scattered, glossed off the fibre's surface, glossed through the fibre; each (N, 3)."""
    size = maps.shape[1]
    for i in range(at.shape[0]):
        px, py, pz = at[i, 0], at[i, 1], at[i, 2]
        x = int((px * frame[0, 0] + py * frame[0, 1] + pz * frame[0, 2]) * scale + size * 0.5)
        y = int((px * frame[1, 0] + py * frame[1, 1] + pz * frame[1, 2]) * scale + size * 0.5)
        z = px * frame[2, 0] + py * frame[2, 1] + pz * frame[2, 2]
        seen = 1.0
        if 0 <= x < size and 0 <= y < size:
            if z > maps[0, y, x] + 0.2:
                continue
            behind = z - maps[1, y, x]
            if behind > 0.015:
                seen = math.exp(-0.55 * min(behind, 0.6) * min(maps[2, y, x], 12.0))
        if seen < 0.01:
            continue
        tl = tangent[i, 0] * direction[0] + tangent[i, 1] * direction[1] + tangent[i, 2] * direction[2]
        tv = tangent[i, 0] * view[i, 0] + tangent[i, 1] * view[i, 1] + tangent[i, 2] * view[i, 2]
        across = math.sqrt(max(0.0, 1 - tl * tl))
        angle = math.acos(min(1.0, max(-1.0, tl))) + math.acos(min(1.0, max(-1.0, tv))) - 3.14159265
        one = seen * math.exp(-(((angle - 0.08) / 0.16) ** 2))
        two = seen * math.exp(-(((angle + 0.12) / 0.30) ** 2))
        for c in range(3):
            diffuse[i, c] += seen * across * radiance[c]
            first[i, c] += one * radiance[c]
            second[i, c] += two * radiance[c]
