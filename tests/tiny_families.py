"""A tiny random base of every family, in the family's true classes and folder layout, made offline.

As `tests/tiny.py`, which makes Stable Diffusion 1.5's: nothing sensible is drawn, but everything else is true. Pictures
are 32 px, the autoencoders halve thrice at most, and a tokenizer reads one byte as one token.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    Gemma2Config,
    Gemma2Model,
    GlmConfig,
    GlmModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3ForCausalLM,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLModel,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

from tests import tiny
from tests import tiny_parts as parts
from tests.tiny_parts import SIDE


def make(name: str, folder: Path, seed: int = 0) -> Path:
    """Write the tiny base of a family to `folder` and return it. The same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline: Any = MAKERS[name]()
    pipeline.save_pretrained(folder)
    # Made here, so ours: the families' own licences have their own test.
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


def sd15() -> Any:
    return diffusers.StableDiffusionPipeline(
        vae=tiny._vae(),
        text_encoder=tiny._text_encoder(77),
        tokenizer=tiny._tokenizer(77),
        unet=tiny._unet(),
        scheduler=tiny._scheduler("epsilon"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl() -> Any:
    """Two blocks with different depths of attention, as the true one; the summary and six numbers of 8 go into time."""
    unet = diffusers.UNet2DConditionModel(
        sample_size=SIDE // 4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        cross_attention_dim=tiny.TEXT_WIDTH + 24,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=20 + 6 * 8,
        norm_num_groups=4,
    )
    betas: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    return diffusers.StableDiffusionXLPipeline(
        vae=tiny._vae(),
        text_encoder=tiny._text_encoder(77),
        text_encoder_2=parts.clip_with_summary(24),
        tokenizer=tiny._tokenizer(77),
        tokenizer_2=tiny._tokenizer(77),
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(**betas, steps_offset=1, timestep_spacing="leading"),
        add_watermarker=False,
    )


def flux2_klein() -> Any:
    vae = diffusers.AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8), layers_per_block=1, latent_channels=4, norm_num_groups=4, **parts.blocks(3)
    )
    with torch.no_grad():  # statistics that a trained one has, unlike the 0 and 1 it is born with
        vae.bn.running_mean.normal_()
        vae.bn.running_var.uniform_(0.5, 2)
    transformer = diffusers.Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=3 * 8,
        timestep_guidance_channels=16,
        axes_dims_rope=(2, 2, 2, 2),
        guidance_embeds=False,
    )
    return diffusers.Flux2KleinPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=vae,
        text_encoder=Qwen3ForCausalLM(parts.qwen3(layers=28)).eval(),
        tokenizer=parts.qwen_tokenizer(),
        transformer=transformer,
    )


def z_image() -> Any:
    transformer = diffusers.ZImageTransformer2DModel(
        in_channels=4,
        dim=24,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=8,
        axes_dims=[4, 4, 4],
        axes_lens=[1024, 64, 64],
    )
    with torch.no_grad():  # born empty, and seen wherever a sequence is filled up
        transformer.x_pad_token.normal_()
        transformer.cap_pad_token.normal_()
    return diffusers.ZImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=6.0),
        vae=parts.kl(),
        text_encoder=Qwen3Model(parts.qwen3(layers=3)).eval(),
        tokenizer=parts.qwen_tokenizer(),
        transformer=transformer,
    )


def qwen_image() -> Any:
    text: dict[str, Any] = {**parts.qwen(2), "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 0]}}
    vision = {"depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 2, "out_hidden_size": 8}
    return diffusers.QwenImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02
        ),
        vae=parts.qwen_vae(),
        text_encoder=Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=text, vision_config=vision)  # type: ignore[arg-type]
        ).eval(),
        tokenizer=parts.qwen_tokenizer(),
        transformer=diffusers.QwenImageTransformer2DModel(
            in_channels=16,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=8,
            axes_dims_rope=(2, 2, 4),
        ),
    )


