"""Interim."""

import numpy as np
from scipy.spatial import cKDTree
from . import mesh, regions, rig

body_tris = regions.body_triangles
head_tris = regions.head_triangles
scalp_tris = regions.scalp_triangles
vnormals = mesh.normals
norm = mesh.unit


def hairline(v, mod={}):
    """smooth 0..1 scalp-hair membership per vertex from azimuth / height landmarks"""
    eye = (rig.joint(v, "eye.L____head") + rig.joint(v, "eye.R____head")) / 2
    top = v[:13380, 1].max()
    zc = 0.35 * eye[2]
    u = (v[:, 1] - eye[1]) / (top - eye[1])
    ph = np.degrees(np.abs(np.arctan2(v[:, 0], v[:, 2] - zc)))
    A = [0, 22, 38, 48, 56, 64, 74, 84, 100, 125, 150, 180]
    h = np.array([0.60, 0.61, 0.60, 0.50, 0.34, 0.10, -0.10, -0.02, -0.12, -0.30, -0.50, -0.55])
    rec = mod.get("recede", 0.0)
    h = h + rec * np.interp(A, [0, 30, 55, 70], [0.35, 0.55, 0.35, 0.0])
    line = np.interp(ph, A, h)
    w = 1 / (1 + np.exp(-(u - line) / 0.03))
    if mod.get("crown", 0):
        w *= 1 - np.clip(mod["crown"] * np.clip((u - 0.85) / 0.1, 0, 1), 0, 1)
    w[13380:] = 0
    return w


def sample(v, T, n, rng, weight=None):
    a = np.linalg.norm(np.cross(v[T[:, 1]] - v[T[:, 0]], v[T[:, 2]] - v[T[:, 0]]), axis=1)
    if weight is not None:
        a = a * weight[T].mean(1)
    c = np.cumsum(a)
    u = (np.arange(n) + rng.random(n)) / n * c[-1]
    t = np.searchsorted(c, u)
    t = np.minimum(t, len(T) - 1)
    r1 = np.sqrt(rng.random(n))
    r2 = rng.random(n)
    b = np.stack([1 - r1, r1 * (1 - r2), r1 * r2], 1)
    p = (v[T[t]] * b[:, :, None]).sum(1)
    return p, t, b


