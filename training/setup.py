"""From a configuration to everything that the loop needs: encode all that will be asked for, free the encoders, inject."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from tqdm import tqdm

from likeness.errors import LikenessError
from likeness.faces import FaceFinder, world
from likeness.faces.following import WEARING_GLASSES, with_glasses
from likeness.families import Family
from likeness.person import Person
from training.cache import Encodings, Texts
from training.captions import worded
from training.class_images import class_portraits
from training.config import TrainConfig
from training.crops import portrait_size
from training.data import Example, Portraits, Sampler
from training.evaluation import Evaluation
from training.identity import IdentityLoss, Looker
from training.loading import DTYPES, check_licence, free_encoders, load_base, place
from training.model import FrozenBase, Trained, make_trainable
from training.moved import Mover
from training.objective import timestep_quantile
from training.portraits import Record, choose_portraits
from training.rank_mask import RankMask
from training.samples import Samples, SampleSettings
from training.selector import Selector, make_selector
from training.tracking import between_updates


@dataclass(frozen=True)
class Parts:
    """What a run is made of."""

    family: Family
    model: Trained
    frozen: FrozenBase | None
    """For the prior in mode "frozen"."""
    texts: Texts
    person: Sampler
    prior: Sampler | None
    identity: IdentityLoss | None
    evaluation: Evaluation | None
    samples: Samples | None
    selector: Selector | None
    """Of the checkpoint to keep; the main process has it alone."""
    selector_note: str
    """Why none is chosen though it was asked for; empty otherwise."""
    resolution: int
    """The largest that was trained on."""
    portraits: Record
    """Which are trained on."""
    glasses: bool
    """Whether they are worn on most of the portraits."""


def assemble(config: TrainConfig, person: Person, accelerator: Accelerator) -> Parts:
    """Loads, prepares, encodes and injects. Raises LikenessError for whatever the user can put right."""
    check_split(config, accelerator.num_processes)
    check_licence(config, accelerator)
    family = load_base(config, accelerator.device)
    _check_objective(config, family)
    buckets = config.data.buckets(family.resolution)
    sizes = [portrait_size(shape, width) for width, shape in buckets]
    for width, height in sizes:
        family.latent_shape(height, width)
    # The main process fills the person's folder; the others then find everything there.
    with accelerator.main_process_first(), torch.no_grad():
        chosen = choose_portraits(person, config.data, buckets)
        encodings = Encodings(family, person.cache, person.require_consent)
        looker = Looker(world.load(), FaceFinder()) if config.objective.identity.weight else None
        mover = Mover(person, config.data.moved)
        train = [_encode(encodings, rows, config.data.flip, looker, mover) for rows in chosen.train]
        sampler, prior = _samplers(config, family, encodings, train, sizes)
        evaluation = _evaluation(config, _encode(encodings, chosen.evaluated, flip=False))
        glasses = _wears_glasses(train)
        pictures = partial(_pictures, config, family, sizes[0], glasses)
        samples = pictures(config.samples) if config.samples.every else None
        seen = {"train": chosen.learnt, "held-out": chosen.held_out}
        main = accelerator.is_main_process
        selector, note = make_selector(config.selection, person, seen, pictures) if main else (None, "")
        drawn = [one for one in (samples, selector.pictures if selector else None) if one is not None]
        texts = encodings.text(_prompts(sampler, prior, evaluation, drawn))
    free_encoders(family, keep_text=config.trains_text, keep_vae=bool(drawn) or looker is not None)
    place(family.denoiser, accelerator.device)
    dtype = DTYPES[config.mixed_precision]
    frozen = FrozenBase(family, config.method, dtype) if prior and config.objective.prior.mode == "frozen" else None
    model = _trainable(config, family, dtype)
    identity = _identity(config, family, looker, accelerator) if looker is not None else None
    return Parts(
        family,
        model,
        frozen,
        texts,
        sampler,
        prior,
        identity,
        evaluation,
        samples,
        selector,
        note,
        max(width for width, _ in buckets),
        chosen.record,
        glasses,
    )


def subject(config: TrainConfig) -> str:
    """The words for the person: "sks person"."""
    return f"{config.trigger_words} {config.class_word}".strip()


def _trainable(config: TrainConfig, family: Family, dtype: torch.dtype) -> Trained:
    """The base with what learns in it."""
    model = make_trainable(
        family,
        config.method,
        config.lora,
        config.dreambooth,
        config.seed,
        dtype,
        config.gradient_checkpointing,
        config.pivotal,
    )
    if config.objective.least_rank < 1:
        RankMask(model, config.objective.least_rank, family.schedule.num_train_timesteps)
    if config.compile is not None:
        _compile(family, config.compile)
    return model


def _compile(family: Family, backend: str) -> None:
    """Blocks of one class share what is compiled. Sizes are compiled as they are, for a run has only a few."""
    denoiser: Any = family.denoiser
    try:
        denoiser.compile_repeated_blocks(backend=backend, dynamic=False)
    except ValueError as error:
        what = f"diffusers names no blocks of {type(denoiser).__name__} to compile"
        raise LikenessError(what, "Leave out compile") from error


def _check_objective(config: TrainConfig, family: Family) -> None:
    """Raises LikenessError, before anything is encoded, for weights that the base's objective does not know."""
    if config.objective.min_snr_gamma is not None:
        family.schedule.min_snr_weight(torch.zeros(1, dtype=torch.int64), config.objective.min_snr_gamma)


