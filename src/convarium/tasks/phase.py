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
from convarium.architectures.loose_tensors import move
from convarium.datasets.memory import InMemory, Sampler
from convarium.datasets.splits import Splits
from convarium.errors import StageFailed
from convarium.names import find
from convarium.tasks.batch import Term
from convarium.tasks.checkpoint import Keeper, State
from convarium.tasks.recipe import optimizer as make_optimizer
from convarium.tasks.recipe import schedule as make_schedule


def run(
    network: nn.Module,
    splits: Splits,
    task: Mapping[str, Any],
    recipe: Mapping[str, Any],
    keeper: Keeper,
    *,
    lr: float,
    seed: int,
    terms: Sequence[Term],
    accelerator: str,
) -> State | None:
    """Train from the keeper's state to the end; return the last state."""
    assert splits.train is not None
    sampler = Sampler(len(splits.train), recipe["batch_size"], seed)
    optimizer = make_optimizer(recipe, network.parameters(), lr)
    if keeper.state is not None:
        network.load_state_dict(keeper.state.network)
        optimizer.load_state_dict(keeper.state.optimizer)
    plan = make_schedule(recipe, lr, sampler.steps, keeper.epochs)
    module = find("tasks", task["name"])(network, recipe, optimizer, plan, seed, splits.validation, terms)
    data = InMemory(splits, sampler, recipe["augmentation"], keeper.epoch)
    with _quiet(), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        trainer = _trainer(accelerator, keeper.epochs - keeper.epoch, EpochEnd(keeper))
        try:
            with _interruptible():
                trainer.fit(module, data)
        finally:
            move(network, "cpu")
    return keeper.state


class EpochEnd(Callback):
    """Measures, reports and keeps the state after each epoch."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse broken weights, then let the keeper report and write the checkpoint."""
        module: Any = pl_module
        network, optimizer = module.network, module.optimizer
        if not all(bool(torch.isfinite(parameter).all()) for parameter in network.parameters()):
            raise StageFailed(f"weights became NaN or infinite in epoch {self.keeper.epoch + 1}: lower the rate")
        accuracy = module.validation_accuracy()
        self.keeper.report(
            epoch=self.keeper.epoch + 1,
            epochs=self.keeper.epochs,
            loss=module.total / module.images,
            lr=optimizer.param_groups[0]["lr"],
            validation_accuracy=accuracy,
            seconds=time.perf_counter() - self.began,
        )
        self.keeper.keep(network, optimizer, accuracy, settled=not isinstance(network, Condensing) or network.settled)
        trainer.should_stop = self.keeper.finished


def _trainer(accelerator: str, epochs: int, callback: Callback) -> Trainer:
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
def _interruptible() -> Iterator[None]:
    """Lightning answers Ctrl-C with exit(1) and a process deaf to the next one: undo both."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


@contextmanager
def _quiet() -> Iterator[None]:
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
