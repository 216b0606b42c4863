"""The loop: truncated backpropagation through time, which can stop anywhere and go on to the same bits."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import msgspec
import torch

from elman.errors import ConfigError, DataError, FormatError, SaveError, TrainingDiverged
from elman.formats import model_file
from elman.models import to_model_file
from elman.sequences.streams import Chunk, Streams
from elman.state import State
from elman.train import checkpoint
from elman.train.checkpoint import Checkpoint, Counters, Facts
from elman.train.evaluate import measure
from elman.train.folder import RunFolder
from elman.train.prepare import Experiment
from elman.train.reports import Listener, Outcome, StepReport
from elman.train.schedule import RunBudget, learning_rate, passes
from elman.train.settings import BudgetSettings
from elman.train.stopping import Stopped, stop_requests
from elman.train.threads import FastestThreads

METRIC_LINES = 200  # lines of metrics over a whole run, validations aside
_SMOOTHING = 0.98  # of the running mean of the training loss
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Training:
    """One run.

    Args:
        experiment: what it works on; the network is trained in place.
        folder: where everything is written.
        listen: called after every step.
    """

    def __init__(self, experiment: Experiment, folder: RunFolder, listen: Listener | None = None) -> None:
        self.config, self.task, self.network = experiment.config, experiment.task, experiment.network
        self.held_out, self.folder = experiment.held_out, folder
        self.listen = listen or (lambda report: None)
        learning, budget, columns = self.config.optimiser, self.config.budget, experiment.training
        self.budget = RunBudget(budget.steps, budget.seconds)
        self.streams = Streams(columns.inputs, columns.targets, learning.batch, learning.chunk)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=learning.learning_rate, fused=True)
        self.threads = FastestThreads(budget.threads or torch.get_num_threads())
        if budget.threads:  # as asked: other numbers give other bits
            self.threads.candidates = [budget.threads]
        self.state: State | None = None
        self.count = Counters()
        self.best_model = b""  # the model file of the best network so far
        self._saved_step: int | None = None
        self._begun = self._saved_at = 0.0

    @property
    def ended(self) -> bool:
        """Whether the budget is used up and the held-out part was measured for the last time."""
        return self.count.marked >= 1

    @property
    def progress(self) -> float:
        """The share of the run that is done."""
        return self.budget.progress(self.count.step, self.count.seconds)

    def run(self) -> Outcome:
        """Train to the end of the budget.

        Raises:
            Stopped: a signal came; the run is saved and can be resumed.
            TrainingDiverged: the loss is no number any more.
            SaveError: something cannot be written.
        """
        self._begun = perf_counter() - self.count.seconds
        self._saved_at = self.count.seconds
        self.network.train()
        with stop_requests() as request:
            while not self.ended:
                for chunk in self.streams:
                    measured = self._advance(chunk)
                    due = self.count.seconds - self._saved_at >= self.config.budget.checkpoint_seconds
                    if measured or due or request.signal is not None:
                        self.save()
                    if self.ended:
                        break
                    if request.signal is not None:
                        raise Stopped(f"stopped after step {self.count.step}; `resume` continues", request.signal)
        return self.outcome()

    def _advance(self, chunk: Chunk) -> bool:
        """One step, with what is due after it; returns whether the held-out part was measured."""
        begun = perf_counter()
        torch.set_num_threads(self.threads.next)
        rate, norm = self._step(chunk)
        self.threads.took((perf_counter() - begun) / chunk.inputs.size)
        self.count.seconds = perf_counter() - self._begun
        before, self.count.marked = self.count.marked, self.progress
        validation = self._mark(before, rate, norm)
        self.count.seconds = perf_counter() - self._begun
        self.listen(self._report(rate, norm, validation))
        return validation is not None

    def _step(self, chunk: Chunk) -> tuple[float, float]:
        """Learn from one chunk; returns the learning rate and the gradient's norm."""
        settings = self.config.optimiser
        rate = learning_rate(self.progress, settings.learning_rate, settings.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        state = None if chunk.first or self.state is None else self.state.detach()
        inputs, targets = torch.from_numpy(chunk.inputs), torch.from_numpy(chunk.targets)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bfloat16"):
            outputs, self.state = self.network.outputs(inputs, state)
            loss = self.task.loss(outputs, targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
        self.optimiser.step()
        self._count(loss.item() * self.task.unit.factor, targets.numel())
        return rate, norm.item()

    def _count(self, loss: float, tokens: int) -> None:
        count = self.count
        count.step += 1
        count.tokens += tokens
        self._check(loss)
        weight = max(1 - _SMOOTHING, 1 / count.step)
        count.loss = loss if count.step == 1 else count.loss + weight * (loss - count.loss)

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            settings = self.config.optimiser
            raise TrainingDiverged(
                f"the loss is {loss} after step {self.count.step}: try a lower `learning_rate` "
                f"(it is {settings.learning_rate:g}) or a lower `clip` (it is {settings.clip:g})"
            )

    def _mark(self, before: float, rate: float, norm: float) -> float | None:
        """Write metrics, and validate, where the last step passed a mark of the run."""
        after = self.count.marked
        if passes(before, after, METRIC_LINES):
            self._write(
                "training", {self.task.unit.name: self.count.loss, "learning_rate": rate, "gradient_norm": norm}
            )
        return self._validate() if passes(before, after, self.config.budget.validations) else None

    def _validate(self) -> float:
        begun = perf_counter()
        measures = measure(self.network, self.task, self.held_out)
        value = next(iter(measures.values()))
        self._check(value)
        if self.count.best is None or value < self.count.best:
            self.count.measures, self.count.step_of_best = measures, self.count.step
            extra = {"task": self.task.name, "step": self.count.step, **measures}
            self.best_model = model_file.dumps(to_model_file(self.network, self.task.vocabulary, extra))
            with self._writing():
                self.folder.write_model(self.best_model)
        self._write("validation", measures)
        self.count.validation_seconds += perf_counter() - begun
        return value

    def _write(self, kind: str, figures: dict[str, float]) -> None:
        """Add a line to the metrics."""
        count = self.count
        line = {"kind": kind, "step": count.step, "tokens": count.tokens, **figures, "seconds": round(count.seconds, 3)}
        with self._writing():
            self.folder.append_metrics(line)

    def _report(self, rate: float, norm: float, validation: float | None) -> StepReport:
        count = self.count
        return StepReport(
            step=count.step,
            progress=self.progress,
            seconds=count.seconds,
            seconds_left=self.budget.seconds_left(count.step, count.seconds),
            tokens_per_second=self._pace(),
            loss=count.loss,
            unit=self.task.unit.name,
            learning_rate=rate,
            gradient_norm=norm,
            validation=validation,
            best=count.best,
        )

    def _pace(self) -> float:
        return self.count.tokens / max(1e-9, self.count.seconds - self.count.validation_seconds)

    def outcome(self) -> Outcome:
        """The run so far, as figures."""
        count = self.count
        return Outcome(
            run=str(self.folder.path),
            task=self.task.name,
            cell=self.network.recurrent.graph.name,
            hidden=self.config.network.hidden,
            parameters=sum(p.numel() for p in self.network.parameters()),
            steps=count.step,
            tokens=count.tokens,
            seconds=count.seconds,
            tokens_per_second=self._pace(),
            measures=count.measures,
            step_of_best=count.step_of_best,
        )

    def save(self) -> None:
        """Write the checkpoint. Raises SaveError where it cannot be written."""
        tensors = checkpoint.pack(self.network, self.optimiser, self.state)
        facts = Facts(
            config=self.config,
            counters=self.count,
            streams=self.streams.state_dict(),
            metrics=self.folder.metrics_size(),
        )
        with self._writing():
            self.folder.write_checkpoint(checkpoint.dumps(Checkpoint(tensors, self.best_model, facts)))
        self._saved_at, self._saved_step = self.count.seconds, self.count.step

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say what a failure to write costs, and how to go on."""
        try:
            yield
        except OSError as error:
            step, saved = self.count.step, self._saved_step
            lost = f"no checkpoint was written before step {step}, so all of it is lost"
            if saved is not None:
                lost = f"the checkpoint of step {saved} is whole, lost are the {step - saved} steps after it"
            cure = "make room on the disk" if error.errno in _FULL else "mend that"
            raise SaveError(
                f"{self.folder.path}: cannot be written: {error.strerror or error}; {lost}; {cure}, then continue with "
                "`resume`"
            ) from error

    def restore(self, saved: Checkpoint) -> None:
        """Go to where a checkpoint was written; to be called before `run`.

        Raises:
            FormatError: the checkpoint belongs to another network or other data.
            ConfigError: a new budget is used up already.
        """
        self.best_model = saved.best
        self.state = checkpoint.unpack(saved.tensors, self.network, self.optimiser, self.config.optimiser.batch)
        try:
            self.streams.load_state_dict(saved.facts.streams)
        except DataError as error:  # the data are the same: their digest is
            raise FormatError(f"the checkpoint's position is damaged: {error}") from None
        self.count = msgspec.structs.replace(saved.facts.counters)
        self._saved_step = self.count.step
        self._go_by_the_budget(saved.facts.config.budget)
        self.folder.cut_metrics(saved.facts.metrics)
        if self.best_model:
            with self._writing():
                self.folder.restore_model(self.best_model)

    def _go_by_the_budget(self, before: BudgetSettings) -> None:
        """Take the progress from the budget that is asked for now, where it was another one."""
        now, count = self.config.budget, self.count
        if (now.steps, now.seconds) == (before.steps, before.seconds):
            return
        count.marked = self.progress
        if self.ended:
            raise ConfigError(
                f"{self.folder.path}: {count.step} steps and {count.seconds / 60:.2f} minutes are done; `steps` and "
                "`minutes` must leave something to do"
            )
