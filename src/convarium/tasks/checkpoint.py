"""Checkpoints of a fit: what it needs to go on as if it had never stopped, in one file.

It is replaced at an epoch's end, and at a chunk's where the run is told to stop or the last one is some minutes old.
"""

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convarium.tasks.fit_job import FitJob
from convarium.tasks.ranks import SINGLE
from convarium.workers.runtime import Runtime

logger = logging.getLogger(__name__)
MAX_REASON_CHARS = 120
LOOK_SECONDS = 1.0  # a look at whether the stage is told to leave reads the disk, and a chunk may take milliseconds
OUT_OF_MEMORY_TEXT = "allocate memory"  # torch raises a plain RuntimeError with this text


@dataclass(frozen=True)
class EpochPart:
    """What is done of an epoch.

    Attributes:
        steps: how many of its steps.
        loss_sum: of its images so far.
        image_count: how many these are.
        seconds: spent on it.
    """

    steps: int = 0
    loss_sum: float = 0.0
    image_count: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class FitState:
    """A fit at the end of an epoch, or of a chunk in the middle of one.

    Attributes:
        structure: the job's, as JSON text.
        epoch: how many whole epochs are done.
        finished: whether the fit is.
        network: its state dict, on the CPU.
        optimizer: its state dict.
        best: the best network so far, where the recipe keeps it.
        best_accuracy: on the validation images; below 0 where there was none yet.
        best_epoch: the one that patience counts from.
        average: the averages of the floating tensors of `network`, where the recipe keeps them.
        part: what is done of the epoch after these.
    """

    structure: str
    epoch: int
    finished: bool
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: dict[str, Tensor] | None
    best_accuracy: float
    best_epoch: int
    average: dict[str, Tensor] | None = None
    part: EpochPart = EpochPart()

    @property
    def chosen_network(self) -> dict[str, Tensor]:
        """The state dict that the fit delivers."""
        chosen = self.network if self.best is None else self.best
        return chosen if self.average is None else {**chosen, **self.average}


