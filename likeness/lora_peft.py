"""What peft says of an adapter that it saved itself: adapter_config.json, which lies beside the weights.

`PeftModel.save_pretrained` keeps nothing but the matrices in the weights. How strongly they are applied, and whether
they are a LoRA at all, stands in that file alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pydantic

from likeness import files
from likeness.errors import LikenessError

PREFIX = "base_model.model."
"""What the names in such a file begin with, whatever was trained."""
CONFIG_FILE = "adapter_config.json"

# Settings that say where an adapter came from, how it was trained, or what the tensors say already.
HARMLESS = {
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "target_modules",
    "task_type",
    "use_dora",
}
# The others (PiSSA, OLoRA, …) change the base's weights before anything is learnt.
STARTS = (True, False, None, "gaussian", "orthogonal", "eva", "mica")


class PeftConfig(pydantic.BaseModel):
    """Of adapter_config.json what the strength of a LoRA follows from, in the words of peft's `LoraConfig`."""

    model_config = pydantic.ConfigDict(extra="allow", allow_inf_nan=False)

    peft_type: str
    lora_alpha: float = 8  # as in peft, where it is not said
    alpha_pattern: dict[str, float] | None = None
    use_rslora: bool = False
    bias: str = "none"
    init_lora_weights: bool | str | None = True


def has_config(weights: Path) -> bool:
    """Whether peft's configuration lies beside a weights file."""
    return weights.with_name(CONFIG_FILE).is_file()


def settings(weights: Path) -> dict[str, Any]:
    """lora_alpha, alpha_pattern and use_rslora of the LoRA that peft saved as `weights`.

    Raises LikenessError when its configuration is missing or unreadable, and for what is more than a LoRA or DoRA.
    """
    path = weights.with_name(CONFIG_FILE)
    if not has_config(weights):
        what = f"nothing tells how strongly this adapter is applied: peft writes that to {CONFIG_FILE}, which is not beside it"
        raise LikenessError(what, "Copy it from the folder that peft saved", weights)
    try:
        config = PeftConfig.model_validate(files.read_json(path))
        for pattern in config.alpha_pattern or {}:
            re.compile(pattern)
    except (ValueError, re.error) as error:
        raise LikenessError("is not a configuration of peft's", "Copy it anew", path) from error
    _check_kind(config, path)
    return config.model_dump(include={"lora_alpha", "alpha_pattern", "use_rslora"})


def _check_kind(config: PeftConfig, path: Path) -> None:
    if config.peft_type != "LORA":
        what = f"this adapter of peft's is of the kind {config.peft_type}, which has no place in a stock pipeline"
        raise LikenessError(what, "Only its LoRA and DoRA can be rendered", path)
    if config.init_lora_weights not in STARTS:
        what = f"with init_lora_weights={config.init_lora_weights} this adapter has changed the base's weights as well"
        remedy = "Save it as a plain LoRA: save_pretrained(…, path_initial_model_for_weight_conversion=…)"
        raise LikenessError(what, remedy, path)
    # Whatever else is set means more than B A, also what a later release of peft brings.
    others = {"bias": config.bias} if config.bias != "none" else {}
    others |= {key: value for key, value in (config.model_extra or {}).items() if value and key not in HARMLESS}
    if others:
        what = f"this adapter of peft's is more than a LoRA and would be applied in part: it sets {', '.join(sorted(others))}"
        raise LikenessError(what, "Train it without", path)
