"""Finding a base model, in a folder or on the Hugging Face Hub, and loading its parts in one dtype.

Only safetensors weights are read: a pickle can run code. A base that only comes as an `fp16` variant, or only as
fp32, loads all the same and is cast to the dtype asked for.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from likeness import files, resources
from likeness.errors import LikenessError, first_line
from likeness.families import quantization, single_file
from likeness.quiet import quiet
from likeness.yaml12 import YamlError, parse_yaml

MODEL_INDEX = "model_index.json"
CARD = "README.md"
DIFFUSERS = "0.39"
"""The first release of diffusers that has every family's pipeline, and draws them all as we do."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
LOW_PRECISION = (torch.float16, torch.bfloat16)

# Stable Diffusion's safety checker is as large as the text encoder and blackens pictures it dislikes: never loaded.
NO_SAFETY_CHECKER = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}

# Stable Diffusion XL's watermark appears when another package happens to be installed, and names nobody.
NO_WATERMARK = {"add_watermarker": False}


def locate(base: str, revision: str | None = None, dtype: torch.dtype = torch.float32) -> Path:
    """The folder that holds `base`, fetched from the Hub when it is an id, unpacked when it is a file.

    Raises LikenessError when there is none.
    """
    found = resources.base(base)
    return _at_hand(found) or _fetch(found, revision, dtype)


def pipeline_class_name(folder: Path) -> str:
    """The `_class_name` of model_index.json, such as "StableDiffusionPipeline"."""
    return str(_model_index(folder)["_class_name"])


def pipeline_options(folder: Path) -> dict[str, Any]:
    """What model_index.json sets of the pipeline besides its parts, such as {"is_distilled": True}."""
    index = _model_index(folder)
    return {key: value for key, value in index.items() if not key.startswith("_") and not _is_part(value)}


def part_names(folder: Path) -> list[str]:
    """The folders of the parts that the base has."""
    return [key for key, value in _model_index(folder).items() if _is_part(value) and value[0] is not None]


def _is_part(value: Any) -> bool:
    """A part is [library, class], and [null, null] where the base has none."""
    return isinstance(value, list) and all(name is None or isinstance(name, str) for name in value)


def part_config(folder: Path, part: str) -> dict[str, Any]:
    """The configuration of a part, such as "transformer". Raises LikenessError when it cannot be read."""
    return _described(folder / part / "config.json", "diffusers configuration")


def _model_index(folder: Path) -> dict[str, Any]:
    return _described(folder / MODEL_INDEX, "diffusers model index")


def _described(path: Path, kind: str) -> dict[str, Any]:
    try:
        index: dict[str, Any] = files.read_json(path)
        return index | {"_class_name": index["_class_name"]}
    except (ValueError, KeyError, TypeError) as error:
        raise LikenessError(f"is not a {kind}", "Copy the base model anew", path) from error


def glance(base: str, revision: str | None = None) -> Path:
    """The folder with what describes `base`: its card, its index and configurations. The Hub is asked for no weights.

    Raises LikenessError as `locate` does.
    """
    found = resources.base(base)
    at_hand = _at_hand(found)
    if at_hand:
        return at_hand
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(found, revision=revision, allow_patterns=[CARD, MODEL_INDEX, "*/config.json"]))
    except Exception as error:  # offline, gated, misspelt: the message says which
        raise not_given(found, error) from error


def _at_hand(base: str) -> Path | None:
    path = Path(base)
    if path.is_file():
        return single_file.unpacked(path)
    return path if path.is_dir() else None


def commit(folder: Path) -> str:
    """The Hub's commit hash (40 hex digits) that `folder` is a snapshot of; empty for a folder of one's own."""
    return folder.name if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name) else ""


def load_parts(
    folder: Path,
    pipeline_class: str,
    dtypes: Mapping[str, torch.dtype],
    device: str | torch.device,
    quantised: Any = None,
) -> dict[str, Any]:
    """Components of the pipeline in `folder`, by folder name, modules on `device`.

    `dtypes`: by folder, and of all others under "default". `quantised`: diffusers' configuration of it. Raises
    LikenessError.
    """
    import diffusers

    failure: Exception | None = None
    with quiet():
        try:
            cls = getattr(diffusers, pipeline_class)  # imported only now, with remarks of its own
        except (AttributeError, ImportError, RuntimeError) as error:  # RuntimeError: what it imports failed to be
            what = f"diffusers {diffusers.__version__} does not know this base's pipeline: {first_line(error)}"
            raise LikenessError(what, f"pip install 'diffusers>={DIFFUSERS}'", folder) from error
        for variant in _variants(dtypes["default"]):
            try:
                pipe = cls.from_pretrained(
                    folder,
                    torch_dtype={**dtypes},
                    quantization_config=quantised,
                    variant=variant,
                    use_safetensors=True,
                    local_files_only=True,
                    **without(pipeline_class),
                )
            except Exception as error:  # noqa: BLE001 - whatever the reader of a missing or broken file raises
                failure = failure or error
            else:
                _check_tokenizers(pipe.components, folder)
                return _placed(pipe.components, device)
    what = f"this base model cannot be loaded: {first_line(failure)}"
    raise LikenessError(what, "Copy it anew, with weights as safetensors", folder) from failure