def save_state(path: Path, state: FitState) -> None:
    """Write `state`; the file is the old or the new one at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        torch.save({**vars(state), "part": vars(state.part)}, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_state(path: Path) -> FitState | None:
    """Return the state in `path`, None without a file.

    A damaged one is warned of and removed, and there is none: training anew gives the same.

    Raises:
        OSError, MemoryError, RuntimeError: the disk refuses the file, or memory does not suffice; the file stays.
    """
    if not path.is_file():
        return None
    # What the disk refuses is not damaged: this read raises OSError, the one below whatever broken bytes lead to.
    with path.open("rb") as file:
        file.read(1)
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        part = EpochPart(**values.pop("part", {}))  # checkpoints of before have none
        return FitState(**values, part=part)
    except Exception as error:
        if isinstance(error, MemoryError) or OUT_OF_MEMORY_TEXT in str(error):
            raise
        reason = " ".join(str(error).split())[:MAX_REASON_CHARS] or type(error).__name__
        logger.warning("%s is damaged and is left out, what it held is trained anew: %s", path, reason)
        path.unlink(missing_ok=True)
        return None


def read_structure(path: Path) -> Any:
    """Return the structure (a JSON value) that a bare network is given before the fit; None without a sound file."""
    state = read_state(path)
    return None if state is None else json.loads(state.structure)


def _copy_weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}


class Checkpointer:
    """The course of a fit over its epochs: its last state, in memory and in a file, and whether it is finished.

    Attributes:
        state: after the last whole epoch, or where the fit goes on from; None before the first.
    """

    def __init__(self, recipe: Mapping[str, Any], job: FitJob, runtime: Runtime, state: FitState | None) -> None:
        self.recipe, self.job, self.runtime, self.state = recipe, job, runtime, state
        self.ranks = runtime.ranks or SINGLE
        self._next_look_time, self._save_time = 0.0, time.monotonic()

    @property
    def epochs_done(self) -> int:
        """Epochs done, by whoever ran them."""
        return self.state.epoch if self.state else 0

    @property
    def epochs_left(self) -> int:
        """Epochs of the recipe that are not done."""
        return int(self.recipe["epochs"]) - self.epochs_done

    @property
    def part_done(self) -> EpochPart:
        """What is done of the epoch that the fit goes on in."""
        return self.state.part if self.state else EpochPart()

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done or validation has not improved for long enough."""
        return self.state is not None and self.state.finished

    def report_epoch(self, **figures: float | None) -> None:
        """Report the figures of the epoch that has just ended and is not recorded yet."""
        self.runtime.report(epoch=self.epochs_done + 1, epochs=self.recipe["epochs"], **figures)

    @property
    def is_due(self) -> bool:
        """Whether a checkpoint is due in mid-epoch: the stage is told to leave, or the last one is old."""
        return self.ranks.agree(self.ranks.is_first and self._find_due())

    def _find_due(self) -> bool:
        now = time.monotonic()
        minutes = self.runtime.checkpoint_minutes
        if minutes and now - self._save_time >= 60 * minutes:
            return True
        if now < self._next_look_time:
            return False
        self._next_look_time = now + LOOK_SECONDS
        return self.runtime.is_told_to_leave()

    def record_part(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: dict[str, Tensor] | None,
        part: EpochPart,
    ) -> None:
        """Take in a chunk's end in mid-epoch, as `record_epoch` takes in an epoch's."""
        best, best_accuracy, best_epoch = self._last_best
        state = FitState(
            structure=self.job.structure_text,
            epoch=self.epochs_done,
            finished=False,
            network=_copy_weights(network),
            optimizer=optimizer.state_dict(),
            best=best,
            best_accuracy=best_accuracy,
            best_epoch=best_epoch,
            average=average,
            part=part,
        )
        self._save(state)

    def record_epoch(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        accuracy: float | None,
        is_settled: bool,
        average: dict[str, Tensor] | None,
    ) -> None:
        """Take in an epoch's end: look whether the lease still holds, write the state, stop where the run is stopped.

        Args:
            network: as it is after the epoch, on any device.
            optimizer: likewise.
            accuracy: on the validation images; None without them.
            is_settled: a network that is not will still lose connections: it can't be the best, and patience begins
                after it.
            average: of its weights, on the CPU; None where there is none.
        """
        epoch = self.epochs_done + 1
        weights = _copy_weights(network)
        best, best_accuracy, best_epoch = self._select_best(weights, accuracy, is_settled)
        patience = self.recipe["early_stop"]
        is_out_of_patience = bool(patience and epoch - best_epoch >= patience)
        state = FitState(
            structure=self.job.structure_text,
            epoch=epoch,
            finished=epoch >= self.recipe["epochs"] or is_out_of_patience,
            network=weights,
            optimizer=optimizer.state_dict(),
            best=best,
            best_accuracy=best_accuracy,
            best_epoch=best_epoch,
            average=average,
        )
        self._save(state)

    def _save(self, state: FitState) -> None:
        self.state = state
        self.ranks.compute_in_first(lambda: self._write(state))

    def _write(self, state: FitState) -> None:
        self.runtime.check_lease()
        save_state(self.job.checkpoint, state)
        self._save_time = time.monotonic()
        self.runtime.note_checkpoint()

    @property
    def _last_best(self) -> tuple[dict[str, Tensor] | None, float, int]:
        """The best weights so far (where the recipe keeps them), their accuracy and epoch."""
        if self.state is None:
            return None, -1.0, 0
        return self.state.best, self.state.best_accuracy, self.state.best_epoch

    def _select_best(
        self, weights: dict[str, Tensor], accuracy: float | None, is_settled: bool
    ) -> tuple[dict[str, Tensor] | None, float, int]:
        """Return the best weights (where the recipe keeps them), their accuracy and epoch, with the one just ended."""
        best, best_accuracy, best_epoch = self._last_best
        epoch = self.epochs_done + 1
        if not is_settled:
            return best, best_accuracy, epoch
        if accuracy is None or accuracy <= best_accuracy:
            return best, best_accuracy, best_epoch
        if self.recipe["final_weights"] != "best":
            return None, accuracy, epoch
        # On the CPU `weights` are the network's own tensors, which the next epoch changes.
        return {name: tensor.clone() for name, tensor in weights.items()}, accuracy, epoch