def grow(v, st, rng):
    """returns (N,K,3) strands in model units (dm)."""
    BT = body_tris()
    vn = vnormals(v, BT)
    up = v[:, 1] > 3.0
    ids = np.where(up & (np.arange(len(v)) < 13380))[0]
    tree = cKDTree(v[ids])
    ST = scalp_tris()
    sv = np.unique(ST)
    c = v[sv].mean(0)
    top = v[sv, 1].max()
    bot = v[sv, 1].min()
    zf = v[sv, 2].max()
    zb = v[sv, 2].min()
    hw = np.abs(v[sv, 0]).max()
    H = top - bot
    # normalised coords on scalp: h 0 nape..1 top, fz 0 back..1 front, sx -1..1
    h = (v[:, 1] - bot) / H
    fz = (v[:, 2] - zb) / (zf - zb)
    sx = v[:, 0] / hw
    w = hairline(v, st) ** 1.5
    ng = st.get("guides", 700)
    N = st.get("n", 9000)
    K = st.get("k", 12)
    HT_ = head_tris()
    gp, gt, gb = sample(v, HT_, ng, rng, np.where(w < 0.2, 0, 1.0) + 1e-9)

    def nrm(t, b):
        return norm((vn[head_tris()[t]] * b[:, :, None]).sum(1))

    gn = nrm(gt, gb)
    gh = (gp[:, 1] - bot) / H
    gfz = (gp[:, 2] - zb) / (zf - zb)
    gsx = gp[:, 0] / hw
    # length map
    L = st["len"] * np.ones(ng)
    side = np.clip((st.get("sideh", 0.72) - gh) / 0.25, 0, 1)  # 1 on sides/back
    L = L * (1 - side) + st.get("sidelen", st["len"]) * side
    L *= 1 + st.get("lenjit", 0.12) * rng.standard_normal(ng)
    L = np.clip(L, 0.02, None)
    # comb direction
    part = st.get("part", 0.0)
    s = np.sign(gp[:, 0] - part * hw)
    s[s == 0] = 1
    if st.get("sweep", 0):
        s = np.where(gh > 0.7, np.sign(st["sweep"]) * np.ones(ng), s)
    F = np.zeros((ng, 3))
    cs = st.get("comb", (1, -0.2, -0.4))
    pd = np.abs(gp[:, 0] - part * hw)
    F[:, 0] = s * cs[0] * np.clip(pd / 0.18, 0.45, 1)
    F[:, 1] = cs[1]
    F[:, 2] = cs[2]
    if st.get("fringe"):
        fr = (gfz > 0.72) & (np.abs(gsx) < 0.6) & (gh > 0.6)
        F[fr] = np.array([0, -0.35, 1.0])
        L = np.where(fr, st["fringe"] * (1 + 0.05 * rng.standard_normal(ng)), L)
    if st.get("target") is not None:
        tg = np.array(st["target"]) * [1, 1, 1] + [0, bot, zb]
        F = norm(tg - gp)
    F = norm(F + st.get("combjit", 0.12) * rng.standard_normal((ng, 3)))
    d = norm(gn * st.get("lift", 0.5) + (F - (F * gn).sum(1, keepdims=True) * gn) * 1.0)
    isfr = ((gfz > 0.72) & (np.abs(gsx) < 0.6) & (gh > 0.6)) if st.get("fringe") else np.zeros(ng, bool)
    P = np.zeros((ng, K, 3))
    P[:, 0] = gp - gn * 0.01
    step = L / (K - 1)
    G = np.array([0, -1, 0.0])
    vol = st.get("vol", 0.06)
    layer = 0.25 + 0.75 * rng.random(ng)
    adh = st.get("adh", 0.7)
    grav = st.get("grav", 0.25)
    flow = st.get("flow", 0.5)
    earz = v[sv, 2].min() * 0.5 + v[sv, 2].max() * 0.5
    widey = bot + 0.42 * H
    trav = np.zeros(ng)
    for k in range(1, K):
        x = P[:, k - 1] + d * step[:, None]
        trav += step
        dist, j = tree.query(x)
        bn = vn[ids[j]]
        bp = v[ids[j]]
        sd = ((x - bp) * bn).sum(1)
        ramp = np.clip(trav / max(st.get("rise", 0.25), 1e-3), 0, 1)
        want = layer * vol * ramp * (1 + st.get("topvol", 0.0) * np.clip((x[:, 1] - bot) / H - 0.6, 0, 1) * 2.5)
        onhead = np.clip((x[:, 1] - widey) / 0.25, 0, 1) * np.clip((bn[:, 1] + 0.35) / 0.3, 0, 1)
        corr = want - sd
        corr = np.where(corr > 0, corr, corr * adh * onhead)
        x = x + bn * np.clip(corr, -0.25, 0.4)[:, None]
        if not st.get("nofacepush", 0):
            inface = (
                (x[:, 1] < bot + st.get("facey", 0.80) * H)
                & (x[:, 2] > earz + 0.35)
                & (np.abs(x[:, 0]) < 0.78)
                & (~isfr)
            )
            x[:, 0] += np.where(inface, np.sign(gp[:, 0] + 1e-6 - part * hw * 0.5) * 0.09, 0)
            x[:, 2] -= np.where(inface, 0.05, 0)
        P[:, k] = x
        d = norm(x - P[:, k - 1])
        Ft = norm(F - (F * bn).sum(1, keepdims=True) * bn)
        # on the head follow the comb direction, further down hang
        wF = flow * onhead * np.exp(-trav / st.get("comblen", 1.2))
        d = norm(
            d * (1 - 0.35 * onhead[:, None] * 0)
            + G * (grav * (1.2 - onhead))[:, None]
            + G * grav * 0.5
            + Ft * wF[:, None]
        )
    # children
    HT_ = head_tris()
    p, t, b = sample(v, HT_, N, rng, np.where(w < 0.02, 0, w))
    n = norm((vn[HT_[t]] * b[:, :, None]).sum(1))
    gtree = cKDTree(gp)
    dd, jj = gtree.query(p, k=3)
    # avoid mixing across the parting
    ww = 1 / (dd + 0.01)
    cs_ = np.sign(p[:, 0] - part * hw)
    ww *= np.where((s[jj] == cs_[:, None]) | (bool(st.get("sweep", 0))), 1, 0.02)
    cl = st.get("clump", 0.5)
    ww = ww ** (1 + 3 * cl)
    ww /= ww.sum(1, keepdims=True)
    rel = P - P[:, :1]
    C = (rel[jj] * ww[:, :, None, None]).sum(1)
    # clump toward main guide
    tt = np.linspace(0, 1, K)[None, :, None]
    main = jj[np.arange(N), ww.argmax(1)]
    base = p[:, None] + C
    gpath = P[main]
    base = base * (1 - cl * 0.6 * tt) + gpath * (cl * 0.6 * tt)
    base[:, 0] = p - n * 0.01
    if not st.get("nofacepush", 0):
        ex = (rig.joint(v, "eye.L____head") + rig.joint(v, "eye.R____head")) / 2
        q = base[:, 2:]
        hit = (
            (np.abs(q[..., 0]) < 0.50)
            & (q[..., 1] < ex[1] + (0.42 if not st.get("fringe") else 0.12))
            & (q[..., 1] > ex[1] - 0.85)
            & (q[..., 2] > ex[2] - 0.25)
        ).any(1)
        base = base[~hit]
        p = p[~hit]
        n = n[~hit]
        main = main[~hit]
        N = len(base)
    # shorten randomly
    sc = np.clip(1 - st.get("rag", 0.15) * rng.random(N) ** 2, 0.2, 1)
    # resample: scale param
    if st.get("rag", 0.15) > 0:
        kk = np.linspace(0, 1, K)[None] * sc[:, None] * (K - 1)
        i0 = np.floor(kk).astype(int).clip(0, K - 2)
        fr = (kk - i0)[..., None]
        base = (
            np.take_along_axis(base, i0[..., None], 1) * (1 - fr)
            + np.take_along_axis(base, (i0 + 1)[..., None], 1) * fr
        )
    # curl + frizz
    tan = np.gradient(base, axis=1)
    tan = norm(tan)
    a = norm(np.cross(tan, np.array([0.3, 0.2, 0.9])))
    bb = np.cross(tan, a)
    ln = np.linalg.norm(np.diff(base, axis=1), axis=2).sum(1)
    arc = np.linspace(0, 1, K)[None] * ln[:, None]
    cr = st.get("curl_r", 0.0)
    if cr > 0:
        ph = (rng.random(ng) * 6.28)[main] + rng.normal(0, st.get("curl_jit", 0.4), N)
        fr = st.get("curl_f", 2.0) * (1 + 0.2 * rng.standard_normal(ng))[main]
        th = arc * fr[:, None] * 6.28 + ph[:, None]
        r = cr * np.clip(arc / 0.3, 0, 1)
        base = base + a * (r * np.cos(th))[..., None] + bb * (r * np.sin(th))[..., None]
    fz_ = st.get("frizz", 0.02)
    nz = rng.standard_normal((N, K, 3))
    nz = np.cumsum(nz, 1) / np.sqrt(np.arange(1, K + 1))[None, :, None]
    base = base + nz * fz_ * np.clip(arc / 0.5, 0, 1)[..., None]
    return base


