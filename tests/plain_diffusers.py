"""Draws one picture with diffusers alone, as docs/rendering.md says: what our renderer must agree with."""

import hashlib
import json
import sys

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

base, adapter, seed, prompt, negative, steps, guidance, rescale, eta, guidance_from, out = sys.argv[1:]
pipe = StableDiffusionPipeline.from_pretrained(base)
pipe.load_lora_weights(adapter)

scale = float(guidance)
if guidance_from == "base":

    def guide(unet, arguments, options, output):
        pipe.disable_lora()
        alone = unet.forward(*arguments, **options)[0]
        pipe.enable_lora()
        return (alone + float(guidance) * (output[0] - alone),)

    pipe.unet.register_forward_hook(guide, with_kwargs=True)
    scale = 1.0

key = hashlib.blake2b(json.dumps([int(seed), "render"]).encode(), digest_size=16, person=b"likeness-rng-1").digest()
draw = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
side = pipe.unet.config.sample_size
latents = draw.standard_normal((1, pipe.unet.config.in_channels, side, side), dtype=np.float32)

image = pipe(
    prompt,
    negative_prompt=negative or None,
    latents=torch.from_numpy(latents),
    num_inference_steps=int(steps),
    guidance_scale=scale,
    guidance_rescale=float(rescale),
    eta=float(eta),
    generator=torch.Generator().manual_seed(int(seed)),
).images[0]
image.save(out)
assert not {"likeness", "inference", "training"} & set(sys.modules)
