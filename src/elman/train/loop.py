"""The loop: truncated backpropagation through time, which can stop anywhere and go on to the same bits."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from time import perf_counter

import torch

from elman.errors import TrainingDiverged
from elman.formats import model_file
from elman.models import LanguageModel, to_model_file
from elman.sequences.streams import Chunk, Streams
from elman.state import State
from elman.train import checkpoint
from elman.train.config import TextConfig
from elman.train.data import TextData
from elman.train.evaluate import bits_per_character
from elman.train.folder import RunFolder
from elman.train.report import Listener, Outcome, Report
from elman.train.schedule import Budget, learning_rate, passes
from elman.train.stopping import Stopped, stop_requests
from elman.train.threads import FastestThreads

METRIC_LINES = 200  # lines of metrics over a whole run, validations aside
_SMOOTHING = 0.98  # of the running mean of the training loss


@dataclass
class Counters:
    """What a run has done; all of it goes into the checkpoint."""

    step: int = 0
    marked: float = 0.0  # the progress after the last step, by which metrics and validations are due
    tokens: int = 0
    seconds: float = 0.0
    validation_seconds: float = 0.0
    bits: float = math.nan
    best: float | None = None
    step_of_best: int = 0


class TextTraining:
    """One run on a text.

    Args:
        config: the settings.
        data: the text.
        model: trained in place.
        folder: where everything is written.
        listen: called after every step.
    """

    def __init__(
        self,
        config: TextConfig,
        data: TextData,
        model: LanguageModel,
        folder: RunFolder,
        listen: Listener | None = None,
    ) -> None:
        self.config, self.data, self.model, self.folder = config, data, model, folder
        self.listen = listen or (lambda report: None)
        self.budget = Budget(config.steps, config.seconds)
        self.streams = Streams(data.training, config.batch, config.chunk)
        self.optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
        self.threads = FastestThreads(config.threads or torch.get_num_threads())
        if config.threads:  # as asked: other numbers give other bits
            self.threads.candidates = [config.threads]
        self.state: State | None = None
        self.count = Counters()
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
        """
        self._begun = perf_counter() - self.count.seconds
        self._saved_at = self.count.seconds
        self.model.train()
        with stop_requests() as request:
            while not self.ended:
                for chunk in self.streams:
                    measured = self._advance(chunk)
                    due = self.count.seconds - self._saved_at >= self.config.checkpoint_seconds
                    if measured or due or request.signal is not None:
                        self.save()
                    if self.ended:
                        break
                    if request.signal is not None:
                        raise Stopped(f"stopped after step {self.count.step}; --resume continues", request.signal)
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
        rate = learning_rate(self.progress, self.config.learning_rate, self.config.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        state = None if chunk.first or self.state is None else self.state.detach()
        inputs, targets = torch.from_numpy(chunk.inputs), torch.from_numpy(chunk.targets)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            loss, self.state = self.model.loss(inputs, targets, state)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimiser.step()
        self._count(loss.item() / math.log(2), targets.numel())
        return rate, norm.item()

    def _count(self, bits: float, tokens: int) -> None:
        count = self.count
        count.step += 1
        count.tokens += tokens
        self._check(bits)
        weight = max(1 - _SMOOTHING, 1 / count.step)
        count.bits = bits if count.step == 1 else count.bits + weight * (bits - count.bits)

    def _check(self, bits: float) -> None:
        if not math.isfinite(bits):
            raise TrainingDiverged(
                f"the loss is {bits} after step {self.count.step}: try a lower --learning-rate "
                f"(it is {self.config.learning_rate:g}) or a lower --clip (it is {self.config.clip:g})"
            )

    def _mark(self, before: float, rate: float, norm: float) -> float | None:
        """Write metrics, and validate, where the last step passed a mark of the run."""
        after = self.count.marked
        if passes(before, after, METRIC_LINES):
            line = {"kind": "training", "step": self.count.step, "tokens": self.count.tokens, "bits": self.count.bits}
            self._write(line | {"learning_rate": rate, "gradient_norm": norm})
        return self._validate() if passes(before, after, self.config.validations) else None

    def _validate(self) -> float:
        begun = perf_counter()
        bits = bits_per_character(self.model, self.data.validation)
        self._check(bits)
        if self.count.best is None or bits < self.count.best:
            self.count.best, self.count.step_of_best = bits, self.count.step
            extra = {"task": "text", "step": self.count.step, "bits_per_character": bits}
            model_file.save(self.folder.model, to_model_file(self.model, self.data.vocabulary, extra))
        line = {"kind": "validation", "step": self.count.step, "tokens": self.count.tokens, "bits_per_character": bits}
        self._write(line)
        self.count.validation_seconds += perf_counter() - begun
        return bits

    def _write(self, line: dict[str, object]) -> None:
        self.folder.append_metrics(line | {"seconds": round(self.count.seconds, 3)})

    def _report(self, rate: float, norm: float, validation: float | None) -> Report:
        count = self.count
        return Report(
            step=count.step,
            progress=self.progress,
            seconds=count.seconds,
            seconds_left=self.budget.seconds_left(count.step, count.seconds),
            tokens_per_second=self._pace(),
            bits=count.bits,
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
            cell=self.model.recurrent.graph.name,
            hidden=self.config.hidden,
            parameters=sum(p.numel() for p in self.model.parameters()),
            steps=count.step,
            tokens=count.tokens,
            seconds=count.seconds,
            tokens_per_second=self._pace(),
            bits_per_character=math.nan if count.best is None else count.best,
            step_of_best=count.step_of_best,
        )

    def save(self) -> None:
        """Write the checkpoint."""
        facts = {
            "counters": asdict(self.count),
            "streams": self.streams.state_dict(),
            "metrics": self.folder.metrics_size(),
            "text": self.data.digest,
            "graph": self.model.recurrent.graph.hash,
        }
        tensors = checkpoint.pack(self.model, self.optimiser, self.state)
        checkpoint.save(self.folder.checkpoint, checkpoint.Checkpoint(tensors, facts))
        self._saved_at = self.count.seconds

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Go to where a checkpoint was written; to be called before `run`.

        Raises:
            FormatError, DataError: the checkpoint belongs to another model or another text.
        """
        arrays = checkpoint.unpack(saved, self.model, self.optimiser)
        start = {port.name: port.start for port in self.model.recurrent.graph.states}
        self.state = State(arrays, axis=1, start=start) if arrays else None
        self.streams.load_state_dict(saved.facts["streams"])
        self.count = Counters(**saved.facts["counters"])
        self.folder.cut_metrics(saved.facts["metrics"])