STYLES = {
    "buzz": dict(
        sweep=1,
        len=0.07,
        sidelen=0.05,
        comb=(0.1, -0.1, 0.6),
        lift=1.2,
        vol=0.02,
        grav=0,
        n=14000,
        k=4,
        clump=0,
        frizz=0.01,
        guides=400,
    ),
    "crop": dict(
        sweep=1,
        nofacepush=1,
        len=0.33,
        sidelen=0.12,
        comb=(0.25, 0.1, 0.9),
        lift=0.6,
        vol=0.10,
        grav=0.05,
        flow=0.5,
        n=13000,
        k=7,
        clump=0.35,
        frizz=0.02,
    ),
    "sidepart": dict(
        facey=0.93,
        len=0.62,
        sidelen=0.18,
        part=0.38,
        comb=(1.0, 0.05, 0.35),
        lift=0.5,
        vol=0.14,
        topvol=0.4,
        grav=0.12,
        flow=0.6,
        n=13000,
        k=10,
        clump=0.35,
        frizz=0.012,
        sideh=0.62,
    ),
    "slick": dict(
        sweep=1,
        len=1.0,
        sidelen=0.4,
        comb=(0.15, 0.1, -1.0),
        lift=0.35,
        vol=0.12,
        grav=0.08,
        flow=0.8,
        n=12000,
        k=10,
        clump=0.45,
        frizz=0.008,
    ),
    "quiff": dict(
        sweep=1,
        len=0.62,
        sidelen=0.13,
        comb=(0.15, 0.3, -0.6),
        lift=0.9,
        vol=0.28,
        topvol=0.3,
        rise=0.4,
        grav=0.03,
        flow=0.5,
        n=13000,
        k=9,
        clump=0.45,
        frizz=0.02,
        sideh=0.7,
    ),
    "fringe": dict(
        sweep=1,
        nofacepush=1,
        len=0.45,
        sidelen=0.3,
        comb=(0.15, -0.1, 1.0),
        lift=0.4,
        vol=0.13,
        grav=0.1,
        flow=0.7,
        n=13000,
        k=10,
        clump=0.35,
        frizz=0.015,
    ),
    "curlyshort": dict(
        sweep=1,
        len=0.75,
        sidelen=0.35,
        comb=(0.5, 0.1, 0.4),
        lift=0.8,
        vol=0.22,
        grav=0.08,
        n=9500,
        k=18,
        curl_r=0.07,
        curl_f=3.0,
        clump=0.6,
        frizz=0.02,
    ),
    "afro": dict(
        len=0.8,
        sidelen=0.65,
        comb=(0.2, 0.1, 0.0),
        lift=1.8,
        vol=0.8,
        rise=1.0,
        adh=0,
        grav=0.0,
        flow=0,
        n=14000,
        k=14,
        curl_r=0.05,
        curl_f=6,
        curl_jit=1.5,
        clump=0.25,
        frizz=0.03,
    ),
    "coilyshort": dict(
        len=0.2,
        sidelen=0.13,
        comb=(0.2, 0.1, 0.0),
        lift=1.3,
        vol=0.12,
        adh=0,
        grav=0.0,
        flow=0,
        n=14000,
        k=8,
        curl_r=0.03,
        curl_f=8,
        curl_jit=1.5,
        clump=0.3,
        frizz=0.02,
    ),
    "longstraight": dict(
        len=4.4,
        sidelen=3.8,
        sideh=0.5,
        part=0.0,
        comb=(1.0, -0.35, -0.15),
        lift=0.3,
        vol=0.16,
        grav=0.45,
        flow=0.7,
        n=12000,
        k=24,
        clump=0.4,
        frizz=0.02,
        rag=0.25,
    ),
    "longwavy": dict(
        len=4.2,
        sidelen=3.6,
        sideh=0.5,
        part=0.3,
        comb=(1.0, -0.35, -0.1),
        lift=0.4,
        vol=0.22,
        grav=0.4,
        flow=0.6,
        n=11000,
        k=28,
        curl_r=0.12,
        curl_f=0.75,
        clump=0.6,
        frizz=0.03,
        rag=0.3,
    ),
    "longcurly": dict(
        len=3.4,
        sidelen=3.0,
        sideh=0.5,
        part=0.2,
        comb=(1.0, -0.2, -0.1),
        lift=0.7,
        vol=0.35,
        grav=0.3,
        flow=0.4,
        n=10000,
        k=36,
        curl_r=0.13,
        curl_f=1.9,
        clump=0.6,
        frizz=0.03,
        rag=0.3,
    ),
    "bob": dict(
        len=2.3,
        sidelen=1.6,
        sideh=0.5,
        part=0.25,
        comb=(1.0, -0.35, -0.05),
        lift=0.35,
        vol=0.2,
        grav=0.45,
        flow=0.6,
        n=12000,
        k=18,
        clump=0.35,
        frizz=0.012,
        rag=0.08,
    ),
    "bobfringe": dict(
        len=2.1,
        sidelen=1.6,
        sideh=0.5,
        part=0.0,
        comb=(1.0, -0.35, -0.05),
        lift=0.35,
        vol=0.2,
        grav=0.45,
        flow=0.6,
        n=12000,
        k=18,
        clump=0.35,
        frizz=0.012,
        rag=0.08,
        fringe=0.52,
    ),
    "pixie": dict(
        facey=0.93,
        len=0.8,
        sidelen=0.35,
        part=0.4,
        comb=(0.9, -0.1, 0.6),
        lift=0.45,
        vol=0.16,
        topvol=0.3,
        grav=0.2,
        flow=0.6,
        n=13000,
        k=10,
        clump=0.4,
        frizz=0.02,
    ),
    "bun": dict(
        nofacepush=1,
        len=1.35,
        sidelen=0.95,
        comb=(0, 0, -1),
        target=(0, 1.1, -0.05),
        lift=0.08,
        vol=0.06,
        grav=0.0,
        flow=1.2,
        comblen=9,
        n=12000,
        k=16,
        clump=0.25,
        frizz=0.006,
        rag=0,
    ),
}


