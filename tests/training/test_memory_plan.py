"""The plan of memory, held against real tensors of tiny models on the CPU, and against itself for the published bases."""

import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from inference.headshots import RenderRequest
from likeness import resources
from likeness.adapter import LoraSettings
from likeness.bases import Precision, known_bases, needs
from likeness.families import Family, load_family
from scripts import memory_plan
from tests import tiny_families
from tests.tiny_families import SIDE
from training.config import TrainConfig
from training.memory_plan import Alive, GpuLike, Kept, compute, kept_bytes
from training.model import DreamboothSettings, Trained, make_trainable
from training.setup import check_split

KB = 1024
WAYS: tuple[tuple[Precision, bool], ...] = (("nf4", True), ("bf16", True), ("bf16", False))
NAMES = ["sdxl", "flux2-klein", "z-image"]
"""A U-Net, a transformer with packed latents, and one that takes lists."""


def test_what_is_alive_is_counted_from_birth_to_death() -> None:
    for device in ("cpu", "meta"):
        with Alive() as alive:
            first = torch.empty(256, device=device)
            second = first + 1  # 2 KiB
            second[:16].mul_(2)  # views and what is written in place take none
            third = second * 2  # 3 KiB
            del first, second
            fourth = third + 1  # 2 KiB
        assert (alive.most, alive.now) == (3 * KB, 2 * KB)
        del third, fourth
        assert alive.now == 0


def test_of_checkpointed_blocks_inputs_are_kept_and_one_inside() -> None:
    blocks = nn.ModuleList(nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256)) for _ in range(4))
    kept, x = Kept(blocks), torch.empty(1, 256, requires_grad=True)
    with kept.outside():
        for block in blocks:
            x = kept.checkpointed(block, x)
    # Four inputs, and what the one ReLU made, which the next layer reads too.
    assert kept.bytes == 4 * KB + KB


def trained(base: Path, dtype: torch.dtype = torch.bfloat16) -> Trained:
    family = load_family(str(base))
    return make_trainable(family, "lora", LoraSettings(rank=2), DreamboothSettings(), 0, dtype, False)


def inputs(family: Family) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    with torch.no_grad():
        conditioning = family.encode_text(["a headshot"])
    sizes = {**conditioning, **family.framing(torch.tensor([[SIDE, SIDE]]))}
    return torch.ones(1, *family.latent_shape(SIDE, SIDE)), torch.full((1,), 0.5), sizes


def on_meta(model: Trained, given: tuple[Any, ...]) -> tuple[Any, ...]:
    model.to("meta")
    noisy, timesteps, conditioning = given
    moved = {name: t if name == "mask" else t.to("meta") for name, t in conditioning.items()}
    return noisy.to("meta"), timesteps.to("meta"), moved


