"""What training needs to go on as if it had never stopped, in one file, replaced whole at the end of an epoch."""

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)
MAX_REASON_CHARS = 120
OUT_OF_MEMORY_TEXT = "allocate memory"  # what torch says, in a RuntimeError


@dataclass(frozen=True)
class FitState:
    """`epoch` epochs are done; `best` holds the best network so far where the recipe keeps it."""

    structure: str
    epoch: int
    finished: bool
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: dict[str, Tensor] | None
    best_accuracy: float
    best_epoch: int


def save_state(path: Path, state: FitState) -> None:
    """Write `state`; the file is the old or the new one at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        torch.save(vars(state), temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_state(path: Path) -> FitState | None:
    """Return the state in `path`, None without a file; a damaged one is told and removed: anew gives the same.

    Raises:
        OSError, MemoryError, RuntimeError: the disk refuses the file, or memory does not suffice; the file stays.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:  # what the disk refuses is not damaged
        file.read(1)
    try:
        return FitState(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        if isinstance(error, MemoryError) or OUT_OF_MEMORY_TEXT in str(error):
            raise
        reason = " ".join(str(error).split())[:MAX_REASON_CHARS] or type(error).__name__
        logger.warning("%s is damaged and is left out, what it held is trained anew: %s", path, reason)
        path.unlink(missing_ok=True)
        return None


def read_structure(path: Path) -> Any:
    """Return the structure (JSON value) in `path`, to be attached to a bare network before `fit`; None without file."""
    state = read_state(path)
    return None if state is None else json.loads(state.structure)


class Checkpointer:
    """Follows the epochs of one phase: keeps the last state in a file, the best network, and knows when to stop."""

    def __init__(
        self,
        path: Path,
        structure: str,
        recipe: Mapping[str, Any],
        epochs: int,
        report: Callable[..., None],
        before_save: Callable[[], None],
        state: FitState | None,
    ) -> None:
        self.path, self.structure, self.recipe, self.epochs = path, structure, recipe, epochs
        self.report, self.before_save, self.state = report, before_save, state

    @property
    def epochs_done(self) -> int:
        """Epochs done."""
        return self.state.epoch if self.state else 0

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done or validation has not improved for long enough."""
        return self.state is not None and self.state.finished

    def record_epoch(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, accuracy: float | None, settled: bool = True
    ) -> None:
        """Take in an epoch's end: `check()`, then write the state.

        A network that is not `settled` will still lose connections: it can't be the best, and patience begins after it.
        """
        epoch, last = self.epochs_done + 1, self.state
        weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
        best, best_accuracy, best_epoch = (last.best, last.best_accuracy, last.best_epoch) if last else (None, -1.0, 0)
        if not settled:
            best_epoch = epoch
        elif accuracy is not None and accuracy > best_accuracy:
            best_accuracy, best_epoch = accuracy, epoch
            best = (
                {name: tensor.clone() for name, tensor in weights.items()}
                if self.recipe["final_weights"] == "best"
                else None
            )
        patience = self.recipe["early_stop"]
        finished = epoch >= self.epochs or bool(patience and epoch - best_epoch >= patience)
        state = FitState(
            self.structure, epoch, finished, weights, optimizer.state_dict(), best, best_accuracy, best_epoch
        )
        self.before_save()
        save_state(self.path, state)
        self.state = state