def tube(pts, r, closed=True, seg=8):
    """sweep circle along polyline pts (n,3) model units"""
    n = len(pts)
    t = np.roll(pts, -1, 0) - np.roll(pts, 1, 0) if closed else np.gradient(pts, axis=0)
    t /= np.linalg.norm(t, axis=1, keepdims=True)
    up = np.array([0, 0, 1.0])
    a = np.cross(t, up)
    a /= np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-6)
    b = np.cross(t, a)
    th = np.linspace(0, 2 * np.pi, seg, endpoint=False)
    r = np.broadcast_to(np.asarray(r, float), (2,))
    V = pts[:, None] + r[0] * np.cos(th)[None, :, None] * a[:, None] + r[1] * np.sin(th)[None, :, None] * b[:, None]
    F = []
    for i in range(n if closed else n - 1):
        j = (i + 1) % n
        for q in range(seg):
            F.append([i * seg + q, i * seg + (q + 1) % seg, j * seg + (q + 1) % seg, j * seg + q])
    return V.reshape(-1, 3), F


def beard_weight(v):
    """0..1 per-vertex weight of beard area, from landmarks in the neutral head"""
    T = scalp_tris()
    sv = np.unique(T)
    eye = (rig.joint(v, "eye.L____head") + rig.joint(v, "eye.R____head")) / 2
    jaw = rig.joint(v, "jaw____head")
    pass
    f = [i for i in range(13380)]
    lip = regions.lips()
    mc = v[lip].mean(0)
    mw = np.abs(v[lip, 0]).max()
    d = eye[1] - mc[1]
    x = v[:, 0] / mw
    y = (v[:, 1] - mc[1]) / d
    front = v[:, 2] - jaw[2]
    # upper boundary line: sideburn to moustache
    ub = np.where(np.abs(x) < 1.25, 0.30, 0.30 + (np.abs(x) - 1.25) * 0.30)
    w = 1 / (1 + np.exp((y - ub) * 18))
    w *= 1 / (1 + np.exp(-(y + 1.05) * 14))
    w *= 1 / (1 + np.exp(-(front + 0.15) * 12))
    # keep lips clear
    ld = np.min(np.linalg.norm(v[:13380, None] - v[None, lip], axis=2), axis=1) if False else None
    from scipy.spatial import cKDTree

    dl = cKDTree(v[lip]).query(v)[0]
    w *= np.clip((dl - 0.03) / 0.06, 0, 1)
    # soul-patch gap
    return np.where(np.arange(len(v)) < 13380, w, 0)


