"""One training run from its configuration to the adapter on disk, and the command line around it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin, parse_flag_from_env

from likeness import adapter, files, resources
from likeness.adapter import AdapterInfo
from likeness.errors import LikenessError
from likeness.memory import fits
from likeness.person import Person
from likeness.selection import Selection
from training import checkpoint, resume, tracking
from training.config import TrainConfig, usual_recipe
from training.loading import DTYPES
from training.loop import Loop
from training.selector import keep_best
from training.setup import Parts, assemble
from training.signals import EXIT_INTERRUPTED, EXIT_KILLED, Interrupted, leave_with_launcher

_PATIENCE = timedelta(hours=2)
"""For the processes that wait while the main one encodes, evaluates or draws."""
_TURN = 10.0
"""Seconds in which the main process, if it has the same error, is gone, and its launcher has ended the others."""
_SHARDERS = ("DEEPSPEED", "FSDP", "MEGATRON_LM")
_USAGE = "accelerate launch train.py --config configs/pocket.yaml person=people/ana [key=value ...]"


def main(arguments: Sequence[str]) -> int:
    """The command line. Returns the exit status: 0, 2 for what the user can put right, 75 when stopped and saved, 130 when stopped."""
    parser = argparse.ArgumentParser(prog="train.py", usage=_USAGE, description="Train an adapter of one person.")
    parser.add_argument("--config", type=Path, help="a YAML file of settings; the base's own recipe")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that override the file's")
    options = parser.parse_intermixed_args(arguments)
    leave_with_launcher()
    _note_lone_process()
    rank = int(os.environ.get("RANK", "0"))
    speaks = rank == 0
    try:
        recipe = options.config or usual_recipe(options.overrides)
        if recipe is not None and recipe is not options.config and speaks:
            print(f"note: without --config this is the base's own recipe, {recipe.name}", file=sys.stderr)
        config = TrainConfig.load(recipe, options.overrides)
        with files.permitted(), tracking.hushed():
            folder = train(config)
    except LikenessError as error:
        _tell(error, rank)
        return error.exit_code
    except Interrupted as stop:
        if speaks:
            but = ", but for checkpoint.resume=never," if config.checkpoint.resume == "never" else ""
            print(f"stopped and saved at step {stop.step}; the same command{but} goes on from there", file=sys.stderr)
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:  # before the steps or after them, or a second time
        if speaks:
            print("stopped; what was saved until then is there", file=sys.stderr)
        return EXIT_KILLED
    if speaks:
        print(f"adapter: {folder}")
    return 0


def _tell(error: LikenessError, rank: int) -> None:
    """One process may be the only one with an error: a node without the base, a full disk. Then nobody else would say so."""
    if rank:
        time.sleep(_TURN)  # what all of them have is told once
    print(f"error{f' (process {rank})' if rank else ''}: {error}", file=sys.stderr, flush=True)


def _note_lone_process() -> None:
    """accelerate's launcher starts one process on CPUs, however many were asked for, unless mpirun does the starting."""
    several = {"WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"} & os.environ.keys()
    # It sets a port for the processes to meet at only when it was asked for more than one.
    if os.environ.get("ACCELERATE_USE_CPU") == "True" and "MASTER_PORT" in os.environ and not several:
        print(
            "note: accelerate started one process, not several: on CPUs it needs mpirun for that. "
            "Without: torchrun --nproc_per_node 2 train.py ... (the adapter is the same)",
            file=sys.stderr,
        )


@fits("Try gradient_checkpointing=true, a larger gradient_accumulation, or quantize.kind=nf4")
def train(config: TrainConfig) -> Path:
    """Trains, or goes on training, and returns the adapter's folder.

    Raises LikenessError for what the user can put right, and where the consent is taken back meanwhile; Interrupted when SIGTERM or
    SIGINT came: the run is saved then.
    """
    person = Person.open(config.person)
    person.require_consent()
    resources.base(config.base)
    tracking.check(config.tracking)
    folder, target = person.runs / config.run_name, person.adapters / config.run_name
    accelerator = _accelerator(config, folder)
    try:
        shares = accelerator.num_processes * config.gradient_accumulation
        start = resume.find_start(config, person, shares)
        began = start.checkpoint and start.checkpoint.name, start.finished, config.model_dump(exclude={"person"})
        resume.check_agreement(accelerator, "settings and checkpoints", began, folder)
        if start.finished:
            accelerator.print(f"this run is finished: {config.steps} steps. Raise steps to go on with it")
            if start.outdated:
                accelerator.print("note: there are other selfies than when it was trained. For them: another name=...")
            return target
        _train(config, person, accelerator, start, shares)
    except BaseException:
        for tracker in accelerator.trackers:
            # One that could not be started cannot be finished either; its cause is to be read, not that.
            with suppress(Exception):
                tracker.finish()
        raise
    else:
        tracking.finish(accelerator)
        accelerator.end_training()
    finally:
        # accelerate keeps its settings for the life of the process; another run in it may want others.
        AcceleratorState._reset_state()
    return target