@pytest.mark.parametrize("name", NAMES)
def test_on_the_meta_device_autograd_keeps_what_it_really_keeps(name: str, tmp_path: Path) -> None:
    model = trained(tiny_families.make(name, tmp_path / name))
    given = inputs(model.family)
    own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    really: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            really[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        out = model(*given, None)
    assert out.requires_grad
    planned = on_meta(model, given)
    kept = Kept(model)
    with GpuLike(autocast=False), kept.outside():
        model(*planned, None)
    assert kept.bytes == pytest.approx(sum(really.values()), rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_step_needs_no_more_than_is_planned(name: str, tmp_path: Path) -> None:
    model = trained(tiny_families.make(name, tmp_path / name))
    given = inputs(model.family)
    with Alive() as really:
        model(*given, None).float().square().mean().backward()
    gradients = sum(p.grad.nbytes for p in model.parameters_in_order() if p.grad is not None)
    planned = on_meta(model, given)
    kept = Kept(model)
    with GpuLike(autocast=False), kept.outside():
        model(*planned, None)
    with torch.no_grad(), GpuLike(autocast=False), Alive() as passing:
        model(*planned, None)
    # The plan is on the safe side, by more where, as here, the text is longer than the picture.
    assert really.most - gradients <= kept.bytes + passing.most <= 1.4 * (really.most - gradients)


@pytest.mark.parametrize("name", list(tiny_families.MAKERS))
def test_the_plan_is_given_what_the_family_makes_of_a_prompt(name: str, tmp_path: Path) -> None:
    made = load_family(str(tiny_families.make(name, tmp_path / name))).encode_text(["a headshot"])
    for base in known_bases():
        if base.family == name:
            planned = {key: len(shape) for key, shape in base.conditioning.items()}
            assert planned.items() >= {key: tensor.ndim - 1 for key, tensor in made.items()}.items()


def test_a_step_is_planned_with_as_many_rows_as_go_through_the_denoiser_at_once() -> None:
    """The prior's samples too, of the recipe as it is shipped; and its batch splits into the rounds that are named."""
    for base in known_bases():
        plan, config = needs()[base.name], TrainConfig.load(resources.configs() / base.recipe, ["person=nobody"])
        assert (plan.pictures, plan.prior) == (config.batch_size, config.prior_slots)
        check_split(config.model_copy(update={"gradient_accumulation": plan.rounds}), 1)
        assert plan.drawn == (RenderRequest().batch if base.family_class.draws_batches else 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("checkpointed", [False, True])
def test_rows_add_up(name: str, checkpointed: bool, tmp_path: Path) -> None:
    """So that one row is planned, and multiplied."""
    model = trained(tiny_families.make(name, tmp_path / name))
    noisy, timesteps, conditioning = inputs(model.family)
    needed = []
    for rows in (1, 8):
        given = (
            noisy.repeat(rows, 1, 1, 1),
            timesteps.repeat(rows),
            {k: torch.cat([t] * rows) for k, t in conditioning.items()},
        )
        planned = on_meta(model, given)
        kept, denoiser = Kept(model), cast(Any, model.family.denoiser)
        if checkpointed:
            denoiser.enable_gradient_checkpointing(kept.checkpointed)
        with torch.no_grad(), GpuLike(autocast=True), Alive() as passing:
            model(*planned, None)
        needed.append(kept_bytes(model, kept, *planned) + passing.most)
    # What does not grow, such as matrices in bfloat16, is a good part of a tiny model, and next to nothing of a full one.
    assert 0.5 * 8 * needed[0] < needed[1] <= 8 * needed[0]


def test_the_tables_of_the_page_are_those_of_the_script() -> None:
    page = (Path(__file__).parents[2] / "docs" / "memory.md").read_text(encoding="utf-8")
    plans = needs()
    assert memory_plan.size_table(known_bases(), plans) in page
    for table in (memory_plan.training_table, memory_plan.full_table, memory_plan.drawing_table):
        for px in (512, 1024):
            assert table(plans, px) in page


def test_a_base_that_is_not_known_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or `--write` would put the old numbers back as if they were new."""
    monkeypatch.setattr(sys, "argv", ["memory_plan.py", "--write", "--base", "nonsense", "Tongyi-MAI/Z-Image"])
    with pytest.raises(SystemExit):
        memory_plan.main()
    told = capsys.readouterr().err
    assert "no base is called nonsense; there are: " in told and "stable-diffusion-1.5" in told


def test_every_known_base_is_planned() -> None:
    plans = needs()
    assert list(plans) == [base.name for base in known_bases()]
    unet = plans["stable-diffusion-1.5"]
    assert unet.parameters["unet"] == 859_520_964  # as everywhere
    for base in known_bases():
        plan, px = plans[base.name], base.resolution
        least, at_once = ([plan.training(px, *way, rounds) for way in WAYS] for rounds in (plan.rounds, 1))
        assert least == sorted(least) and at_once == sorted(at_once) and least[-1] < at_once[-1]
        # Ten bytes of every parameter at the least, where a LoRA keeps two of most.
        assert 10 * plan.denoiser["bf16"] / 2 / 2**30 < plan.full_training(px, True) < plan.full_training(px, False)
        assert plan.training(px, "bf16", True, plan.rounds) < plan.full_training(px, True)
        assert plan.rendering(px, "nf4") < plan.rendering(px, "int8") < plan.rendering(px, "bf16")
        assert plan.rendering(px, "bf16", offload=True) < plan.rendering(px, "bf16")


@pytest.mark.slow
def test_the_plan_that_is_kept_is_that_of_this_code() -> None:
    (base,) = (base for base in known_bases() if base.name == "stable-diffusion-1.5")
    kept, anew = needs()[base.name], compute(base)
    assert anew.parameters == kept.parameters and anew.denoiser == kept.denoiser and anew.lora == kept.lora
    for name in ("step", "full_step", "drawing", "encoding", "decoding"):
        # Other releases of diffusers may write a block a little differently.
        assert getattr(anew, name) == pytest.approx(getattr(kept, name), rel=0.1)
