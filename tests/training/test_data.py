from collections import Counter

import pytest
import torch

from likeness.errors import LikenessError
from training.data import Batch, DataSettings, Example, Portraits, Sampler


def portraits(photos: int = 5, crops: int = 3) -> Portraits:
    def example(photo: int, crop: int) -> Example:
        mean = torch.full((2, 4, 4), float(10 * photo + crop))
        return Example(mean, torch.full_like(mean, 0.5), torch.ones(1, 4, 4), f"{{subject}} {crop}", f"photo {photo}")

    return Portraits([example(photo, crop) for photo in range(photos) for crop in range(crops)])


def sampler(**changes: object) -> Sampler:
    settings: dict[str, object] = {
        "buckets": [portraits()],
        "subject": "sks person",
        "seed": 3,
        "identity": "someone",
        "role": "person",
        "slots": 4,
        "stratified": True,
        "sample_posterior": True,
        "noise_offset": 0.0,
    }
    return Sampler(**(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("stratified", [True, False])
def test_slots_do_not_depend_on_how_a_step_is_split_nor_on_what_came_before(stratified: bool) -> None:
    one = sampler(stratified=stratified)
    whole = one.batch(9, range(4))
    parts = [one.batch(9, share) for share in (range(2, 4), range(2))][::-1]
    for name in ("latents", "noise", "quantiles", "masks"):
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(joined, getattr(whole, name))
    assert whole.prompts == parts[0].prompts + parts[1].prompts


def test_every_photo_comes_once_in_a_pass_and_passes_differ() -> None:
    one = sampler(sample_posterior=False)
    seen = [int(value) // 10 for step in range(25) for value in one.batch(step, range(4)).latents[:, 0, 0, 0]]
    passes = [tuple(seen[begin : begin + 5]) for begin in range(0, 100, 5)]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in passes)
    assert len(set(passes)) > 10


def test_every_photo_comes_once_in_a_pass_over_each_bucket() -> None:
    three = sampler(buckets=[portraits(), portraits(), portraits()], sample_posterior=False)
    seen: dict[int, list[int]] = {}
    for step in range(60):
        photos = [int(value) // 10 for value in three.batch(step, range(4)).latents[:, 0, 0, 0]]
        seen.setdefault(three._bucket(step), []).extend(photos)
    assert set(seen) == {0, 1, 2}
    for photos in seen.values():
        assert all(sorted(photos[begin : begin + 5]) == [0, 1, 2, 3, 4] for begin in range(0, 80, 5))


def test_the_order_in_which_portraits_were_read_does_not_matter() -> None:
    forwards, backwards = portraits(), Portraits([e for photo in portraits().photos[::-1] for e in photo])
    assert forwards.identity == backwards.identity
    drawn = [sampler(buckets=[found]).batch(2, range(4)).latents for found in (forwards, backwards)]
    assert torch.equal(*drawn)


def test_another_seed_identity_or_role_draws_something_else() -> None:
    here = sampler().batch(0, range(4)).noise
    for change in ({"seed": 4}, {"identity": "another"}, {"role": "prior"}):
        assert not torch.equal(here, sampler(**change).batch(0, range(4)).noise)


def test_stratified_timesteps_fill_every_stratum_and_are_uniform() -> None:
    quantiles = torch.stack([sampler().batch(step, range(4)).quantiles for step in range(200)])
    assert bool(((quantiles >= 0) & (quantiles < 1)).all())
    assert torch.equal((quantiles * 4).long().sort(dim=1).values, torch.arange(4).expand(200, 4))
    assert float(quantiles[:, 0].mean()) == pytest.approx(0.5, abs=0.06)


def test_other_timesteps_are_uniform_and_independent() -> None:
    quantiles = torch.stack([sampler(stratified=False).batch(step, range(4)).quantiles for step in range(400)])
    assert float(quantiles.mean()) == pytest.approx(0.5, abs=0.03)
    assert torch.corrcoef(quantiles.T).fill_diagonal_(0).abs().max() < 0.2
    strata = (quantiles * 4).long().sort(dim=1).values
    filled = (strata == torch.arange(4)).all(dim=1).double().mean()
    assert float(filled) == pytest.approx(24 / 4**4, abs=0.05), "all four by chance alone"


def test_the_posterior_is_sampled_with_its_standard_deviation() -> None:
    noisy, mean = sampler(), sampler(sample_posterior=False)
    differences = [noisy.batch(s, range(4)).latents - mean.batch(s, range(4)).latents for s in range(60)]
    assert float(torch.stack(differences).std()) == pytest.approx(0.5, rel=0.05)


def test_moved_copies_stand_in_where_noise_is_little() -> None:
    def example(value: float, moved: tuple[Example, ...] = ()) -> Example:
        return Example(
            torch.full((1, 2, 2), value), torch.zeros(1, 2, 2), torch.full((1, 2, 2), value), "", "a", moved=moved
        )

    one = Portraits([example(1, (example(2), example(3), example(4)))])
    drawn = [sampler(buckets=[one], moved_below=0.4).batch(step, range(4)) for step in range(150)]
    assert all(torch.equal(batch.latents[:, 0, 0, 0], batch.masks[:, 0, 0, 0]) for batch in drawn)
    found = [
        (float(q), float(v)) for batch in drawn for q, v in zip(batch.quantiles, batch.latents[:, 0, 0, 0], strict=True)
    ]
    assert {value for quantile, value in found if quantile >= 0.4} == {1}
    below = Counter(value for quantile, value in found if quantile < 0.4)
    assert set(below) == {1, 2, 3, 4} and min(below.values()) > 0.15 * below.total()
    assert torch.equal(sampler(buckets=[one]).batch(0, range(4)).masks, torch.ones(4, 1, 2, 2)), "off by default"


def test_noise_offset_moves_whole_channels() -> None:
    plain, moved = sampler().batch(1, range(4)).noise, sampler(noise_offset=0.3).batch(1, range(4)).noise
    constant = (moved - plain).flatten(2)
    torch.testing.assert_close(constant, constant[..., :1].expand_as(constant))
    assert float(constant.std()) > 0


def test_prompts_are_worded_dropped_and_listed() -> None:
    captions = Counter(p for step in range(50) for p in sampler(caption_dropout=0.25).batch(step, range(4)).prompts)
    assert set(captions) == {"", "sks person 0", "sks person 1", "sks person 2"}
    assert set(sampler(caption_dropout=0.25).all_prompts()) == set(captions)
    assert captions[""] / 200 == pytest.approx(0.25, abs=0.1)
    fixed = sampler(prompts=["a", "b"])
    assert (
        {p for step in range(10) for p in fixed.batch(step, range(4)).prompts} == {"a", "b"} == set(fixed.all_prompts())
    )


SHAPES = [(4, 4), (5, 4), (8, 8)]


def of_shapes(role: str = "person", **changes: object) -> Sampler:
    def bucket(height: int, width: int) -> Portraits:
        zeros, mask = torch.zeros(2, height, width), torch.ones(1, height, width)
        return Portraits([Example(zeros, zeros, mask, "{subject}", f"photo {photo}") for photo in range(5)])

    return sampler(buckets=[bucket(*shape) for shape in SHAPES], role=role, **changes)


def shape_of(batch: Batch) -> tuple[int, ...]:
    return tuple(batch.latents.shape[-2:])


def test_a_step_draws_from_one_bucket_and_every_bucket_comes_once_in_a_pass() -> None:
    drawn = [shape_of(of_shapes().batch(step, range(4))) for step in range(60)]
    passes = [tuple(drawn[begin : begin + 3]) for begin in range(0, 60, 3)]
    assert all(sorted(order) == sorted(SHAPES) for order in passes) and len(set(passes)) > 3


def test_the_bucket_is_the_same_for_every_share_role_and_person_and_changes_with_the_seed() -> None:
    def drawn(sample: Sampler, share: range = range(4)) -> list[tuple[int, ...]]:
        return [shape_of(sample.batch(step, share)) for step in range(30)]

    here = drawn(of_shapes())
    assert drawn(of_shapes(), range(2, 3)) == drawn(of_shapes("prior", slots=2), range(2)) == here
    assert drawn(of_shapes(identity="another")) == here != drawn(of_shapes(seed=4))


def test_buckets_hold_what_was_asked_for_once() -> None:
    found = DataSettings.parse({"resolution": [64, 96, 64], "shape": ["square", "portrait"]}).buckets(128)
    assert found == [(64, "square"), (64, "portrait"), (96, "square"), (96, "portrait")]
    assert DataSettings.parse({"shape": "portrait"}).buckets(128) == [(128, "portrait")]
    assert DataSettings.parse({"resolution": 32}).buckets(128) == [(32, "square")]


def test_varied_or_alike_selfies_need_a_number() -> None:
    assert DataSettings().photos_by == "drawn"
    assert DataSettings.parse({"photos": 5, "photos_by": "varied"}).photos == 5
    with pytest.raises(LikenessError, match=r"Expected: data\.photos, how many selfies, with data\.photos_by alike"):
        DataSettings.parse({"photos_by": "alike"})
