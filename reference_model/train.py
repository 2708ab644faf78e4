"""Training under a wall-clock budget: warm-up of the code, steps, warm-down, averages.

The clock is read once per step; the learning rate falls linearly over the last ``warmdown_frac`` of
whichever budget, steps or seconds, runs out first.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from reference_model.averaging import WeightAverage
from reference_model.config import Config
from reference_model.data import TrainingBatches
from reference_model.layers import Linear
from reference_model.model import GPT, training_loss
from reference_model.optim import build_optimizers, set_learning_rates
from reference_model.ranks import Ranks, any_rank, average_gradients, sum_over_ranks

Log = Callable[[str], None]


def warmdown_scale(progress: float, warmdown_frac: float) -> float:
    """Return the factor on the learning rate when ``progress`` (0 to 1) of the run is over."""
    return min(1.0, max(1.0 - progress, 0.0) / max(warmdown_frac, 1e-9))


def run_progress(step: int, elapsed: float, config: Config) -> float:
    """Return the share of the run that is over, by steps or by seconds, whichever is larger."""
    by_steps = step / max(config.iterations, 1)
    if config.max_wallclock_seconds <= 0:
        return by_steps
    return max(by_steps, elapsed / config.max_wallclock_seconds)


def accumulated_parts(config: Config, ranks: Ranks) -> int:
    """Return how many of the global batch's parts each rank works through before a step.

    The gradient is the mean over the parts' means. With two parts, one rank that adds two and two
    ranks that add one each do the same arithmetic, for a + b is b + a; a sum of more rounds
    differently in another order, and so does a mean over the whole batch at once.
    """
    return max(config.grad_parts // ranks.world_size, 1)


def enable_late_qat(model: GPT, config: Config, step: int, scale: float) -> None:
    """Start rounding weights once the rate has fallen and enough steps were made."""
    if config.qat != "none" and step >= config.qat_min_step and scale <= config.qat_lr_scale:
        set_fake_format(model, config.qat)


def set_fake_format(model: GPT, fake_format: str) -> None:
    """Tell every matrix of the blocks to round itself in ``fake_format`` ("none" turns it off)."""
    for module in model.blocks.modules():
        if isinstance(module, Linear):
            module.fake_format = fake_format


class Trainer:
    """Holds model, optimizers and batches of one training run."""

    def __init__(self, config: Config, ranks: Ranks, stream: npt.NDArray[np.int64]) -> None:
        torch.manual_seed(config.seed)
        self.config, self.ranks, self.stream = config, ranks, stream
        self.model = GPT(config).to(ranks.device)
        self.optimizers = build_optimizers(self.model, config)
        self.batches = TrainingBatches(stream, config.train_seq_len, config.seed)

    def one_step(self) -> torch.Tensor:
        """Make one optimizer step on one global batch; return this rank's mean loss in nats."""
        world, parts = self.ranks.world_size, accumulated_parts(self.config, self.ranks)
        sequences = max(self.config.train_batch_tokens // self.config.train_seq_len, parts * world)
        inputs, targets = self.batches.next_batch(sequences, self.ranks.rank, world)
        loss = torch.zeros((), device=self.ranks.device)
        for part in range(parts):
            loss += self.add_gradients(inputs[part::parts], targets[part::parts]) / parts
        average_gradients(self.model, self.ranks)
        if self.config.grad_clip_norm > 0:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss

    def add_gradients(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Add the gradient of one part of the batch to what is there; return its mean loss in nats."""
        inputs, targets = inputs.to(self.ranks.device), targets.to(self.ranks.device)
        on_gpu = self.ranks.device.type == "cuda"
        with torch.autocast(self.ranks.device.type, dtype=torch.bfloat16, enabled=on_gpu):
            loss = training_loss(self.model, inputs, targets)
        (loss / accumulated_parts(self.config, self.ranks)).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def warm_up(self) -> None:
        """Run a few steps to compile and allocate, then restore the exact initial state."""
        weights = copy.deepcopy(self.model.state_dict())
        states = [copy.deepcopy(optimizer.state_dict()) for optimizer in self.optimizers]
        for _ in range(self.config.warmup_steps):
            self.one_step()
        self.model.load_state_dict(weights)
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)
        self.batches = TrainingBatches(self.stream, self.config.train_seq_len, self.config.seed)

    def run(self, log: Log) -> GPT:
        """Train until steps or seconds run out; return the (averaged) model."""
        if self.config.warmup_steps > 0:
            self.warm_up()
        average = WeightAverage(self.model, self.config)
        start, step, loss = time.perf_counter(), 0, torch.zeros(())
        while step < self.config.iterations:
            elapsed = time.perf_counter() - start
            progress = run_progress(step, elapsed, self.config)
            if any_rank(progress >= 1.0, self.ranks):
                spent = f"train_time:{1000 * elapsed:.0f}ms step:{step}/{self.config.iterations}"
                log(f"stopping_early: wallclock_cap {spent}")
                break
            scale = warmdown_scale(progress, self.config.warmdown_frac)
            set_learning_rates(self.optimizers, scale)
            enable_late_qat(self.model, self.config, step, scale)
            loss = self.one_step()
            step += 1
            average.update(self.model, progress)
            self.report(step, loss, time.perf_counter() - start, log)
        if self.config.averaging != "none":
            average.copy_to(self.model)
        set_fake_format(self.model, "none")
        return self.model

    def report(self, step: int, loss: torch.Tensor, elapsed: float, log: Log) -> None:
        """Log the loss of the global batch every ``train_log_every`` steps and for the first ten."""
        if step > 10 and step % self.config.train_log_every:
            return
        mean = sum_over_ranks(loss.clone(), self.ranks).item() / self.ranks.world_size
        log(
            f"step:{step}/{self.config.iterations} train_loss:{mean:.4f} "
            f"train_time:{1000 * elapsed:.0f}ms step_avg:{1000 * elapsed / step:.2f}ms"
        )
