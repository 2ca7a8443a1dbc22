"""Runs one of diffusers' example scripts as it is on a tiny base, with what is random in it drawn as `parity` says.

    python -m tests.families.public_script CHECKOUT FAMILY BASE OUT.json

CHECKOUT is a folder of diffusers' sources with `examples/dreambooth`. torchvision, which the scripts import for their pictures,
is stood in for by the few functions they call: the picture has the right size already.
"""

import contextlib
import importlib.util
import json
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import accelerate
import diffusers
import numpy as np
import torch
import transformers
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from likeness.families import family_named, load_family
from likeness.families.flux2_klein import TEXT_LAYERS
from tests.families import parity
from tests.families.common import SIDE

SCRIPTS = {
    "sdxl": "train_dreambooth_lora_sdxl.py",
    "flux2-klein": "train_dreambooth_lora_flux2_klein.py",
    "z-image": "train_dreambooth_lora_z_image.py",
    "qwen-image": "train_dreambooth_lora_qwen_image.py",
    "krea2": "train_dreambooth_lora_krea2.py",
    "sd35": "train_dreambooth_lora_sd3.py",
}


def stand_in_for_torchvision() -> None:
    """Modules of that name; transformers has looked for the true ones before."""
    transformers.utils.is_torchvision_available()  # remembered

    def same(image: Any, *_: Any, **__: Any) -> Any:
        return image

    def to_tensor(image: Any) -> torch.Tensor:
        return torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1) / 255

    def normalize(tensor: torch.Tensor, mean: list[float], std: list[float]) -> torch.Tensor:
        return (tensor - mean[0]) / std[0]

    def compose(steps: Any) -> Any:
        def through(image: Any) -> Any:
            for step in steps:
                image = step(image)
            return image

        return through

    functional: Any = types.ModuleType("torchvision.transforms.functional")
    functional.resize = functional.center_crop = functional.crop = functional.hflip = same
    functional.to_tensor, functional.normalize = to_tensor, normalize
    transforms: Any = types.ModuleType("torchvision.transforms")
    transforms.functional, transforms.Compose = functional, compose
    transforms.InterpolationMode = type("InterpolationMode", (), {"BILINEAR": 1, "LANCZOS": 2})
    transforms.Resize = transforms.CenterCrop = transforms.RandomCrop = lambda *_, **__: same
    transforms.RandomHorizontalFlip, transforms.ToTensor = (lambda **_: same), (lambda: to_tensor)
    transforms.Normalize = lambda mean, std: lambda tensor: normalize(tensor, mean, std)
    top: Any = types.ModuleType("torchvision")
    top.transforms = transforms
    sys.modules |= {m.__name__: m for m in (top, transforms, functional)}


def load(checkout: Path, name: str) -> Any:
    path = checkout / "examples" / "dreambooth" / SCRIPTS[name]
    spec = importlib.util.spec_from_file_location("public_script", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arguments(name: str, base: Path, pictures: Path, out: Path) -> list[str]:
    count = parity.batch_size(name)
    values: dict[str, Any] = {
        "pretrained_model_name_or_path": base,
        "instance_data_dir": pictures,
        "instance_prompt": parity.PROMPT,
        "output_dir": out,
        "resolution": SIDE,
        "train_batch_size": count,
        "repeats": count,
        "max_train_steps": parity.STEPS,
        "learning_rate": parity.LEARNING_RATE,
        "lr_scheduler": "constant",
        "lr_warmup_steps": 0,
        "adam_weight_decay": parity.WEIGHT_DECAY,
        "max_grad_norm": parity.MAX_NORM,
        "rank": parity.RANK,
        "mixed_precision": "no",
        "seed": 0,
    }
    if name != "sdxl":
        # Either weights every level alike; how they are drawn is `parity`'s.
        values["weighting_scheme"] = "logit_normal" if name == "sd35" else "none"
        values |= (
            {"max_sequence_length": 256, "precondition_outputs": 0} if name == "sd35" else {"lora_alpha": parity.RANK}
        )
        values["lora_layers"] = ",".join(load_family(str(base)).lora_targets("attention"))
    # The script's own default, 10, 20 and 30, is not what the pipeline that draws reads.
    layers = ["--text_encoder_out_layers", *map(str, TEXT_LAYERS)] if name == "flux2-klein" else []
    return [f"--{key}={value}" for key, value in values.items()] + ["--center_crop", *layers]


def run(checkout: Path, name: str, base: Path) -> dict[str, Any]:
    stand_in_for_torchvision()
    script = load(checkout, name)
    found: list[float] = []
    weights: dict[str, Any] = {}
    backward, randint = accelerate.Accelerator.backward, torch.randint
    denoiser: Any = getattr(script, DENOISERS[name])
    add_adapter = denoiser.add_adapter

    def heard(self: Any, loss: torch.Tensor, **options: Any) -> None:
        found.append(float(loss.detach()))
        backward(self, loss, **options)

    def begun(self: Any, *positional: Any, **named: Any) -> None:
        add_adapter(self, *positional, **named)
        weights.update(parity.start(self))

    def levels(*bounds_and_shape: Any, **options: Any) -> torch.Tensor:
        if bounds_and_shape[:2] != (0, 1000):
            return randint(*bounds_and_shape, **options)
        return (parity.quantiles(name, len(found)) * 1000).long()

    accelerate.Accelerator.backward = heard  # type: ignore[method-assign]
    accelerate.Accelerator.init_trackers = lambda *_, **__: None  # type: ignore[method-assign,assignment]
    accelerate.Accelerator.log = lambda *_, **__: None  # type: ignore[method-assign,assignment]
    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mode()  # type: ignore[method-assign]
    denoiser.add_adapter = begun
    torch.randn_like = lambda tensor, **_: parity.noise(tuple(tensor.shape), len(found))  # type: ignore[assignment]
    torch.randint = levels
    script.compute_density_for_timestep_sampling = lambda **_: parity.quantiles(name, len(found))
    script.save_model_card = lambda *_, **__: None
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        parity.picture().save(pictures / "one.png")
        given = script.parse_args(arguments(name, base, pictures, Path(folder) / "out"))
        script.args = given  # which some of its functions read as a global
        script.main(given)
    return {"losses": found, "weights": {key: parity.summary(tensor) for key, tensor in weights.items()}}


DENOISERS = {
    "sdxl": "UNet2DConditionModel",
    "flux2-klein": "Flux2Transformer2DModel",
    "z-image": "ZImageTransformer2DModel",
    "qwen-image": "QwenImageTransformer2DModel",
    "krea2": "Krea2Transformer2DModel",
    "sd35": "SD3Transformer2DModel",
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    checkout, name, base, out = sys.argv[1:]
    assert family_named(name).name == name
    release = (Path(checkout) / "setup.py").read_text().partition('version="')[2].partition('"')[0]
    result = run(Path(checkout), name, Path(base))
    Path(out).write_text(json.dumps({"script": release, "diffusers": diffusers.__version__, **result}))