def _placed(parts: Mapping[str, Any], device: str | torch.device) -> dict[str, Any]:
    for part in parts.values():
        if isinstance(part, nn.Module) and not quantization.stays(part):
            part.to(device)
    return dict(parts)


def _check_tokenizers(parts: Mapping[str, Any], folder: Path) -> None:
    """Raises LikenessError where a tokenizer's files are missing.

    transformers makes one without words then, to which all prompts are alike, or one that fills up on the other side.
    """
    for name, tokenizer in parts.items():
        if not name.startswith("tokenizer") or tokenizer is None:
            continue
        configured = (folder / name / "tokenizer_config.json").is_file()
        if not configured or tokenizer("one").input_ids == tokenizer("two").input_ids:
            missing = "its words" if configured else "tokenizer_config.json"
            raise LikenessError(f"the tokenizer lacks {missing}", "Copy the base model anew", folder / name)


def without(pipeline_class: str) -> dict[str, Any]:
    """Arguments that leave out the parts of a pipeline that we never use."""
    unwanted: dict[str, dict[str, Any]] = {
        "StableDiffusionPipeline": NO_SAFETY_CHECKER,
        "StableDiffusionImg2ImgPipeline": NO_SAFETY_CHECKER,
        "StableDiffusionXLPipeline": NO_WATERMARK,
        "StableDiffusionXLImg2ImgPipeline": NO_WATERMARK,
    }
    return unwanted.get(pipeline_class, {})


def pipeline(pipeline_class: str, folder: Path, parts: Mapping[str, Any]) -> Any:
    """A stock pipeline around a base's loaded parts, with a scheduler of its own."""
    import diffusers

    own = {"scheduler": copy.deepcopy(parts["scheduler"])}
    options = pipeline_options(folder) | without(pipeline_class)
    pipe = getattr(diffusers, pipeline_class)(**({**parts} | options | own))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def weights_hash(folder: Path) -> str:
    """sha256 (hex) of the safetensors weights in `folder`; of the shards' hashes, sorted by name, when several."""
    weights = sorted(folder.glob("*.safetensors"))
    weights = [path for path in weights if ".fp16" not in path.name] or weights
    if not weights:
        raise LikenessError("no safetensors weights are in this folder", "Copy the base model anew", folder)
    digests = [files.sha256(path) for path in weights]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def fingerprint(base: str, revision: str | None = None) -> str:
    """What a base is, whatever it is called: the Hub's commit hash, or a sha256 (hex) of the files that a folder is loaded from.

    The Hub is asked for no weights. Raises LikenessError as `locate` does.
    """
    folder = glance(base, revision)
    if commit(folder):
        return commit(folder)
    parts = [path for name in part_names(folder) for path in (folder / name).rglob("*")]
    digest = hashlib.sha256()
    for path in sorted(path for path in [*folder.glob("*.json"), *parts] if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {files.sha256(path)}\n".encode())
    return digest.hexdigest()


def licence(folder: Path, default: str) -> str:
    """The licence in the front matter of the model card (README.md), `default` when it declares none.

    One that the Hub has no word for is declared there as "other", with its name beside it.
    """
    card = folder / CARD
    if not card.is_file():
        return default
    parts = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    try:
        front = parse_yaml(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except YamlError:
        return default
    if not isinstance(front, dict):
        return default
    declared = front.get("license")
    return str((front.get("license_name") if declared == "other" else None) or declared or default)


def _fetch(base: str, revision: str | None, dtype: torch.dtype) -> Path:
    """Download the pipeline's files (cached ones are not fetched again) and give their folder."""
    from diffusers import DiffusionPipeline

    failure: Exception | None = None
    for variant in _variants(dtype):
        try:
            return Path(
                DiffusionPipeline.download(
                    base, revision=revision, variant=variant, use_safetensors=True, **NO_SAFETY_CHECKER
                )
            )
        except Exception as error:  # noqa: BLE001 - offline, gated, misspelt, no such variant: the message says which
            failure = failure or error
    raise not_given(base, failure) from failure


def not_given(name: str, failure: BaseException | None, kind: str = "folder") -> LikenessError:
    """What to raise when a name is no `kind` here and the Hub did not give it either, or not to this account."""
    from huggingface_hub.errors import GatedRepoError

    cause = failure
    while cause and not isinstance(cause, GatedRepoError):
        cause = cause.__cause__ or cause.__context__
    if cause:
        what = "the Hugging Face Hub gives this only to accounts that have accepted its publisher's terms"
        remedy = f"Accept them at https://huggingface.co/{'/'.join(name.split('/')[:2])} and log in (hf auth login)"
    else:
        what = f"no {kind} has this name, and the Hugging Face Hub did not give it: {first_line(failure)}"
        remedy = "Check the spelling and the connection"
    return LikenessError(what, f"{remedy}, or download it and give its {'path' if kind == 'file' else kind}", name)


def _variants(dtype: torch.dtype) -> tuple[str | None, str | None]:
    """Which variant of the weights to try first, and which next."""
    return ("fp16", None) if dtype in LOW_PRECISION else (None, "fp16")
