"""The Lightning side of a fit: the trainer, bare of all that costs time, and what happens at an epoch's end."""

import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from convarium.architectures.condensing import Condensing
from convarium.architectures.unsaved_tensors import move_network
from convarium.datasets.splits import Splits
from convarium.datasets.train_batches import BatchChunk, BatchSampler, TrainDataModule
from convarium.errors import StageFailed
from convarium.lookup import find_by_name
from convarium.tasks.checkpoint import Checkpointer, EpochPart, FitState
from convarium.tasks.fit_job import FitJob
from convarium.tasks.optimizer import build_optimizer
from convarium.tasks.ranks import SINGLE, Ranks
from convarium.tasks.recipe import build_lr_schedule
from convarium.tasks.weight_average import WeightAverage
from convarium.workers.runtime import Runtime


def run_lightning_fit(
    network: nn.Module,
    splits: Splits,
    recipe: Mapping[str, Any],
    job: FitJob,
    runtime: Runtime,
    state: FitState | None,
) -> FitState | None:
    """Train from `state` (None: from the network as it is) to the end; return the last state."""
    assert splits.train is not None
    ranks = runtime.ranks or SINGLE
    checkpointer = Checkpointer(recipe, job, runtime, state)
    sampler = BatchSampler(len(splits.train), recipe["batch_size"], job.seed)
    optimizer = build_optimizer(recipe, network)
    if state is not None:
        network.load_state_dict(state.network)
        optimizer.load_state_dict(state.optimizer)
    average = _build_average(network, recipe, state)
    schedule = build_lr_schedule(recipe, sampler.steps_per_epoch)
    build_module = find_by_name("tasks", job.task["name"])
    module = build_module(network, recipe, optimizer, schedule, job.seed, splits.validation, job.terms, average, ranks)
    data = TrainDataModule(splits, sampler, recipe, checkpointer.epochs_done, checkpointer.part_done.steps)
    # cuDNN's fastest algorithms differ from run to run, in speed and in the last bits.
    with _silence_lightning(), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        trainer = _build_trainer(runtime.accelerator, ranks, checkpointer.epochs_left, CheckpointCallback(checkpointer))
        try:
            with _restore_interrupts():
                trainer.fit(module, data)
        finally:
            move_network(network, "cpu")
    return checkpointer.state


def _build_average(network: nn.Module, recipe: Mapping[str, Any], state: FitState | None) -> WeightAverage | None:
    if recipe["final_weights"] != "ema":
        return None
    return WeightAverage(network, recipe["ema_decay"], None if state is None else state.average)


class CheckpointCallback(Callback):
    """What happens at an epoch's end (a look at the weights and at validation, report, checkpoint) and at a chunk's."""

    def __init__(self, checkpointer: Checkpointer) -> None:
        self.checkpointer = checkpointer

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock and the epoch's sums, in mid-epoch at what they were."""
        module: Any = pl_module
        part = self.checkpointer.part_done
        self.start_time = time.perf_counter() - part.seconds
        module.loss_sum, module.image_count = part.loss_sum, part.image_count

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: BatchChunk, batch_idx: int
    ) -> None:
        """Write a checkpoint where one is due at the end of a chunk."""
        if batch.is_last or not self.checkpointer.is_due:
            return
        module: Any = pl_module
        self._check_weights(module.network)
        seconds = time.perf_counter() - self.start_time
        part = EpochPart(batch.steps_done, module.loss_sum, module.image_count, seconds)
        self.checkpointer.record_part(module.network, module.optimizer, _copy_average(module), part)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse broken weights; then report the epoch, write the checkpoint, and stop where the fit is finished."""
        module: Any = pl_module
        network, optimizer = module.network, module.optimizer
        self._check_weights(network)
        accuracy = self.checkpointer.ranks.compute_in_first(module.measure_validation_accuracy)
        self.checkpointer.report_epoch(
            loss=module.loss_sum / module.image_count,
            lr=optimizer.param_groups[0]["lr"],
            validation_accuracy=accuracy,
            seconds=time.perf_counter() - self.start_time,
        )
        is_settled = not isinstance(network, Condensing) or network.is_condensed
        self.checkpointer.record_epoch(network, optimizer, accuracy, is_settled, _copy_average(module))
        trainer.should_stop = self.checkpointer.is_finished

    def _check_weights(self, network: nn.Module) -> None:
        if not all(bool(torch.isfinite(parameter).all()) for parameter in network.parameters()):
            epoch = self.checkpointer.epochs_done + 1
            raise StageFailed(f"weights became NaN or infinite in epoch {epoch}: lower the rate", cause="nan")


def _copy_average(module: Any) -> dict[str, Tensor] | None:
    return None if module.average is None else module.average.copy_state()


def _build_trainer(accelerator: str, ranks: Ranks, epochs: int, callback: Callback) -> Trainer:
    return Trainer(
        accelerator=accelerator,
        devices=1 if ranks.gpu is None else [ranks.gpu],  # the ranks meet in the task: to Lightning each is alone
        max_epochs=epochs,
        min_epochs=0,
        callbacks=[callback],
        plugins=[LightningEnvironment()],  # else a scheduler's variables are taken for an order to train distributed
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,  # the callback measures on the validation images
        use_distributed_sampler=False,
    )


@contextmanager
def _restore_interrupts() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt, this time and the next.

    Lightning answers it with exit(1) and leaves a process that is deaf to it.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if threading.current_thread() is threading.main_thread():  # no other may set a handler
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


@contextmanager
def _silence_lightning() -> Iterator[None]:
    """Silence Lightning's banners, and its hints about loaders that it does not see through."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
