"""The Lightning side of a phase: the trainer, bare of all that costs time, and what happens at an epoch's end."""

import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from convarium.architectures.condensing import Condensing
from convarium.architectures.unsaved_tensors import move_network
from convarium.datasets.splits import Splits
from convarium.datasets.train_batches import BatchSampler, TrainDataModule
from convarium.errors import StageFailed
from convarium.lookup import find_by_name
from convarium.tasks.batch import Term
from convarium.tasks.checkpoint import Checkpointer, FitState
from convarium.tasks.recipe import build_lr_schedule as make_schedule
from convarium.tasks.recipe import build_optimizer as make_optimizer


def run_lightning_fit(
    network: nn.Module,
    splits: Splits,
    task: Mapping[str, Any],
    recipe: Mapping[str, Any],
    checkpointer: Checkpointer,
    *,
    lr: float,
    seed: int,
    terms: Sequence[Term],
    accelerator: str,
) -> FitState | None:
    """Train from the keeper's state to the end; return the last state."""
    assert splits.train is not None
    sampler = BatchSampler(len(splits.train), recipe["batch_size"], seed)
    optimizer = make_optimizer(recipe, network.parameters(), lr)
    if checkpointer.state is not None:
        network.load_state_dict(checkpointer.state.network)
        optimizer.load_state_dict(checkpointer.state.optimizer)
    plan = make_schedule(recipe, lr, sampler.steps_per_epoch, checkpointer.epochs)
    module = find_by_name("tasks", task["name"])(network, recipe, optimizer, plan, seed, splits.validation, terms)
    data = TrainDataModule(splits, sampler, recipe["augmentation"], checkpointer.epochs_done)
    with _silence_lightning(), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        trainer = _build_trainer(
            accelerator, checkpointer.epochs - checkpointer.epochs_done, EpochEndCallback(checkpointer)
        )
        try:
            with _restore_interrupts():
                trainer.fit(module, data)
        finally:
            move_network(network, "cpu")
    return checkpointer.state


class EpochEndCallback(Callback):
    """Measures, reports and keeps the state after each epoch."""

    def __init__(self, checkpointer: Checkpointer) -> None:
        self.checkpointer = checkpointer

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.start_time = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse broken weights, then let the keeper report and write the checkpoint."""
        module: Any = pl_module
        network, optimizer = module.network, module.optimizer
        if not all(bool(torch.isfinite(parameter).all()) for parameter in network.parameters()):
            raise StageFailed(
                f"weights became NaN or infinite in epoch {self.checkpointer.epochs_done + 1}: lower the rate"
            )
        accuracy = module.measure_validation_accuracy()
        self.checkpointer.report(
            epoch=self.checkpointer.epochs_done + 1,
            epochs=self.checkpointer.epochs,
            loss=module.loss_sum / module.image_count,
            lr=optimizer.param_groups[0]["lr"],
            validation_accuracy=accuracy,
            seconds=time.perf_counter() - self.start_time,
        )
        self.checkpointer.record_epoch(
            network, optimizer, accuracy, settled=not isinstance(network, Condensing) or network.is_condensed
        )
        trainer.should_stop = self.checkpointer.is_finished


def _build_trainer(accelerator: str, epochs: int, callback: Callback) -> Trainer:
    return Trainer(
        accelerator=accelerator,
        devices=1,
        max_epochs=epochs,
        min_epochs=0,
        callbacks=[callback],
        plugins=[LightningEnvironment()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        use_distributed_sampler=False,
    )


@contextmanager
def _restore_interrupts() -> Iterator[None]:
    """Lightning answers Ctrl-C with exit(1) and a process deaf to the next one: undo both."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


@contextmanager
def _silence_lightning() -> Iterator[None]:
    """Silence Lightning's banners and hints about loaders it does not see through."""
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