def krea2() -> Any:
    """Two layers are tapped where the true one taps twelve."""
    text = {**parts.qwen(2), "head_dim": 4, "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 0]}}
    vision = {"depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 2, "out_hidden_size": 8}
    vision |= {"deepstack_visual_indexes": [0]}  # type: ignore[dict-item]
    return diffusers.Krea2Pipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, max_image_seq_len=6400),
        vae=parts.qwen_vae(),
        text_encoder=Qwen3VLModel(Qwen3VLConfig(text_config=text, vision_config=vision)).eval(),  # type: ignore[arg-type]
        tokenizer=parts.qwen_tokenizer(),
        transformer=diffusers.Krea2Transformer2DModel(
            in_channels=16,
            num_layers=2,
            attention_head_dim=12,
            num_attention_heads=2,
            num_key_value_heads=1,
            intermediate_size=16,
            timestep_embed_dim=16,
            text_hidden_dim=8,
            num_text_layers=2,
            text_num_attention_heads=2,
            text_num_key_value_heads=2,
            text_intermediate_size=16,
            num_layerwise_text_blocks=1,
            num_refiner_text_blocks=1,
            axes_dims_rope=(4, 4, 4),
        ),
        text_encoder_select_layers=[1, 2],
    )


def sd35() -> Any:
    """With the dual attention and the normalised queries that 3.5 has and 3 has not."""
    vocabulary = ["<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "\u2581"]
    t5 = T5Tokenizer(vocab=[(word, 0.0) for word in vocabulary], extra_ids=0)
    clips = [parts.clip_with_summary(16), parts.clip_with_summary(24)]
    return diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=SIDE // 4,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=48,
            caption_projection_dim=16,
            pooled_projection_dim=2 * 20,
            pos_embed_max_size=16,
            dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=parts.kl(),
        text_encoder=clips[0],
        tokenizer=tiny._tokenizer(77),
        text_encoder_2=clips[1],
        tokenizer_2=tiny._tokenizer(77),
        text_encoder_3=T5EncoderModel(
            T5Config(vocab_size=len(vocabulary), d_model=48, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
        ).eval(),
        tokenizer_3=t5,
    )


def lumina2() -> Any:
    """Queries have two heads where keys have one, as the true one has thrice as many."""
    text = Gemma2Config(
        vocab_size=len(parts.gemma_vocabulary()),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
        query_pre_attn_scalar=4,
    )
    return diffusers.Lumina2Pipeline(
        transformer=diffusers.Lumina2Transformer2DModel(
            sample_size=SIDE // 4,
            in_channels=4,
            hidden_size=24,
            num_layers=2,
            num_refiner_layers=1,
            num_attention_heads=2,
            num_kv_heads=1,
            multiple_of=8,
            axes_dim_rope=(4, 4, 4),
            axes_lens=(300, 16, 16),
            cap_feat_dim=8,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=6.0),
        vae=parts.kl(),
        text_encoder=Gemma2Model(text).eval(),
        tokenizer=parts.gemma_tokenizer(),
    )


def aura_flow() -> Any:
    """One block of two streams and one of one; an autoencoder that does not shift, and places for pictures of 64 px."""
    transformer = diffusers.AuraFlowTransformer2DModel(
        sample_size=SIDE // 4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        caption_projection_dim=16,
        pos_embed_max_size=(2 * SIDE // 8) ** 2,
    )
    with torch.no_grad():  # born with gates that are nearly shut, through which nothing of attention would be seen
        for name, weight in transformer.named_parameters():
            weight.mul_(20 if name.endswith(("norm1.linear.weight", "norm1_context.linear.weight")) else 1)
    tokenizer = parts.llama_tokenizer()
    text = UMT5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    return diffusers.AuraFlowPipeline(
        tokenizer=tokenizer,  # type: ignore[arg-type]
        text_encoder=UMT5EncoderModel(text).eval(),
        vae=tiny._vae(),
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=1.73),
    )


def cogview4() -> Any:
    """Prompts are filled up on the left; an autoencoder that does not shift, and a scheduler that does with the size."""
    transformer = diffusers.CogView4Transformer2DModel(
        sample_size=SIDE // 4,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        text_embed_dim=8,
        time_embed_dim=16,
        condition_dim=8,
        rope_axes_dim=(16, 16),
    )
    tokenizer = parts.glm_tokenizer()
    text = GlmConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.pad_token_id,
    )
    return diffusers.CogView4Pipeline(
        tokenizer=tokenizer,  # type: ignore[arg-type]
        text_encoder=GlmModel(text).eval(),
        vae=tiny._vae(),
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.25, max_shift=0.75, time_shift_type="linear"
        ),
    )


MAKERS: dict[str, Callable[[], Any]] = {
    "sd15": sd15,
    "sdxl": sdxl,
    "flux2-klein": flux2_klein,
    "z-image": z_image,
    "qwen-image": qwen_image,
    "krea2": krea2,
    "sd35": sd35,
    "lumina2": lumina2,
    "aura-flow": aura_flow,
    "cogview4": cogview4,
}
