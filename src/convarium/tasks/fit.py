"""One phase of training: one Lightning fit that goes on where a checkpoint left it, bit for bit."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convarium.datasets.splits import Splits
from convarium.errors import StageFailed, UserError
from convarium.seeds import derive_seed
from convarium.tasks import checkpoint as checkpoints
from convarium.tasks.batch import Term


def fit_network(
    network: nn.Module,
    splits: Splits,
    task: Mapping[str, Any],
    recipe: Mapping[str, Any],
    *,
    epochs: int,
    lr: float,
    seed: int,
    checkpoint: Path,
    structure: Mapping[str, Any],
    report: Callable[..., None],
    before_save: Callable[[], None],
    threads: int,
    accelerator: str,
    terms: Sequence[Term] = (),
) -> None:
    """Train `network` in place for `epochs`; it ends on the CPU with its last or best weights (`recipe.final_weights`).

    Args:
        network: with Representations attached as `structure` says; only parameters that require gradients are trained.
        splits: train, and validation where it is reported or decides (early_stop, keep=best).
        checkpoint: written after each epoch; if it exists training continues from it, a finished one is just loaded.
        structure: JSON, kept in the checkpoint.
        report: called after each epoch with epoch, epochs, loss, lr, validation_accuracy, seconds.
        before_save: called before each checkpoint; may raise.
        terms: added to the loss.

    Raises:
        StageFailed: the loss became NaN or infinite (the checkpoint of the last good epoch stays), nothing to train,
            a checkpoint damaged or of another structure.
        UserError: the recipe needs validation images and there are none.
    """
    torch.set_num_threads(threads)
    _check_fit_inputs(network, splits, recipe)
    text = json.dumps(structure, sort_keys=True)
    state = checkpoints.read_state(checkpoint)
    if state is not None and state.structure != text:
        raise StageFailed(f"{checkpoint} holds another network structure: remove it to train this phase anew")
    if epochs > 0 and (state is None or not state.finished):
        from convarium.tasks.lightning_fit import (
            run_lightning_fit,
        )  # Lightning takes seconds to import; a finished phase needs none of it

        keeper = checkpoints.Checkpointer(checkpoint, text, recipe, epochs, report, before_save, state)
        state = run_lightning_fit(
            network, splits, task, recipe, keeper, lr=lr, seed=seed, terms=terms, accelerator=accelerator
        )
    if state is not None:
        network.load_state_dict(state.network if state.best is None else state.best)
    torch.manual_seed(derive_seed(seed, "after"))


def _check_fit_inputs(network: nn.Module, splits: Splits, recipe: Mapping[str, Any]) -> None:
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise StageFailed("nothing to train: no parameter of the network requires gradients")
    if splits.train is None or len(splits.train) == 0:
        raise UserError("training needs training images")
    if splits.validation is None and (recipe["early_stop"] or recipe["final_weights"] == "best"):
        raise UserError("recipe.early_stop and recipe.final_weights=best need validation images")