def _train(config: TrainConfig, person: Person, accelerator: Accelerator, start: resume.Start, shares: int) -> None:
    folder, label = person.runs / config.run_name, f"{person.name}-{config.run_name}"
    selfies = set(person.selfies_by_digest())
    saved = checkpoint.load(start.checkpoint, "cpu") if start.checkpoint is not None else None
    parts = assemble(config, person, accelerator)
    base_sha256, data_digest = parts.family.sha256(), parts.portraits.digest
    resume.check_agreement(accelerator, "portraits and base", (data_digest, base_sha256), folder)
    if saved is not None:
        resume.check_sameness(saved.state, data_digest, base_sha256, folder)
    tracker_id: str = saved.state["tracker"] if saved is not None else tracking.new_id(label)
    state = {
        "config": config.model_dump(mode="json"),
        "data_digest": data_digest,
        "base_sha256": base_sha256,
        "tracker": tracker_id,
        "shares": shares,
    }
    loop = Loop(config, accelerator, parts, folder, state, person.require_consent)
    if saved is not None:
        loop.restore(saved)
    # Every process has looked at the folder by now; one of them may change it.
    accelerator.wait_for_everyone()
    with resume.only_one(person, config.run_name) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            resume.open_folder(config, folder, start, loop.done)
            if parts.selector is not None:
                parts.selector.open(folder, loop.done)
            steps_note = "" if saved is None else resume.on_other_steps(config, saved.state)
            for note in filter(None, (steps_note, parts.portraits.note, parts.selector_note)):
                accelerator.print(f"note: {note}")
        accelerator.wait_for_everyone()
        with files.explained(folder):
            tracking.start(accelerator, config.tracking, folder, label, tracker_id, loop.done)
            for tracker in accelerator.trackers:
                tracker.store_init_configuration(tracking.config_values(config))
        loop.run()
        if accelerator.is_main_process:
            with loop.averaged():
                selection = keep_best(parts.selector, parts.selector_note, parts.family, loop.done)
                person.require_consent()
                if selection is not None and selection.curve:
                    accelerator.print(f"kept: {selection.note}")
                _save(config, parts, base_sha256, selection, person.adapters / config.run_name)
            resume.note_finished(config, selfies, folder)
        accelerator.wait_for_everyone()


def _accelerator(config: TrainConfig, folder: Path) -> Accelerator:
    precision = "no" if config.mixed_precision == "fp32" else config.mixed_precision
    for name in _SHARDERS:
        if parse_flag_from_env(f"ACCELERATE_USE_{name}"):
            what = f"accelerate is set up for {name}, by which nothing is sharded here"
            raise LikenessError(what, "Launch with --config_file configs/accelerate/multi_gpu.yaml")
    if precision == "fp16" and not torch.cuda.is_available():
        raise LikenessError("mixed_precision=fp16 needs a GPU", "Use bf16 or fp32")
    return Accelerator(
        # Without being told, accelerate takes processes that torchrun started on CPUs for so many lone ones.
        cpu=not torch.accelerator.is_available(),
        mixed_precision=precision,
        log_with=tracking.log_with(config.tracking, folder),
        project_dir=folder,
        # The loop splits its batches itself: accelerate would divide the loss by what it finds in the environment.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
    )


def _save(config: TrainConfig, parts: Parts, base_sha256: str, selection: Selection | None, folder: Path) -> None:
    is_lora = config.method == "lora"
    packages = ("torch", "diffusers", "transformers", "peft", "accelerate")
    info = AdapterInfo(
        family=parts.family.name,
        base=config.base,
        base_sha256=base_sha256,
        method=config.method,
        trigger=config.trigger_words,
        tokens=config.pivotal.words,
        class_word=config.class_word,
        rank=config.lora.rank if is_lora else None,
        alpha=config.lora.alpha if is_lora else None,
        steps=config.steps,
        data_digest=parts.portraits.digest,
        glasses=parts.glasses,
        trained=parts.portraits.trained,
        held_out=parts.portraits.untrained,
        trained_by=None if parts.identity is None else parts.identity.recogniser,
        selection=selection,
        resolution=parts.resolution,
        versions={name: version(name) for name in packages},
        licence=parts.family.licence,
        revision=parts.family.revision,
    )
    # A LoRA is small and stays exact; a whole denoiser is written as it would be rendered.
    exact = is_lora or DTYPES[config.mixed_precision] is torch.float32
    adapter.save(parts.family, folder, info, torch.float32 if exact else torch.float16)
