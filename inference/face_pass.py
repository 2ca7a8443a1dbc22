"""The face pass: a drawn face is cut out, enlarged to all that the base draws, drawn again from a share of the noise, and put back.

On a head and shoulders a face has a fifth of the pixels, and what is as small as an eyelid is lost in the autoencoder. Known from the
"detailer" extensions of image tools; the drawing itself is SDEdit (Meng et al. 2021, arXiv 2108.01073), diffusers' image-to-image.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFilter

from inference.gates import OTHER_FACE_SHARE
from likeness.faces import FaceFinder
from likeness.faces.framing import TOO_ALIKE, WIDTHS, corner
from likeness.faces.scorer import looked_at
from likeness.families import Family, Recipe
from likeness.randomness import generator

CORNER = "face_corner"
"""In a picture's `info`: (left, top) px of the square that was drawn again, as large as what the base draws."""
_SOFT_EDGE = 0.1  # of the square's side
_LARGEST = 4.0
"""Times that a picture is enlarged at most. Where the face is smaller still, it is no headshot."""


@dataclass(frozen=True)
class Closeup:
    """A picture, enlarged, and the top left corner of the square on it, as large as what the base draws, that is the face's."""

    picture: Image.Image
    corner: tuple[int, int]

    def cut(self, side: int) -> Image.Image:
        """The square, `side` px."""
        left, top = self.corner
        return self.picture.crop((left, top, left + side, top + side))

    def with_face(self, face: Image.Image) -> Image.Image:
        """The picture with that square in it, which fades into what is around it."""
        edge = round(face.width * _SOFT_EDGE)
        mask = Image.new("L", face.size, 0)
        ImageDraw.Draw(mask).rectangle((edge, edge, face.width - edge, face.height - edge), fill=255)
        whole = self.picture.copy()
        whole.paste(face, self.corner, mask.filter(ImageFilter.GaussianBlur(edge / 2)))
        whole.info[CORNER] = self.corner
        return whole


class FacePass:
    """Draws the faces on a base's pictures again."""

    def __init__(self, family: Family) -> None:
        """`family` as it is drawn with, adapter and all. Raises LikenessError where diffusers cannot draw a picture of it again."""
        self._family = family
        self._pipe: Any = family.redrawing()
        self._takes = inspect.signature(self._pipe.__call__).parameters
        self._finder = FaceFinder()

    def __call__(
        self,
        pictures: Sequence[Image.Image],
        prompts: Sequence[str],
        negatives: Sequence[str],
        seeds: Sequence[int],
        recipe: Recipe,
        scheduler: Any,
    ) -> list[Image.Image]:
        """RGB pictures in their order, enlarged by as much as the face was; as they are where nothing is to be won.

        That is where no face is found, or a second one that the gate counts, and where the face fills the picture already, or next to nothing of it. `seeds`: of the noise.
        `recipe`: its face_strength is above 0. `scheduler`: of diffusers, as `pictures` were drawn with.
        """
        done = list(pictures)
        found = {place: closeup for place, picture in enumerate(pictures) if (closeup := self._closeup(picture))}
        if not found:
            return done
        arguments = self._arguments(recipe, [prompts[place] for place in found], [negatives[place] for place in found])
        squares = [closeup.cut(self._family.resolution) for closeup in found.values()]
        drawn = [seeds[place] for place in found]
        arguments["generator"] = [generator(seed) for seed in drawn]
        arguments |= self._family.stirring(scheduler, recipe, drawn)
        self._pipe.scheduler = scheduler
        faces = self._pipe(image=squares, **arguments).images
        for (place, closeup), face in zip(found.items(), faces, strict=True):
            done[place] = closeup.with_face(face)
        return done

    def _closeup(self, picture: Image.Image) -> Closeup | None:
        rgb = looked_at(picture)
        faces = self._finder.find(rgb)
        if not faces or (len(faces) > 1 and faces[1].size >= OTHER_FACE_SHARE * faces[0].size):
            return None
        side = self._family.resolution
        face = faces[0].moved(0, 0, picture.width / rgb.shape[1])
        larger = side / (WIDTHS["close"] * face.size)
        width, height = round(picture.width * larger), round(picture.height * larger)
        # A picture of a shape of its own may be narrower than the square: what lies beside it would be drawn as black.
        if not TOO_ALIKE <= larger <= _LARGEST or side > min(width, height):
            return None
        left, top = corner("close", face.moved(0, 0, larger), side, side, width, height)
        return Closeup(picture.resize((width, height), Image.Resampling.LANCZOS), (round(left), round(top)))

    def _arguments(self, recipe: Recipe, prompts: list[str], negatives: list[str]) -> dict[str, Any]:
        side = self._family.resolution
        latents = torch.zeros(len(prompts), *self._family.latent_shape(side, side))
        usual = self._family.pipeline_arguments(recipe, prompts, negatives, latents) | {"height": side, "width": side}
        # It begins in the middle, and takes other arguments: Stable Diffusion's, for one, rescales no guidance.
        usual = {name: value for name, value in usual.items() if name in self._takes and name != "latents"}
        # Of a few steps, at least the last one; 49 times 1/49 is rounded to less than one.
        return usual | {"strength": max(recipe.face_strength, math.nextafter(1 / recipe.steps, 1))}
