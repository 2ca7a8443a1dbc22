"""Draws one picture with diffusers alone, as docs/rendering.md says: what our renderer must agree with."""

import hashlib
import json
import sys

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from PIL import Image, ImageDraw, ImageFilter

base, adapter, seed, prompt, negative, steps, guidance, rescale, eta, guidance_from, words, face, out = sys.argv[1:]
pipe = StableDiffusionPipeline.from_pretrained(base)
pipe.load_lora_weights(adapter)

scale = float(guidance)
if guidance_from == "base":

    def guide(unet, arguments, options, output):
        pipe.disable_lora()
        alone = unet.forward(*arguments, **options)[0]
        pipe.enable_lora()
        return (alone + float(guidance) * (output[0] - alone)[-1:],)

    pipe.unet.register_forward_hook(guide, with_kwargs=True)
    scale = float(words)

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

if face := json.loads(face):  # the record's face_corner, face_prompt, drawn_size and face_strength
    again = StableDiffusionImg2ImgPipeline.from_pipe(pipe)
    left, top = face["corner"]
    whole = image.resize(face["size"], Image.Resampling.LANCZOS)
    square = whole.crop((left, top, left + image.width, top + image.width))
    drawn = again(
        face["prompt"],
        image=square,
        strength=face["strength"],
        num_inference_steps=int(steps),
        guidance_scale=scale,
        eta=float(eta),
        generator=torch.Generator().manual_seed(int(seed)),
    ).images[0]
    edge = round(drawn.width * 0.1)
    mask = Image.new("L", drawn.size, 0)
    ImageDraw.Draw(mask).rectangle((edge, edge, drawn.width - edge, drawn.width - edge), fill=255)
    whole.paste(drawn, (left, top), mask.filter(ImageFilter.GaussianBlur(edge / 2)))
    image = whole
image.save(out)
assert not {"likeness", "inference", "training"} & set(sys.modules)
