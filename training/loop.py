"""The training loop: the same for every family and every method.

A step is a function of the weights, the optimiser's moments and the step's number. The batch of a step is split first
into accumulation rounds and then over the processes, each of which takes its share of the slots; means over shares of
equal size make the gradient that of the whole batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from diffusers.training_utils import EMAModel
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from likeness import adapter
from training import checkpoint, samples, tracking
from training.averaging import Moments
from training.checkpoint import Checkpoint
from training.config import TrainConfig
from training.data import Batch, joined
from training.metrics import Meter, check_finite
from training.objective import Losses, losses, timestep_positions
from training.optim import make_optimizer, make_schedule
from training.samples import Samples
from training.setup import Parts
from training.signals import Interrupted, StopRequest


class Loop:
    """One run, from wherever it is to ``config.steps``."""

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        parts: Parts,
        folder: Path,
        state: Mapping[str, Any],
        permit: Callable[[], object] = lambda: None,
    ) -> None:
        """``folder`` is the run's; ``state`` goes into every checkpoint. The batch must be one that can be shared (`check_split`).

        ``permit`` is called before anything is written, by the main process, and raises where it may not be any more.
        """
        self.config, self.accelerator, self.parts = config, accelerator, parts
        self.folder, self.state, self.permit = folder, dict(state), permit
        self.done = 0
        self.parameters = parts.model.parameters_in_order()
        self.groups = parts.model.parameter_groups()
        self.optimizer = make_optimizer(config.optim, self.groups)
        self.rates = make_schedule(config.optim, self.optimizer, config.steps)
        ema = config.dreambooth.ema
        averaged = config.method == "dreambooth" and ema.enabled
        self.ema = EMAModel(self.parameters, decay=ema.decay) if averaged else None
        self.moments = Moments(config.averaging, parts.family, folder) if config.averaging.last else None
        self.meter = Meter(parts.family.schedule.num_train_timesteps)
        if parts.model.leaves_idle:  # looking for it takes a walk over the graph in every step
            accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.model, self.stepper = accelerator.prepare(parts.model, self.optimizer)

    def restore(self, saved: Checkpoint) -> None:
        """Goes to where a checkpoint was made."""
        adapter.load_adapter_state(self.parts.family, saved.trained)
        self.optimizer.load_state_dict(saved.optimizer["optimizer"])
        if self.accelerator.scaler is not None and saved.optimizer["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(saved.optimizer["scaler"])
        if self.ema is not None and saved.ema is not None:
            for name, average in zip(adapter.adapter_state(self.parts.family), self.ema.shadow_params, strict=True):
                average.copy_(saved.ema[name])
            self.ema.optimization_step = saved.step
        self.done = saved.step
        self.meter.average = saved.state["loss_average"]
        self.rates = make_schedule(self.config.optim, self.optimizer, self.config.steps, saved.step)

    def run(self) -> None:
        """Trains to the end. Raises Interrupted when asked to stop, after saving; LikenessError when it cannot go on."""
        main, steps = self.accelerator.is_main_process, self.config.steps
        bar = tqdm(
            total=steps,
            initial=self.done,
            disable=not main,
            desc="training",
            mininterval=tracking.between_updates(),
        )
        ended = self.done == steps or self._seen_enough()
        with StopRequest() as stop, bar:
            if self.done == 0:
                self._look()
            while not ended:
                gradient_norm = self._step(self.done)
                self.done += 1
                if main:
                    self.permit()
                bar.update()
                self._log(gradient_norm)
                if self.moments is not None and main:
                    self.moments.keep(self.done)
                self._look()
                stopping = self._agreed(stop.asked)
                ended = self.done == steps or (self._is_candidate() and self._seen_enough())
                if stopping or ended or self.done % self.config.checkpoint.every == 0:
                    self._save()
                if stopping and not ended:
                    raise Interrupted(self.done)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the weights are their running average, where there is one, and dropout is off."""
        if self.ema is not None:
            self.ema.store(self.parameters)
            self.ema.copy_to(self.parameters)
        self.parts.model.eval()
        try:
            with nullcontext() if self.moments is None else self.moments.averaged(self.done):
                yield
        finally:
            self.parts.model.train()
            if self.ema is not None:
                self.ema.restore(self.parameters)

    def _step(self, step: int) -> Tensor:
        """One optimiser step over this process's share of the slots; returns the gradient's norm before clipping."""
        rounds = self.config.gradient_accumulation
        found = []
        for number in range(rounds):
            last = number == rounds - 1
            with self.accelerator.no_sync(self.model) if not last else nullcontext():
                cost, timesteps = self._forward(step, number)
                self.accelerator.backward(cost.total / rounds)
            found.append((cost, timesteps))
        if step >= self.config.pivot:
            for row in self.groups["tokens"]:
                row.grad = None
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.config.optim.max_grad_norm)
        loss = self.accelerator.gather(torch.stack([cost.total.detach() for cost, _ in found]).mean()[None]).mean()
        # An overflow of fp16's gradients is not the end: the scaler leaves the step out.
        watched = {"loss": loss} if self.accelerator.scaler is not None else {"loss": loss, "gradient": norm}
        check_finite(watched, self.config, step + 1)
        self.stepper.step()
        self.rates.step()
        self.stepper.zero_grad()
        if self.ema is not None:
            self.ema.step(self.parameters)
        self._measure(loss, found)
        return norm

    def _forward(self, step: int, round_: int) -> tuple[Losses, Tensor]:
        """The losses of one round's share, and the timesteps of the person's samples."""
        parts, settings, device = self.parts, self.config.objective, self.accelerator.device
        share = self._share(self.config.batch_size, round_)
        parts.person.place_dropout(step, share.start)
        batches = [parts.person.batch(step, share)]
        if parts.prior is not None:
            batches.append(parts.prior.batch(step, self._share(self.config.prior_slots, round_)))
        count, schedule = len(batches[0].prompts), parts.family.schedule
        latents, noise, quantiles = (t.to(device) for t in joined(batches))
        size = (latents.shape[-2], latents.shape[-1])
        timesteps = schedule.timesteps(timestep_positions(quantiles, settings.timesteps), size)
        noisy, target = schedule.add_noise(latents, noise, timesteps), schedule.target(latents, noise, timesteps)
        if parts.frozen is not None:
            conditioning = parts.texts.stack(batches[1].prompts, device) | self._framing(batches[1:])
            with self.accelerator.autocast():
                prior_target = parts.frozen.predict(noisy[count:], timesteps[count:], conditioning)
            target = torch.cat([target[:count], prior_target])
        prompts = [prompt for batch in batches for prompt in batch.prompts]
        prediction = self.model(noisy, timesteps, *self._conditioning(prompts, self._framing(batches)))
        masks = batches[0].masks.to(device)
        cost = losses(settings, schedule, prediction, target, timesteps[:count], masks)
        if parts.identity is not None:
            points = batches[0].points.to(device)
            cost = parts.identity.add(cost, prediction[:count], noisy[:count], timesteps[:count], points)
        return cost, timesteps[:count]

    def _conditioning(
        self, prompts: list[str], framing: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], list[str] | None]:
        """What the model takes: encodings from the cache, or the prompts where the text encoders learn."""
        if self.config.trains_text:
            return {**framing}, prompts
        return {**self.parts.texts.stack(prompts, self.accelerator.device), **framing}, None

    def _framing(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """What the base is told of how these pictures were framed."""
        originals = torch.cat([batch.originals for batch in batches])
        return self.parts.family.framing(originals.to(self.accelerator.device))

    def _share(self, slots: int, round_: int) -> range:
        """The slots of one round that are this process's."""
        processes = self.accelerator.num_processes
        size = slots // (processes * self.config.gradient_accumulation)
        begin = (round_ * processes + self.accelerator.process_index) * size
        return range(begin, begin + size)

    def _measure(self, loss: Tensor, found: list[tuple[Losses, Tensor]]) -> None:
        person = torch.cat([cost.person for cost, _ in found])
        prior = torch.cat([cost.prior for cost, _ in found])
        timesteps = torch.cat([times for _, times in found])
        gather = self.accelerator.gather
        self.meter.add(loss, gather(person), gather(prior) if len(prior) else prior, gather(timesteps))

    def _log(self, gradient_norm: Tensor) -> None:
        if self.done % self.config.tracking.every and self.done < self.config.steps:
            return
        values = {**self.meter.read(), "gradient_norm": float(gradient_norm)}
        for group in self.optimizer.param_groups:
            values["lr" if group["name"] == "denoiser" else f"lr_{group['name']}"] = group["lr"]
        if "d" in self.optimizer.param_groups[0]:
            values["prodigy_d"] = float(self.optimizer.param_groups[0]["d"])
        tracking.log(self.accelerator, values, self.done)

    def _look(self) -> None:
        """Evaluates and draws samples when it is time; the main process alone."""
        settings, parts = self.config, self.parts
        due = parts.evaluation is not None and _due(self.done, settings.evaluation.every, settings.steps)
        drawn = parts.samples is not None and self.done and _due(self.done, settings.samples.every, settings.steps)
        chosen = parts.selector is not None and self._is_candidate()
        if not self.accelerator.is_main_process or not (due or drawn or chosen):
            return
        with self.averaged(), torch.no_grad():
            if parts.evaluation is not None and due:
                values = parts.evaluation.losses(self._predict, parts.family.schedule, self.accelerator.device)
                tracking.log(self.accelerator, values, self.done)
            if parts.samples is not None and drawn:
                images = self._draw(parts.samples)
                samples.write(self.folder / "samples", images, self.done)
                tracking.log_images(self.accelerator, settings.tracking, images, self.done)
            if parts.selector is not None and chosen:
                draw = functools.partial(self._draw, parts.selector.pictures)
                values = parts.selector.consider(self.done, draw, adapter.adapter_state(parts.family))
                tracking.log(self.accelerator, values, self.done)

    def _predict(self, noisy: Tensor, timesteps: Tensor, prompts: list[str]) -> Tensor:
        prediction: Tensor = self.parts.model(noisy, timesteps, *self._conditioning(prompts, {}))
        return prediction

    def _draw(self, wanted: Samples) -> list[Image.Image]:
        model, device = self.parts.model, self.accelerator.device
        encode = self.parts.family.encode_text if self.config.trains_text else self.parts.texts.stack
        positive, negative = (
            {n: t.to(device) for n, t in encode(p).items()} for p in (wanted.prompts, [wanted.negative])
        )
        images = wanted.draw(lambda x, t, c: model(x, t, c, None), positive, negative, device)
        self.permit()
        return images

    def _is_candidate(self) -> bool:
        """Whether the selector looks at the weights of this step. Where a run was interrupted plays no part."""
        settings = self.config.selection
        every = settings.every or self.config.checkpoint.every
        return settings.enabled and self.done > 0 and _due(self.done, every, self.config.steps)

    def _seen_enough(self) -> bool:
        """Whether the selector, which the main process has, would end the run here."""
        selector = self.parts.selector
        return self.config.selection.enabled and self._agreed(selector is not None and selector.enough is not None)

    def _save(self) -> None:
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        trained = adapter.adapter_state(self.parts.family)
        ema = None if self.ema is None else dict(zip(trained, self.ema.shadow_params, strict=True))
        scaler = None if self.accelerator.scaler is None else self.accelerator.scaler.state_dict()
        moment = Checkpoint(
            step=self.done,
            trained=trained,
            ema=ema,
            optimizer={"optimizer": self.optimizer.state_dict(), "scaler": scaler},
            state={**self.state, "loss_average": self.meter.average},
        )
        checkpoint.save(self.folder / "checkpoints", moment, self.config.checkpoint.keep)
        for kept in (self.parts.selector, self.moments):
            if kept is not None:
                kept.prune(checkpoint.steps_saved(self.folder / "checkpoints"))

    def _agreed(self, asked: bool) -> bool:
        """Whether any process was asked to stop: a signal may reach one of them a step before the others."""
        if self.accelerator.num_processes == 1:
            return asked
        flag = torch.tensor([float(asked)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item() > 0)


def _due(done: int, every: int, steps: int) -> bool:
    return every > 0 and (done % every == 0 or done == steps)
