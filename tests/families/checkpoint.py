"""A pipeline of Stable Diffusion as one file, in the names that its first publishers gave: what diffusers converts back."""

import re
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.single_file_utils import DIFFUSERS_TO_LDM_MAPPING
from safetensors.torch import save_file
from torch import Tensor

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}

OPEN_CLIP = {
    "text_model.encoder.layers.": "transformer.resblocks.",
    "self_attn": "attn",
    "layer_norm": "ln_",
    "fc1": "c_fc",
    "fc2": "c_proj",
}


def save(pipe: Any, file: Path, metadata: dict[str, str] | None = None) -> Path:
    """Write a pipeline of Stable Diffusion 1.5 or XL to `file` and return it."""
    state = {f"model.diffusion_model.{key}": tensor for key, tensor in unet(pipe.unet).items()}
    state |= {f"first_stage_model.{vae(key, pipe.vae)}": tensor for key, tensor in pipe.vae.state_dict().items()}
    xl = hasattr(pipe, "text_encoder_2")
    first = "conditioner.embedders.0.transformer" if xl else "cond_stage_model.transformer"
    for key, tensor in pipe.text_encoder.state_dict().items():
        state[f"{first}.text_model.{key.removeprefix('text_model.')}"] = tensor
    if xl:
        state |= {
            f"conditioner.embedders.1.model.{key}": tensor for key, tensor in open_clip(pipe.text_encoder_2).items()
        }
    save_file({key: tensor.contiguous().clone() for key, tensor in state.items()}, file, metadata or {})
    return file


def unet(module: Any) -> dict[str, Tensor]:
    tables = DIFFUSERS_TO_LDM_MAPPING["unet"]
    known = {**tables["layers"], **tables["addition_embed_type"]}
    each, depth = module.config.layers_per_block + 1, len(module.config.block_out_channels)
    names = {}
    for block in range(depth):
        attention = hasattr(module.up_blocks[block], "attentions")
        for layer in range(each):
            for kind, number in (("resnets", 0), ("attentions", 1)):
                names[f"down_blocks.{block}.{kind}.{layer}."] = f"input_blocks.{block * each + layer + 1}.{number}."
                names[f"up_blocks.{block}.{kind}.{layer}."] = f"output_blocks.{block * each + layer}.{number}."
        names[f"down_blocks.{block}.downsamplers.0.conv."] = f"input_blocks.{block * each + each}.0.op."
        names[f"up_blocks.{block}.upsamplers.0.conv."] = (
            f"output_blocks.{block * each + each - 1}.{1 + attention}.conv."
        )
    names |= {"mid_block.resnets.0.": "middle_block.0.", "mid_block.attentions.0.": "middle_block.1."}
    names["mid_block.resnets.1."] = "middle_block.2."

    def renamed(key: str) -> str:
        if key in known:
            return str(known[key])
        start = next(start for start in names if key.startswith(start))
        inner = key.removeprefix(start)
        for new, old in RESNET.items() if ".resnets." in start else ():
            inner = re.sub(rf"^{new}\.", f"{old}.", inner)
        return names[start] + inner

    return {renamed(key): tensor for key, tensor in module.state_dict().items()}


def vae(key: str, module: Any) -> str:
    top = {new: old for new, old in DIFFUSERS_TO_LDM_MAPPING["vae"].items()}
    if key in top:
        return str(top[key])
    last = len(module.config.block_out_channels) - 1
    key = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", key)
    key = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{last - int(m[1])}.block.{m[2]}", key)
    key = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", key)
    key = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    if "mid_block.attentions.0" in key:
        key = key.replace("mid_block.attentions.0", "mid.attn_1")
        for new, old in ATTENTION.items():
            key = key.replace(f".{new}.", f".{old}.")
    return key.replace("conv_shortcut", "nin_shortcut")


def open_clip(module: Any) -> dict[str, Tensor]:
    tables, state = DIFFUSERS_TO_LDM_MAPPING["openclip"], module.state_dict()
    out = {old: state.pop(new) for new, old in tables["layers"].items() if new in state}
    out["text_projection"] = out["text_projection"].T
    for key in [key for key in state if ".q_proj." in key]:  # one matrix there
        three = [state.pop(key.replace(".q_proj.", f".{name}_proj.")) for name in "qkv"]
        state[key.replace(".q_proj.", ".in_proj_")] = torch.cat(three)
    for key, tensor in state.items():
        for new, old in OPEN_CLIP.items():
            key = key.replace(new, old)
        out[key] = tensor
    return out
