"""Where a face pass draws, and what it leaves alone."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference.face_pass import Closeup, FacePass
from inference.prompts import compose
from inference.renderer import Renderer
from inference.styles import Style, find_style
from likeness import resources
from likeness.faces import FaceFinder
from likeness.faces.framing import WIDTHS
from likeness.faces.scorer import looked_at
from likeness.families import Recipe, load_family
from likeness.images import load_photo

SIDE = 256
RECIPE = Recipe(steps=10, face_strength=0.3, guidance_scale=1.0)
PORTRAIT = resources.cohort_portraits("p900000")[1]


class Painter:
    """Stands for the stock pipeline: remembers what it was given, and paints every square red."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, image: Any, prompt: Any, strength: float, generator: Any, num_inference_steps: int) -> Any:
        self.asked.append({"squares": image, "prompts": prompt, "strength": strength, "generators": generator})
        self.images = [Image.new("RGB", square.size, "red") for square in image]
        return self


@pytest.fixture(scope="module")
def face_pass() -> FacePass:
    return FacePass(load_family("pocket"))


@pytest.fixture
def painter(face_pass: FacePass, monkeypatch: pytest.MonkeyPatch) -> Painter:
    painter = Painter()
    monkeypatch.setattr(face_pass, "_pipe", painter)
    monkeypatch.setattr(face_pass, "_takes", {"prompt": None, "num_inference_steps": None})
    return painter


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    return load_photo(PORTRAIT).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def drawn(face_pass: FacePass, pictures: list[Image.Image], recipe: Recipe = RECIPE) -> list[Image.Image]:
    words = [f"person {number}" for number in range(len(pictures))]
    return face_pass(pictures, words, [""] * len(words), list(range(len(words))), recipe, None)


def test_the_face_alone_is_drawn_again(face_pass: FacePass, painter: Painter, portrait: Image.Image) -> None:
    (again,) = drawn(face_pass, [portrait])
    (square,) = painter.asked[0]["squares"]
    assert square.size == (SIDE, SIDE) and again.width == again.height > SIDE
    (face,) = FaceFinder().find(np.asarray(square.resize((512, 512))))
    assert SIDE / (face.size / 2) == pytest.approx(WIDTHS["close"], rel=0.06)
    larger = np.asarray(portrait.resize(again.size, Image.Resampling.LANCZOS), np.int16)
    now = np.asarray(again, np.int16)
    red = np.abs(now - [255, 0, 0]).sum(axis=2) == 0  # not where it fades
    (face,) = FaceFinder().find(larger.astype(np.uint8))
    x, y = (round(value) for value in face.centre)
    assert red[y, x] and 0.1 < red.mean() < 0.3
    untouched = (now == larger).all(axis=2)
    assert untouched[0].all() and untouched[-1].all()  # above the hair and below the shoulders


def test_what_has_no_face_or_several_or_one_that_fills_it_stays(
    face_pass: FacePass, painter: Painter, portrait: Image.Image
) -> None:
    empty = Image.new("RGB", (SIDE, SIDE), "grey")
    two = Image.new("RGB", (2 * SIDE, SIDE))
    two.paste(portrait, (0, 0))
    two.paste(portrait, (SIDE, 0))
    closeup = face_pass._closeup(portrait)
    assert isinstance(closeup, Closeup)
    far = Image.new("RGB", (3 * SIDE, 3 * SIDE))
    far.paste(portrait.resize((SIDE // 2, SIDE // 2)), (SIDE, SIDE))
    pictures = [empty, portrait, two, closeup.cut(SIDE), far]
    again = drawn(face_pass, pictures)
    assert [one is other for one, other in zip(pictures, again, strict=True)] == [True, False, True, True, True]
    (asked,) = painter.asked
    assert asked["prompts"] == ["person 1"] and [one.initial_seed() for one in asked["generators"]] == [1]
    assert drawn(face_pass, [empty, two]) == [empty, two] and len(painter.asked) == 1


def test_a_picture_on_the_wall_does_not_keep_the_face_from_being_drawn_again(
    face_pass: FacePass, painter: Painter, portrait: Image.Image
) -> None:
    picture = Image.new("RGB", (SIDE + 64, SIDE), "grey")
    picture.paste(portrait, (0, 0))
    picture.paste(portrait.resize((64, 64)), (SIDE, 0))
    assert len(FaceFinder().find(looked_at(picture))) == 2
    (closeup, alone) = (face_pass._closeup(one) for one in (picture, portrait))
    assert closeup and alone and closeup.corner == pytest.approx(alone.corner, abs=4)
    assert drawn(face_pass, [picture])[0] is not picture and len(painter.asked) == 1


def test_a_picture_narrower_than_the_square_stays(face_pass: FacePass, painter: Painter, portrait: Image.Image) -> None:
    """Else what lies beside the picture is drawn too, as black."""
    (face,) = FaceFinder().find(np.asarray(portrait.resize((512, 512))))
    x, y = (round(value / 2) for value in face.centre)
    half = round(0.73 * face.size / 2)
    narrow = portrait.crop((x - half, y - half, x + half, y + half)).resize((192, 192), Image.Resampling.LANCZOS)
    tall = Image.new("RGB", (192, SIDE), "grey")
    tall.paste(narrow, (0, 20))
    assert drawn(face_pass, [tall])[0] is tall and not painter.asked


def test_few_steps_draw_at_least_the_last_one(face_pass: FacePass, painter: Painter, portrait: Image.Image) -> None:
    for steps in (1, 2, 3, 49, 107):  # 49 * (1 / 49) is less than 1
        drawn(face_pass, [portrait], RECIPE.model_copy(update={"steps": steps, "face_strength": 0.001}))
        assert int(steps * painter.asked[-1]["strength"]) == 1 >= painter.asked[-1]["strength"]
    drawn(face_pass, [portrait])
    assert painter.asked[-1]["strength"] == 0.3


def test_the_face_is_framed_closely_in_words_where_the_style_frames() -> None:
    prompt = compose(find_style("studio-grey"), {}, "sks person")
    assert prompt.closer == prompt.positive.replace("head and shoulders", "close-up") != prompt.positive
    unframed = Style.model_validate({"title": "Plain", "prompt": "a photo of {subject}", "slots": {}})
    assert compose(unframed, {}, "sks person").closer == "a photo of sks person"


def test_the_base_alone_draws_nobodys_face_again() -> None:
    renderer = Renderer("pocket", None, "cpu")
    assert renderer.family.recipe.face_strength > 0 == renderer.recipe.face_strength