def glasses_geo(v, kind, mats):
    eL = rig.joint(v, "eye.L____head")
    eR = rig.joint(v, "eye.R____head")
    iv = np.arange(13380)
    c = (eL + eR) / 2
    half = abs(eL[0] - eR[0]) / 2
    # front plane: just ahead of brow/cornea
    near = (np.abs(v[iv, 0]) < half * 1.6) & (np.abs(v[iv, 1] - c[1]) < 0.18)
    zf = np.quantile(v[iv][near, 2], 0.80) + 0.06
    nosew = 0.11
    rx = half * 0.72
    ry = half * (0.60 if kind == "round" else 0.48)
    n = 40
    if kind == "round":
        rx = half * 0.64
        ry = rx
    th = np.linspace(0, 2 * np.pi, n, endpoint=False)
    e = 2.0 if kind == "round" else 3.4
    sx = np.sign(np.cos(th)) * np.abs(np.cos(th)) ** (2 / e) * rx
    sy = np.sign(np.sin(th)) * np.abs(np.sin(th)) ** (2 / e) * ry
    V = []
    F = []
    VL = []
    FL = []

    def addm(v2, f2):
        o = sum(len(a) for a in V)
        V.append(v2)
        F.extend([[i + o for i in q] for q in f2])

    r = (0.017, 0.024) if mats != "wire" else (0.009, 0.009)
    ear = v[[i for i in regions.ears()[0]]].mean(0), v[[i for i in regions.ears()[1]]].mean(0)
    for s, ey in ((1, eL), (-1, eR)):
        cx = c[0] + s * half * 1.03
        cy = ey[1] - 0.03
        curve = -0.10 * ((sx * s + half) / half) ** 2 * 0.35
        pts = np.stack([cx + sx, cy + sy, zf + curve], 1)
        addm(*tube(pts, r))
        o = sum(len(a) for a in VL)
        VL.append(np.vstack([pts, [[cx, cy, zf - 0.03]]]))
        FL.extend([[o + i, o + (i + 1) % n, o + n] for i in range(n)])
        # temple
        a = np.array([cx + s * rx, cy + ry * 0.35, zf - 0.06])
        en = ear[0] if s > 0 else ear[1]
        # ear attach: keep outside of head
        b = np.array([np.sign(s) * (abs(en[0]) + 0.01), en[1] + 0.28, en[2] + 0.12])
        tt = np.linspace(0, 1, 12)[:, None]
        pts = a * (1 - tt) + b * tt
        pts = np.vstack([pts, [b + [0, -0.18, -0.28]]])
        addm(*tube(pts, (r[0] * 0.8, r[1] * 0.9), closed=False))
    tt = np.linspace(-1, 1, 9)
    bx = half * 1.03 - rx
    pts = np.stack([c[0] + tt * bx, c[1] + 0.03 + 0.05 * (1 - tt**2), np.full(9, zf + 0.0)], 1)
    addm(*tube(pts, r, closed=False))
    V = np.vstack(V)
    VL = np.vstack(VL)
    return (V, F), (VL, FL)


