"""FLUX.2 klein (base 4B and 9B): a transformer that reads three layers of a Qwen3 and latents in packed squares.

What `Flux2KleinPipeline` does around its parts, as single steps. The autoencoder's latents are folded, four neighbours
into the channels of one, and normalised with the running statistics of a batch norm that was trained with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from likeness.errors import LikenessError
from likeness.families import qwen3, source
from likeness.families.base import TargetPreset
from likeness.families.flow import FlowFamily
from likeness.families.recipe import Recipe
from likeness.families.variant import Variant

TEXT_LAYERS = (9, 18, 27)

# In the single-stream blocks attention and MLP are one matrix, so that neither can be had without the other.
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"]
FUSED = "to_qkv_mlp_proj"
MLP = ["ff.linear_in", "ff.linear_out", "ff_context.linear_in", "ff_context.linear_out"]
REST = ["x_embedder", "context_embedder", "proj_out", "norm_out.linear"]
MODULATION = ["double_stream_modulation_img", "double_stream_modulation_txt", "single_stream_modulation"]


class Flux2Klein(FlowFamily):
    """FLUX.2 klein; train the undistilled base."""

    name = "flux2-klein"
    pipeline_class = "Flux2KleinPipeline"
    default_licence = "apache-2.0"
    architecture = "flux-2-klein"
    comfyui_modules = {f"{name}.linear": f"diffusion_model.{name}.lin" for name in MODULATION}
    # shift and scale; diffusers turns them about in checkpoints, but not in LoRAs
    comfyui_swapped = {"norm_out.linear": "diffusion_model.final_layer.adaLN_modulation.1"}
    default_recipe = Recipe(steps=50, guidance_scale=4.0, negative=False)
    variants = {
        "distilled": Variant(
            base="black-forest-labs/FLUX.2-klein-4B",
            steps=4,
            guidance_scale=1.0,
            fits={"joint_attention_dim": 3 * 2560},
        ),
        "distilled-9b": Variant(
            base="black-forest-labs/FLUX.2-klein-9B",
            steps=4,
            guidance_scale=1.0,
            fits={"joint_attention_dim": 3 * 4096},
        ),
    }
    patch = 1  # latents are folded already

    def __init__(self, base: str, folder: Path, parts: Mapping[str, Any]) -> None:
        super().__init__(base, folder, parts)
        # Kept, because the size of latents is asked for when the VAE has long been freed.
        self.vae_factor: int = 2 ** len(self.parts["vae"].config.block_out_channels)
        """Pixels to a folded latent, along one side."""

    @classmethod
    def licence_of(cls, folder: Path) -> str:
        """As the base class; the 9B, known by its wider encoder, is not for business."""
        four = int(source.part_config(folder, cls.denoiser_folder)["joint_attention_dim"]) <= 3 * 2560
        return source.licence(folder, cls.default_licence if four else "flux-non-commercial-license")

    @property
    def recipe(self) -> Recipe:
        """As the base class; four steps without guidance for the distilled sibling, which ignores guidance."""
        if self._distilled:
            return super().recipe.model_copy(update={"steps": 4, "guidance_scale": 1.0})
        return super().recipe

    def pipeline(self) -> Any:
        """The stock pipeline. It draws and decodes in its text encoder's type, which LLM.int8 leaves in float32."""
        pipe = super().pipeline()
        if pipe.text_encoder is not None:
            pipe.vae.to(pipe.text_encoder.dtype)
        return pipe

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        self._check_size(height, width, self.vae_factor)
        return int(self._config["in_channels"]), height // self.vae_factor, width // self.vae_factor

    def encode_text(self, prompts: list[str]) -> dict[str, Tensor]:
        """{"encoder_hidden_states": (B, 512, 3 x the encoder's width)}; what fills up is read as well."""
        encoder = self._encoder("text_encoder")
        states, _ = qwen3.hidden_states(encoder, self.parts["tokenizer"], prompts, TEXT_LAYERS, thinking=False)
        return {"encoder_hidden_states": torch.cat(states, dim=-1)}

    def unread(self, prompt: str) -> str:
        return qwen3.unread(self.parts["tokenizer"], prompt, thinking=False)

    def encode_image(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        vae: Any = self.vae
        posterior = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist
        shift, scale = self._statistics
        return (F.pixel_unshuffle(posterior.mean, 2) - shift) / scale, F.pixel_unshuffle(posterior.std, 2) / scale

    def decode_latents(self, latents: Tensor) -> Tensor:
        vae: Any = self.vae
        shift, scale = self._statistics
        unfolded = F.pixel_shuffle(latents.to(vae.device, vae.dtype) * scale + shift, 2)
        pixels: Tensor = vae.decode(unfolded).sample
        return pixels.clamp(-1, 1)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        """As the base class. No guidance is embedded: the pipeline embeds none, even where there is a place for it."""
        height, width = noisy.shape[-2:]
        text = conditioning["encoder_hidden_states"]
        packed: Tensor = self.denoiser(
            hidden_states=noisy.flatten(2).transpose(1, 2),
            encoder_hidden_states=text,
            timestep=timesteps.to(noisy.dtype) / self.schedule.num_train_timesteps,
            img_ids=_positions(1, height, width, 1).to(noisy.device),
            txt_ids=_positions(1, 1, 1, text.shape[1]).to(noisy.device),
            guidance=None,
        ).sample
        return packed.transpose(1, 2).reshape(noisy.shape)

    def mu(self, tokens: int, steps: int) -> float:
        """FLUX.2's own: two lines in the tokens, for 10 steps and for 200, and between them linear in the steps."""
        fine = 0.00016927 * tokens + 0.45666666
        if tokens > 4300:
            return fine
        coarse = 8.73809524e-05 * tokens + 1.89833333
        return fine + (coarse - fine) * (200 - steps) / 190

    def pipeline_arguments(
        self, recipe: Recipe, prompts: list[str], negatives: list[str], latents: Tensor
    ) -> dict[str, Any]:
        if self._distilled and recipe.guidance_scale != 1:
            what = "this base is distilled, and its pipeline ignores guidance"
            raise LikenessError(what, "Leave guidance at 1, or draw with the undistilled base", self.base)
        return super().pipeline_arguments(recipe, prompts, negatives, latents)

    @classmethod
    def reference_arguments(cls, photos: Sequence[Image.Image]) -> dict[str, Any]:
        return {"image": [*photos]}

    def lora_targets(self, preset: TargetPreset) -> list[str]:
        """Where attention and MLP leave a single-stream block is named in full: elsewhere `to_out` is a list."""
        blocks = int(self._config["num_single_layers"])
        attention = [*ATTENTION, FUSED, *(f"single_transformer_blocks.{n}.attn.to_out" for n in range(blocks))]
        more = {"attention": [], "attention-mlp": MLP, "all": MLP + REST + [f"{name}.linear" for name in MODULATION]}
        return attention + more[preset]

    @property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (1, C, 1, 1) of folded latents."""
        vae: Any = self.vae
        variance = vae.bn.running_var + vae.config.batch_norm_eps
        return vae.bn.running_mean.view(1, -1, 1, 1), variance.sqrt().view(1, -1, 1, 1)

    @property
    def _config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self.denoiser.config  # type: ignore[assignment]
        return config


def _positions(*sides: int) -> Tensor:
    """(tokens, 4) whole numbers: picture, row, column, place in the text."""
    return torch.cartesian_prod(*(torch.arange(side) for side in sides))
