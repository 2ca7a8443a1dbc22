"""Where the meshes and textures are: the CC0 data of MakeHuman and MPFB, which is not part of this repository.

A folder of assets holds the data folders of four releases, all CC0, each under a name of ours:

    mpfb    github.com/makehumancommunity/mpfb2, src/mpfb/data (mesh, targets, masks)
    mh      github.com/makehumancommunity/makehuman, makehuman/data (rig, eyes)
    mha     github.com/makehumancommunity/makehuman-assets, base (clothes, eyebrows, eyelashes, teeth: meshes)
    bright  the same CC0 release's textures, makehuman/data (eyes, eyebrows, eyelashes, teeth, clothes)
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

VARIABLE = "PORTRAIT_WORLD_ASSETS"
_SOURCES = {
    "mpfb": "mpfb/src/mpfb/data",
    "mh": "mh/makehuman/data",
    "mha": "mha/base",
    "bright": "bright/makehuman/data",
}


def available() -> bool:
    """Whether a folder of assets is named and is one."""
    folder = os.environ.get(VARIABLE)
    return bool(folder) and all((Path(str(folder)) / part).is_dir() for part in _SOURCES.values())


@cache
def source(name: str) -> Path:
    """The data folder of one release: mpfb, mh, mha or bright. Exits with words of help where it is not there."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        raise SystemExit(
            f"No assets: give --assets FOLDER or set {VARIABLE}. They are the CC0 release of MakeHuman and MPFB "
            "(github.com/makehumancommunity: mpfb2, makehuman, makehuman-assets); "
            "scripts/portrait_world/assets.py says which folder of each goes where."
        )
    path = Path(folder) / _SOURCES[name]
    if not path.is_dir():
        raise SystemExit(f"{folder} is not a folder of assets: {_SOURCES[name]} is missing (see {__file__})")
    return path