FRAMES = {
    "black": (0.012, 0.012, 0.014),
    "tort": (0.09, 0.035, 0.012),
    "wire": (0.5, 0.45, 0.38),
    "blue": (0.03, 0.05, 0.16),
    "red": (0.22, 0.02, 0.03),
}
OUTFITS = {
    "suit": dict(
        clo="male_elegantsuit01/male_elegantsuit01.mhclo", tex="male_elegantsuit01/male_elegantsuit01_diffuse.png"
    ),
    "m1": dict(clo="male_casualsuit02/male_casualsuit02.mhclo", tex="male_casualsuit02/male_casualsuit02_diffuse.png"),
    "m3": dict(clo="male_casualsuit03/male_casualsuit03.mhclo", tex="male_casualsuit03/male_casualsuit03_diffuse.png"),
    "m4": dict(clo="male_casualsuit04/male_casualsuit04.mhclo", tex="male_casualsuit04/male_casualsuit04_diffuse.png"),
    "m5": dict(clo="male_casualsuit05/male_casualsuit05.mhclo", tex="male_casualsuit05/male_casualsuit05_diffuse.png"),
    "m6": dict(clo="male_casualsuit06/male_casualsuit06.mhclo", tex="male_casualsuit06/male_casualsuit06_diffuse.png"),
    "work": dict(clo="male_worksuit01/male_worksuit01.mhclo", tex="male_worksuit01/male_worksuit01_diffuse.png"),
    "f1": dict(
        clo="female_casualsuit01/female_casualsuit01.mhclo", tex="female_casualsuit01/female_casualsuit01_diffuse.png"
    ),
    "fe": dict(
        clo="female_elegantsuit01/female_elegantsuit01.mhclo",
        tex="female_elegantsuit01/female_elegantsuit01_diffuse.png",
    ),
    "fs": dict(
        clo="female_sportsuit01/female_sportsuit01.mhclo", tex="female_sportsuit01/female_sportsuit01_diffuse.png"
    ),
}


