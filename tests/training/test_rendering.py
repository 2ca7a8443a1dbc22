"""Pictures during training against the stock pipeline, and the loss that is looked at during training."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from likeness import randomness
from likeness.families import DiscreteSchedule, Recipe, load_family
from training.class_images import class_portraits
from training.data import Example, Portraits
from training.evaluation import Evaluation, EvaluationSettings
from training.rendering import render_latents


@pytest.mark.parametrize(("rescale", "eta"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.6)])
def test_equals_the_stock_pipeline(v_base: Path, rescale: float, eta: float) -> None:
    family = load_family(str(v_base))
    noise = randomness.normal((2, *family.latent_shape(32, 32)), 0, "test")
    prompts = ["a headshot of a person", "a cat"]
    recipe = Recipe(steps=4, guidance_scale=5.0, guidance_rescale=rescale, eta=eta)
    with torch.no_grad():
        wanted, unwanted = family.encode_text(prompts), family.encode_text(["blurred"] * 2)
    ours = render_latents(family, family.predict, wanted, unwanted, noise, recipe, [3, 4])
    theirs = family.pipeline()(
        prompts,
        negative_prompt=["blurred"] * 2,
        latents=noise,
        num_inference_steps=4,
        guidance_scale=5.0,
        guidance_rescale=rescale,
        eta=eta,
        generator=[torch.Generator().manual_seed(seed) for seed in (3, 4)],
        output_type="latent",
    ).images
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_class_pictures_are_rendered_once(v_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.cache import Encodings

    family = load_family(str(v_base))
    calls = []
    predict = family.predict

    def counted(noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        calls.append(len(noisy))
        return predict(noisy, timesteps, conditioning)

    monkeypatch.setattr(family, "predict", counted)
    arguments = ["a person", "a man"], 3, (32, 32), 0
    with torch.no_grad():
        first = class_portraits(family, Encodings(family, tmp_path), *arguments)
        made = len(calls)
        again = class_portraits(family, Encodings(family, tmp_path), *arguments)
    assert made > 0 and len(calls) == made
    assert first.captions == ["a man", "a person"] and len(first) == 3
    for one, other in zip(first.photos, again.photos, strict=True):
        assert torch.equal(one[0].mean, other[0].mean)


def test_evaluation_is_the_mean_error_at_fixed_noise_levels(v_base: Path) -> None:
    schedule = load_family(str(v_base)).schedule
    assert isinstance(schedule, DiscreteSchedule)
    zeros, mask = torch.zeros(2, 4, 4), torch.zeros(1, 4, 4)
    mask[:, 1:3, 1:3] = 1
    examples = [Example(zeros + number, zeros, mask, "{subject}", f"photo {number}") for number in (1, 2)]
    evaluation = Evaluation(Portraits(examples), EvaluationSettings(quantiles=2), "sks person", seed=0, floor=0.2)
    asked: list[tuple[int, str]] = []

    def says_nothing(noisy: Tensor, timesteps: Tensor, prompts: list[str]) -> Tensor:
        asked.append((int(timesteps), prompts[0]))
        return torch.zeros_like(noisy)

    found = evaluation.losses(says_nothing, schedule, "cpu")
    assert asked == [(250, "sks person")] * 2 + [(750, "sks person")] * 2
    assert found == evaluation.losses(says_nothing, schedule, "cpu"), "nothing is drawn anew"
    noise = [randomness.normal((2, 4, 4), 0, "evaluation", Portraits(examples).identity, place) for place in (0, 1)]
    alpha = schedule.alphas_cumprod[250]
    velocities = [alpha.sqrt() * noise[place] - (1 - alpha).sqrt() * (place + 1) for place in (0, 1)]
    weights = torch.where(mask > 0, 1.0, 0.2)  # a quarter is face
    expected = sum(float((weights * v.square()).mean() / 0.4) for v in velocities) / 2
    assert found["evaluation/00-50"] == pytest.approx(expected, rel=1e-5)
    assert found["evaluation/loss"] == pytest.approx((found["evaluation/00-50"] + found["evaluation/50-100"]) / 2)