def _encode(
    encodings: Encodings,
    rows: Iterable[Mapping[str, Any]],
    flip: bool,
    looker: Looker | None = None,
    mover: Mover | None = None,
) -> Portraits:
    def encoded(row: Mapping[str, Any], side: bool) -> Example:
        example = encodings.portrait(row, side)
        return example if looker is None else replace(example, points=looker.points(row, side))

    examples = []
    for row in tqdm(rows, desc="encoding", delay=5, leave=False, mininterval=between_updates()):
        copies = mover.copies(row) if mover else []
        for side in (False, True) if flip else (False,):
            moved = [encoded(copy, side) for copy in copies]
            examples.append(replace(encoded(row, side), moved=moved))
    return Portraits(examples)


def _identity(config: TrainConfig, family: Family, looker: Looker, accelerator: Accelerator) -> IdentityLoss:
    """Raises LikenessError where the recogniser that trains would select as well, or finds no face on the portraits."""
    if config.selection.enabled and config.selection.recogniser == "world":
        what = "the recogniser of the identity loss would select the checkpoint too"
        raise LikenessError(what, "Set selection.recogniser to dlib, or objective.identity.weight to 0")
    device = accelerator.device
    return IdentityLoss(config.objective.identity, family, looker.network.to(device), looker.target().to(device))


def _samplers(
    config: TrainConfig, family: Family, encodings: Encodings, train: list[Portraits], sizes: list[tuple[int, int]]
) -> tuple[Sampler, Sampler | None]:
    """``train``: the portraits of each bucket; ``sizes``: their (width, height) in px."""
    settings, data = config.objective, config.data
    common: dict[str, Any] = {
        "seed": config.seed,
        "identity": train[0].identity,
        "stratified": settings.timesteps.stratified,
        "sample_posterior": data.sample_posterior,
        "noise_offset": settings.noise_offset,
    }
    person = Sampler(
        train,
        subject(config),
        role="person",
        slots=config.batch_size,
        caption_dropout=data.caption_dropout,
        moved_below=timestep_quantile(data.moved.below, settings.timesteps),
        **common,
    )
    if not config.prior_slots:
        return person, None
    prompts, portraits = settings.prior.prompts, train
    if settings.prior.mode == "images":
        captions = sorted({caption for bucket in train for caption in bucket.captions})
        asked = prompts or [worded(caption, config.class_word) for caption in captions]
        count = math.ceil(settings.prior.images / len(sizes))
        portraits = [class_portraits(family, encodings, asked, count, size, config.seed) for size in sizes]
        prompts = []
    prior = Sampler(portraits, config.class_word, role="prior", slots=config.prior_slots, prompts=prompts, **common)
    return person, prior


def _evaluation(config: TrainConfig, held_out: Portraits) -> Evaluation | None:
    settings = config.evaluation
    if not settings.every or not len(held_out):
        return None
    return Evaluation(held_out, settings, subject(config), config.seed, config.objective.background_floor)


def _pictures(
    config: TrainConfig, family: Family, size: tuple[int, int], glasses: bool, settings: SampleSettings
) -> Samples:
    prompts = [with_glasses(prompt, glasses) for prompt in settings.prompts]
    return Samples(settings.model_copy(update={"prompts": prompts}), family, size, subject(config), config.seed)


def _wears_glasses(train: Iterable[Portraits]) -> bool:
    captions = [example.caption for bucket in train for photo in bucket.photos for example in photo]
    return 2 * sum(WEARING_GLASSES in caption for caption in captions) > len(captions)


def _prompts(
    person: Sampler, prior: Sampler | None, evaluation: Evaluation | None, drawn: Iterable[Samples]
) -> set[str]:
    prompts = set(person.all_prompts())
    prompts |= set(prior.all_prompts()) if prior else set()
    prompts |= set(evaluation.prompts) if evaluation else set()
    return prompts.union(*([*one.prompts, one.negative] for one in drawn))


def check_split(config: TrainConfig, processes: int) -> None:
    """Raises LikenessError when processes and accumulation rounds cannot share a step's slots equally."""
    rounds = config.gradient_accumulation
    for slots, key in ((config.batch_size, "batch_size"), (config.prior_slots, "objective.prior.batch_size")):
        if slots % (processes * rounds):
            what = f"{key} is {slots}, which {processes} processes x {rounds} gradient_accumulation rounds"
            raise LikenessError(f"{what} cannot share equally", f"Use a multiple of {processes * rounds}")