def bun_geo(vn, hr):
    sv = np.unique(scalp_tris())
    cc = np.array([0, vn[sv, 1].min() + 1.1, vn[sv, 2].min() - 0.12])
    n = 2500
    d = hr.normal(size=(n, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    ax = hr.normal(size=(n, 3))
    tq = np.cross(d, ax)
    tq /= np.linalg.norm(tq, axis=1, keepdims=True)
    th = np.linspace(-0.9, 0.9, 8)[None, :, None]
    return cc + 0.36 * (1 + 0.06 * hr.normal(size=(n, 1, 1))) * (d[:, None] * np.cos(th) + tq[:, None] * np.sin(th))


def beard_geo(vn, bw, bd, hr):
    L = {2: 0.09, 3: 0.20}[bd]
    TT = body_tris()
    q, tt, bb = sample(vn, TT, 6000 if bd == 2 else 8000, hr, bw**1.5 + 1e-6)
    nn = norm((vnormals(vn, TT)[TT[tt]] * bb[:, :, None]).sum(1))
    d = norm(nn * 0.8 + np.array([0, -1.1, 0.15]) + 0.35 * hr.normal(size=nn.shape))
    K = 5
    s = np.linspace(0, 1, K)[None, :, None]
    ln = L * (0.6 + 0.6 * hr.random((len(q), 1, 1)))
    return (
        q[:, None]
        + d[:, None] * s * ln
        + np.array([0, -0.35, 0]) * (s**2) * ln
        + 0.25 * hr.normal(size=(len(q), 1, 3)) * ln * s * 0.5
    )


Scene = dict
# Multipliers of a texture that was made grey: linear light, so "white" is above 1.
COLOURS = {
    "white": (1.7, 1.7, 1.72), "light grey": (1.05, 1.05, 1.06), "grey": (0.55, 0.55, 0.57), "black": (0.09, 0.09, 0.1),
    "navy": (0.16, 0.22, 0.42), "blue": (0.25, 0.45, 1.0), "red": (1.0, 0.16, 0.16), "green": (0.22, 0.6, 0.3),
    "burgundy": (0.42, 0.1, 0.15), "beige": (1.15, 0.98, 0.76), "teal": (0.15, 0.62, 0.62), "purple": (0.5, 0.28, 0.75),
    "yellow": (1.4, 1.1, 0.25),
}  # fmt: skip
SUITS = {"black": (0.45, 0.45, 0.48), "navy": (0.6, 0.8, 1.6), "grey": (2.2, 2.2, 2.3)}
BLAZERS = ("black", "navy", "grey", "beige", "burgundy", "teal")
# Kind of garment: the generator's clothes for it, and how bright their texture must be made.
PLAIN = {"sweater": (("m4",), 1.7), "top": (("f1", "fs"), 1.7), "t-shirt": (("m6",), 0.62)}


def outfit(rng: np.random.Generator) -> tuple[Scene, str]:
    """Clothes, and what to call them."""
    kind = rng.choice(["suit", "suit", "blazer", "coat", "striped", *PLAIN])
    if kind == "suit":
        name = str(rng.choice(list(SUITS)))
        return {"outfit": "suit", "tint": SUITS[name]}, f"a {name} suit and tie"
    if kind == "blazer":
        name = str(rng.choice(BLAZERS))
        return {"outfit": "m5", "tint": tuple(np.multiply(COLOURS[name], 1.6)), "gray": True}, f"a {name} blazer"
    if kind == "coat":
        return {"outfit": "m5", "tint": (6.5, 6.5, 6.6), "gray": True}, "a white medical coat"
    if kind == "striped":
        return {"outfit": str(rng.choice(["m3", "fe"])), "tint": None}, "a striped shirt"
    name, (clothes, gain) = str(rng.choice(list(COLOURS))), PLAIN[str(kind)]
    scene = {"outfit": str(rng.choice(clothes)), "tint": tuple(np.multiply(COLOURS[name], gain)), "gray": True}
    return scene, f"a {name} {kind}"
