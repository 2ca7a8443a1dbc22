"""A checkpoint in one file, as Stable Diffusion 1.5 and XL are passed on, unpacked once into a folder in diffusers layout.

From then on it is a base like any other: its weights have a hash, its text encoders' prompts a cache. diffusers converts;
what is not in such a file (configurations, tokenizers, the schedule) comes from the base that it descends from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from likeness import files
from likeness.errors import LikenessError, first_line
from likeness.quiet import quiet

RECORD = "single-file.json"
"""In the folder: which file it was made of."""

_KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "v1": ("StableDiffusionPipeline", "stable-diffusion-v1-5/stable-diffusion-v1-5", {"safety_checker": None}),
    "xl_base": ("StableDiffusionXLPipeline", "stabilityai/stable-diffusion-xl-base-1.0", {"add_watermarker": False}),
}
"""By diffusers' word for the kind of checkpoint: the pipeline, the base that it descends from, what is left out."""
_UNET = "model.diffusion_model."
_LICENCE = "modelspec.license"


def unpacked(file: Path, config: str | None = None) -> Path:
    """The folder beside `file`, of its name, that holds it in diffusers layout; made when it is first asked for.

    `config`: a folder or Hub id for what is not in the file, instead of the usual one. Raises LikenessError for a file
    that is no such checkpoint, and where that configuration cannot be had.
    """
    folder = file.with_suffix("")
    if not _holds(folder, file):
        # The processes of one training all meet the file: the first unpacks it, the others wait.
        with files.claim(folder.with_name(f".{folder.name}.lock"), wait=True):
            if not _holds(folder, file):
                _unpack(file, folder, config)
    return folder


def _holds(folder: Path, file: Path) -> bool:
    """Whether the folder is the file unpacked. Raises LikenessError when it is something else that nobody may replace."""
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = "this folder is where the checkpoint of that name would be unpacked, and holds something else"
        raise LikenessError(what, "Rename one of them", folder) from error
    return bool(found == _record(file))


def _unpack(file: Path, folder: Path, config: str | None) -> None:
    pipe = _converted(file, config)
    with files.new_folder(folder) as new, quiet():
        pipe.save_pretrained(new, safe_serialization=True)
        licence = _header(file).get(_LICENCE)
        if licence:
            files.write_text(new / "README.md", f"---\nlicense: {json.dumps(licence)}\n---\n")
        files.write_json(new / RECORD, _record(file))


def _converted(file: Path, config: str | None) -> Any:
    """The stock pipeline, its weights as precise as they are in the file."""
    import diffusers
    from diffusers.loaders.single_file_utils import infer_diffusers_model_type, load_single_file_checkpoint

    _header(file)  # says whether it is a safetensors file
    with quiet():
        weights = load_single_file_checkpoint(str(file))
    dtypes = {weight.dtype for key, weight in weights.items() if key.startswith(_UNET)}
    kind = _KINDS.get(infer_diffusers_model_type(weights)) if dtypes else None
    if kind is None:
        what = "this file is no whole checkpoint of Stable Diffusion 1.5 or XL"
        raise LikenessError(what, "Give a base of any other kind as a folder in diffusers layout", file)
    if "v_pred" in weights:
        what = "this checkpoint predicts v, and the file does not say with which schedule"
        raise LikenessError(what, "Give it as a folder in diffusers layout", file)
    pipeline, usual, left_out = kind
    try:
        with quiet():
            return getattr(diffusers, pipeline).from_single_file(
                str(file), config=config or usual, torch_dtype=dtypes.pop(), **left_out
            )
    except Exception as error:
        remedy = f"The configuration comes from {config or usual}: connect once, or give a folder in diffusers layout"
        raise LikenessError(f"this checkpoint cannot be unpacked: {first_line(error)}", remedy, file) from error


def _record(file: Path) -> dict[str, Any]:
    """Tells the file from another of its name without reading gigabytes."""
    with files.explained(file, "cannot be read"):
        stat = file.stat()
    return {"file": file.name, "bytes": stat.st_size, "modified": stat.st_mtime_ns}


def _header(file: Path) -> dict[str, str]:
    try:
        with files.explained(file, "cannot be read"), safe_open(file, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except SafetensorError as error:
        raise LikenessError("is no safetensors file, or a damaged one", "Copy it anew", file) from error
