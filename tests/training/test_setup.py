"""What becomes of a configuration before the first step: who is asked for by which words, and what moves up to which noise."""

from typing import Any

import pytest
import torch

from tests.training.test_data import portraits
from training import setup
from training.config import TrainConfig
from training.data import Portraits, Sampler
from training.objective import TimestepSettings, timestep_positions

PEOPLE = {"class person 0", "class person 1", "class person 2"}


def samplers(monkeypatch: pytest.MonkeyPatch, asked: list[list[str]], **changes: Any) -> tuple[Sampler, Sampler | None]:
    """Of five photographs, captioned "{subject} 0" to "{subject} 2"; ``asked``: what class pictures are drawn of."""

    def drawn(family: Any, encodings: Any, prompts: list[str], count: int, *_: Any) -> Portraits:
        asked.append(list(prompts))
        return portraits(count, 1)

    monkeypatch.setattr(setup, "class_portraits", drawn)
    named = {"person": "ana", "trigger": "sks", "class_word": "class person"}
    config = TrainConfig.parse({**named, **changes})
    family: Any = None
    return setup._samplers(config, family, family, [portraits()], [(32, 32)])


@pytest.mark.parametrize("mode", ["frozen", "images"])
def test_the_prior_is_of_the_class_and_never_hears_the_trigger(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """Or the base would be held to what it says of the person's own words: the person would hardly be learnt."""
    asked: list[list[str]] = []
    person, prior = samplers(monkeypatch, asked, objective={"prior": {"mode": mode}})
    assert prior is not None and (person.role, prior.role) == ("person", "prior")
    assert set(person.all_prompts()) == {f"sks {caption}" for caption in PEOPLE}
    assert asked == ([sorted(PEOPLE)] if mode == "images" else [])
    assert not any("sks" in prompt for prompt in prior.all_prompts())
    assert mode == "images" or set(prior.all_prompts()) == PEOPLE
    _, own = samplers(monkeypatch, asked, objective={"prior": {"mode": "frozen", "prompts": ["a man"]}})
    assert own is not None and own.all_prompts() == ["a man"]


def test_samplers_are_as_they_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = {"noise_offset": 0.3, "timesteps": {"stratified": False}, "prior": {"batch_size": 2}}
    data = {"sample_posterior": False, "caption_dropout": 0.25}
    both = samplers(monkeypatch, [], batch_size=6, seed=5, objective=objective, data=data)
    for one in both:
        assert one is not None and one.identity == portraits().identity
        assert (one.seed, one.noise_offset, one.stratified, one.sample_posterior) == (5, 0.3, False, False)
    assert [(one.slots, one.caption_dropout) for one in both if one] == [(6, 0.25), (2, 0.0)]


def test_without_a_prior_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert samplers(monkeypatch, [], objective={"prior": {"mode": "none"}})[1] is None


def test_copies_move_up_to_a_noise_level_whatever_its_density(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"density": "logit-normal", "mean": -0.7, "shift": 2.0}
    person, _ = samplers(monkeypatch, [], data={"moved": {"below": 0.3}}, objective={"timesteps": settings})
    quantile = torch.tensor([person.moved_below], dtype=torch.float64)
    assert float(timestep_positions(quantile, TimestepSettings.parse(settings))) == pytest.approx(0.3)
