"""CLIPScore against transformers called by hand, and bleed of adapters that do and do not draw the person."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from inference import bleed
from inference.clip_score import ClipScore
from inference.material import Shot
from inference.prompt_following import follow, summary
from inference.renderer import RenderJob
from likeness.adapter_file import AdapterInfo
from likeness.errors import LikenessError
from likeness.faces import FaceFinder, embedder
from likeness.faces.examiner import Examiner
from tests import photos
from tests.tiny import _tokenizer, _vocabulary


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random CLIP of the true class."""
    folder, size = tmp_path_factory.mktemp("clip"), len(_vocabulary())
    text = CLIPTextConfig(
        vocab_size=size, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=77, eos_token_id=size - 1, bos_token_id=size - 2,
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=30, patch_size=10
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=8)
        CLIPModel(config).save_pretrained(folder)
    _tokenizer(77).save_pretrained(folder)
    return folder


def test_the_clip_score_is_that_of_the_model_itself(clip: Path) -> None:
    ours, model = ClipScore(str(clip)), CLIPModel.from_pretrained(str(clip)).eval()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 30, 3), np.uint8))
    pixels = np.asarray(picture.crop((0, 15, 30, 45)), np.float64) / 255
    mean, spread = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    values = torch.tensor(((pixels - mean) / spread).transpose(2, 0, 1)[None], dtype=torch.float32)
    scores = []
    for prompt in ("a headshot of a person", "blue", "an office at night " * 9):
        tokens = _tokenizer(77)([f"A photo depicts {prompt}"], return_tensors="pt", truncation=True, max_length=77)
        with torch.no_grad():
            seen: Any = model.vision_model(pixel_values=values).pooler_output
            read: Any = model.text_model(**tokens).pooler_output
            image, text = model.visual_projection(seen), model.text_projection(read)
        cosine = float(torch.nn.functional.cosine_similarity(image, text))
        scores.append(ours.score(picture, prompt))
        assert scores[-1] == pytest.approx(2.5 * max(0.0, cosine), abs=1e-5)
    assert any(score > 0 for score in scores)


def test_the_summary_counts_what_was_asked(clip: Path) -> None:
    shots = [
        Shot(path, {"prompt": "a headshot", "slots": {"framing": framing}})
        for path, framing in zip(
            sorted(photos.people()[0].glob("headshot_*.jpg")), ("head and shoulders", "close-up"), strict=False
        )
    ]
    finder = FaceFinder()
    found = summary([follow(shot, finder) for shot in shots], shots, str(clip), seed=0)
    assert (found["checks"]["framing"]["asked"], found["checks"]["framing"]["agreed"]) == (2, 1)
    assert found["clip_score"]["mean"] == pytest.approx(np.mean(found["clip_score"]["each"]))
    assert follow(Shot(shots[0].path, {}), finder) == {}


def test_what_is_no_clip_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LikenessError, match="no CLIP model can be loaded"):
        ClipScore(str(tmp_path))


class Drawing:
    """Stands in for the renderer: pictures of one person without the adapter, of another with it."""

    def __init__(self, alone: list[Path], loaded: list[Path]) -> None:
        self._alone, self._loaded = alone, loaded
        self.jobs: list[RenderJob] = []

    def __call__(self, base: str, adapter: Path | None = None, **_: object) -> SimpleNamespace:
        paths = self._alone if adapter is None else self._loaded

        def render(jobs: list[RenderJob], sampling: object) -> list[Image.Image]:
            self.jobs += jobs
            return [Image.open(paths[number % len(paths)]) for number in range(len(jobs))]

        return SimpleNamespace(render=render)


@pytest.mark.parametrize("drawn", ["person", "stranger"])
def test_bleed_is_what_likeness_rises_by(drawn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, stranger = photos.people()[5], photos.people()[0]
    selfies = [(path.name, photos.pixels(path)) for path in photos.selfies(own)[:6]]
    examiner = Examiner(selfies, {selfies[0][0], selfies[1][0]}, FaceFinder(), embedder())
    info = AdapterInfo(
        family="sd15", base="pocket", base_sha256="0", method="lora", trigger="sks", class_word="woman",
        steps=1, data_digest="0", resolution=32,
    )  # fmt: skip
    monkeypatch.setattr(bleed, "read_info", lambda path: info)
    folder = own if drawn == "person" else stranger
    drawing = Drawing(sorted(stranger.glob("headshot_*.jpg")), sorted(folder.glob("headshot_*.jpg")))
    monkeypatch.setattr(bleed, "Renderer", drawing)
    one, two = bleed.bleed(Path("adapter"), examiner, 3, seed=5)
    assert (one["prompt"], two["prompt"]) == ("a headshot of a woman", "a photo of two people")
    assert {job.seed for job in drawing.jobs} == {5, 6, 7} and not any("sks" in job.prompt for job in drawing.jobs)
    if drawn == "stranger":
        assert one["rise"] == 0.0 and one["compared"] == 3
    else:
        assert one["rise"] > 0.5 and one["interval_95"]["low"] > 0
        assert one["likeness_with_adapter"] - one["likeness_alone"] == pytest.approx(one["rise"])
