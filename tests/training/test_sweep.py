"""Sweeps: every cell once, whatever comes in between; and the table that they make, against numbers made by hand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from likeness.errors import LikenessError
from likeness.families import fingerprint
from likeness.person import Person
from tests.training.made import make_person
from tests.training.runs import FAST, interrupt_at
from training import sweep as sweeping
from training.config import TrainConfig
from training.signals import Interrupted
from training.sweep import Result, Sweep, Variant, cells, known, recipe, run
from training.sweep_table import choose, markdown, tabulate

TWO = Sweep.parse({"variants": [{"name": "as it is"}, {"name": "faster", "set": {"optim.lr": "x2"}}]})


def base(folder: Path) -> dict[str, Any]:
    return {**FAST, "base": str(folder), "steps": 2}


def measure(person: Person, adapter: Path, config: TrainConfig) -> dict[str, float]:
    assert (adapter / "adapter.json").is_file()
    return {"likeness": config.optim.lr, "copying": 0}


def test_a_grid_is_every_combination() -> None:
    found = Sweep.parse({"variants": [{"name": "one"}], "grid": {"steps": [1, 2], "optim.lr": [0.1, 0.2]}}).all()
    assert [variant.set for variant in found[1:]] == [
        {"steps": steps, "optim.lr": rate} for steps in (1, 2) for rate in (0.1, 0.2)
    ]
    assert found[1].name == "steps=1, optim.lr=0.1"
    for wrong in ({}, {"variants": [{"name": "one"}, {"name": "one"}]}):
        with pytest.raises(LikenessError):
            Sweep.parse(wrong)


def test_factors_are_of_the_configurations_own_value(v_base: Path, person: Person) -> None:
    half = Sweep.parse(
        {"variants": [{"name": "half", "set": {"lora.rank": "x0.5", "optim.lr": "x0.5", "steps": "x0.1"}}]}
    )
    (cell,) = cells(half, base(v_base), [person], 1, "")
    assert (cell.config.lora.rank, cell.config.optim.lr, cell.config.steps) == (1, 5e-3, 1)
    for wrong, expected in (({"optim.lrr": 1}, "optim.lr"), ({"method": "x2"}, "means nothing")):
        with pytest.raises(LikenessError, match=f'in the variant "odd".*{expected}'):
            cells(Sweep(variants=[Variant(name="odd", set=wrong)]), base(v_base), [person], 1, "")


def test_what_holds_for_all_variants_gives_way_to_a_variants_own(v_base: Path, person: Person) -> None:
    common = Sweep.parse({"set": {"steps": 7}, "variants": [{"name": "one"}, {"name": "two", "set": {"steps": 8}}]})
    assert [cell.config.steps for cell in cells(common, base(v_base), [person], 1, "")] == [7, 8]


def test_a_key_is_of_all_that_the_numbers_depend_on(v_base: Path, person: Person) -> None:
    def keys(measured: str = "", **changes: Any) -> list[str]:
        return [cell.key for cell in cells(TWO, {**base(v_base), **changes}, [person], 2, measured)]

    first = keys()
    assert len(set(first)) == 4
    assert keys(tracking={"every": 5}) == first
    assert not set(keys("another recogniser")) & set(first)
    assert not set(keys(steps=3)) & set(first)
    assert keys(accept_license=True) == first
    person.selfie_files()[0].write_bytes(b"another photograph")
    assert not set(keys()) & set(first)


@pytest.mark.parametrize("part", ["unet/diffusion_pytorch_model.safetensors", "vae/config.json", "recipe.json"])
def test_another_base_at_the_same_place_has_other_keys(
    v_base: Path, person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """It is read once, however many cells there are."""
    mine, read = tmp_path / "mine", []
    shutil.copytree(v_base, mine)

    def noted(*given: Any) -> str:
        read.append(given)
        return fingerprint(*given)

    monkeypatch.setattr(sweeping, "fingerprint", noted)

    def keys() -> list[str]:
        return [cell.key for cell in cells(TWO, base(mine), [person], 2, "")]

    first = keys()
    assert read == [(str(mine), None)] and keys() == first
    (mine / "README.md").write_text("what a model card says changes nothing")
    assert keys() == first
    (mine / part).write_bytes(b"other numbers")
    assert not set(keys()) & set(first)


def test_what_is_done_is_not_done_again(
    v_base: Path, person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo, out = cells(TWO, base(v_base), [person], 1, ""), tmp_path / "out"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1)
        with pytest.raises(Interrupted):
            list(run(todo, out, measure))
    first = run(todo, out, measure)
    assert next(first)[1].values["likeness"] == 1e-2
    first.close()
    trained: list[str] = []
    train = sweeping.train

    def counted(config: TrainConfig) -> Path:
        trained.append(config.name)
        return train(config)

    monkeypatch.setattr(sweeping, "train", counted)
    found = [result for _, result in run(todo, out, measure)]
    assert [(one.variant, one.values["likeness"]) for one in found] == [("as it is", 1e-2), ("faster", 2e-2)]
    assert trained == [todo[1].config.name]
    assert all(one.seconds > 0 for one in found)
    (out / "cells" / f"{todo[0].key}.json").write_text("{")
    assert [one.variant for _, one in run(todo, out, measure)] == ["as it is", "faster"]
    assert len(trained) == 2
    for folder in (person.runs, person.adapters):
        assert not list(folder.iterdir()), "cells leave nothing behind"
    assert sorted(path.suffix for path in (out / "cells").iterdir()) == [".json", ".json"]


def test_variants_that_come_to_the_same_are_trained_once(v_base: Path, person: Person, tmp_path: Path) -> None:
    same = Sweep.parse({"variants": [{"name": "one"}, {"name": "same", "set": {"optim.lr": "x1"}}]})
    todo = cells(same, base(v_base), [person], 1, "")
    assert todo[0].key == todo[1].key
    found = [result for _, result in run(todo, tmp_path, measure)]
    assert [one.variant for one in found] == ["one", "same"] and found[0].values == found[1].values
    assert len(list((tmp_path / "cells").iterdir())) == 1


def test_a_variant_that_diverges_is_a_result_and_the_others_go_on(
    v_base: Path, person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = Sweep(variants=[Variant(name="too fast", set={"optim.lr": 1e20}), *TWO.variants])
    todo = cells(three, {**base(v_base), "steps": 4}, [person], 1, "")
    found = [result for _, result in run(todo, tmp_path, measure)]
    assert [result.variant for result in found] == ["too fast", "as it is", "faster"]
    assert "no longer a number" in found[0].failed and found[0].values == {} and found[0].seconds > 0
    assert not any(result.failed for result in found[1:])
    for folder in (person.runs, person.adapters):
        assert not list(folder.iterdir()), "a failed cell leaves nothing behind"
    monkeypatch.setattr(sweeping, "train", lambda config: pytest.fail("it would diverge again"))
    assert [result for _, result in run(todo, tmp_path, measure)] == known(todo, tmp_path) == found
    rows = tabulate(found, three.all(), {})
    assert [row["people"] for row in rows] == [0, 1, 1]
    assert rows[0]["failed"] == [{"person": "zebulon", "seed": 0, "why": found[0].failed}]
    json.dumps(rows, allow_nan=False)
    lines = markdown(rows).splitlines()
    assert lines[2].startswith("| too fast | 0 (1 failed) |") and len({line.count("|") for line in lines[:5]}) == 1
    assert lines[-1] == f"- too fast, zebulon, seed 0: {found[0].failed}"
    assert choose(rows, 0.15) == "faster"


def test_what_somebody_can_put_right_ends_a_sweep(
    v_base: Path, person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(config: TrainConfig) -> Path:
        raise LikenessError("cannot be written: no space left on device")

    monkeypatch.setattr(sweeping, "train", full)
    todo = cells(TWO, base(v_base), [person], 1, "")
    with pytest.raises(LikenessError, match="no space"):
        list(run(todo, tmp_path, measure))
    assert known(todo, tmp_path) == []


def test_two_processes_share_the_people_out(v_base: Path, person: Person, tmp_path: Path) -> None:
    other, out = make_person(tmp_path / "people" / "quentin"), tmp_path / "out"
    todo = cells(TWO, base(v_base), [person, other], 1, "")
    first, second = run(todo, out, measure), run(todo, out, measure)
    assert (next(first)[0], next(second)[0]) == (todo[0], todo[2])
    second.close()  # as if it had been killed: what it left undone is done by the other
    assert [cell for cell, _ in first] == [todo[1], todo[2], todo[3]]
    assert [(one.person, one.variant) for one in known(todo, out)] == [(c.person.name, c.variant) for c in todo]


def test_a_recipe_is_what_differs_from_the_defaults(tmp_path: Path) -> None:
    config = TrainConfig.parse({"person": "ana", "name": "run", "optim": {"lr": 0.5}, "data": {"crops": ["close"]}})
    path = tmp_path / "best.yaml"
    path.write_text(recipe(config))
    assert "ana" not in path.read_text() and "betas" not in path.read_text()
    assert TrainConfig.load(path, ["person=ana", "name=run"]) == config


def results(likeness: dict[str, list[float]], copying: float = 0.0) -> list[Result]:
    return [
        Result(variant, f"p{place}", 0, 10.0 * (1 + number), {"likeness": value, "copying": copying})
        for number, (variant, values) in enumerate(likeness.items())
        for place, value in enumerate(values)
    ]


def test_the_table_is_over_people_and_paired() -> None:
    found = results({"one": [0.1, 0.5, 0.3], "two": [0.2, 0.6]})
    # A second seed of the first person counts as the same person.
    found.append(Result("two", "p0", 1, 20.0, {"likeness": 0.4, "copying": 0.0}))
    variants = [Variant(name="one"), Variant(name="two", question="Why?"), Variant(name="not yet")]
    one, two = tabulate(found, variants, {"dark": {"p0", "p1"}, "light": {"p2"}, "old": {"p1", "p2"}})
    assert one["measures"]["likeness"]["mean"] == pytest.approx(0.3)
    assert one["measures"]["likeness"]["difference"] is None
    assert one["worst_group"] == {"likeness": pytest.approx(0.3), "group": "dark"}
    assert two["people"] == 2 and two["question"] == "Why?"
    assert two["measures"]["likeness"]["mean"] == pytest.approx(0.45)
    assert two["measures"]["likeness"]["difference"] == pytest.approx((0.2 + 0.1) / 2)
    interval = two["measures"]["likeness"]["difference_interval_95"]
    assert interval["low"] == pytest.approx(0.1) and interval["high"] == pytest.approx(0.2)
    assert two["times_first"] == pytest.approx(2.0)
    json.dumps([one, two], allow_nan=False)
    lines = markdown([one, two]).splitlines()
    assert len(lines) == 4 and len({line.count("|") for line in lines}) == 1
    assert lines[3].startswith("| two | 2 | 0.45 (") and "+0.15" in lines[3] and "2.00 x" in lines[3]


def test_the_best_variant_does_not_copy() -> None:
    rows = tabulate(
        [*results({"one": [0.3]}), *results({"two": [0.9]}, copying=0.5), *results({"three": [0.4]}, copying=0.1)],
        [Variant(name=name) for name in ("one", "two", "three")],
        {},
    )
    assert choose(rows, 0.15) == "three"
    equal = tabulate(results({"one": [0.3]}) + results({"two": [0.3]}), [Variant(name="one"), Variant(name="two")], {})
    assert choose(equal, 0.15) == "one"


def test_a_variant_that_fails_on_anybody_is_not_chosen() -> None:
    """Its mean is of the others, who may be easier; with two seeds one failure is enough."""
    found = [*results({"one": [0.3, 0.3]}), *results({"two": [0.9, 0.9]}), Result("two", "p1", 1, 5.0, {}, "diverged")]
    variants = [Variant(name="one"), Variant(name="two")]
    one, two = tabulate(found, variants, {})
    assert two["people"] == 2 and two["measures"]["likeness"]["mean"] == pytest.approx(0.9) and len(two["failed"]) == 1
    assert choose([one, two], 0.15) == "one"
    with pytest.raises(LikenessError, match="every variant failed"):
        choose([two], 0.15)


def test_two_people_are_cells_of_their_own(v_base: Path, person: Person, tmp_path: Path) -> None:
    other = make_person(tmp_path / "people" / "quentin")
    found = cells(TWO, base(v_base), [person, other], 1, "")
    assert [(cell.person.name, cell.variant) for cell in found] == [
        (name, variant) for name in ("zebulon", "quentin") for variant in ("as it is", "faster")
    ]
