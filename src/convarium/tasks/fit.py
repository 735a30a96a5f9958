"""One fit: a network trained for the epochs of its recipe, going on where a checkpoint left it, bit for bit."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from convarium.architectures.condensing import Condensing
from convarium.config.recipe import restore_default_keys
from convarium.datasets.splits import Splits
from convarium.errors import StageFailed, UserError
from convarium.seeds import derive_seed
from convarium.tasks import checkpoint as checkpoints
from convarium.tasks.fit_job import FitJob
from convarium.tasks.ranks import SINGLE, compute_digest
from convarium.workers.runtime import Runtime


def fit_network(network: nn.Module, splits: Splits, recipe: Mapping[str, Any], job: FitJob, runtime: Runtime) -> None:
    """Train `network` in place; it ends on the CPU with its last, best or averaged weights (`recipe.final_weights`).

    Args:
        network: with Representations attached as `job.structure` says; only parameters that require gradients are
            trained.
        splits: train, and validation where it is reported or decides (early_stop, final_weights=best).
        recipe: as it holds for this fit: a phase's own lr, epochs and schedule are in it.
        job: a finished checkpoint of it is just loaded.
        runtime: its `report` is called after each epoch with epoch, epochs, loss, lr, validation_accuracy, seconds;
            its `check_lease` before each checkpoint, and may raise.

    Raises:
        StageFailed: the loss became NaN or infinite (the checkpoint of the last good epoch stays), nothing to train,
            a checkpoint of another structure.
        UserError: the recipe needs images that are not there.
    """
    recipe = restore_default_keys(recipe)
    torch.set_num_threads(runtime.threads)
    _check_fit_inputs(network, splits, recipe)
    state = checkpoints.read_state(job.checkpoint)
    if state is not None and state.structure != job.structure_text:
        raise StageFailed(f"{job.checkpoint} holds another network structure: remove it to train this phase anew")
    ranks = runtime.ranks or SINGLE
    if ranks.count > 1:
        # Where the fit goes on from a checkpoint, each rank may have drawn what it is given: those values are replaced.
        progress, tensors = [], network.state_dict()
        if state is not None:
            progress, tensors = [state.epoch, state.part.steps], state.network
        ranks.check_equal("network", compute_digest(f"{job.structure_text} {progress}", tensors))
    if recipe["epochs"] > 0 and (state is None or not state.finished):
        # Lightning takes seconds to import; a finished fit needs none of it.
        from convarium.tasks.lightning_fit import run_lightning_fit

        state = run_lightning_fit(network, splits, recipe, job, runtime, state)
    if state is not None:
        network.load_state_dict(state.chosen_network)
    # What comes next must not depend on whether epochs ran here or were only loaded.
    torch.manual_seed(derive_seed(job.seed, "after"))


def _check_fit_inputs(network: nn.Module, splits: Splits, recipe: Mapping[str, Any]) -> None:
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise StageFailed("nothing to train: no parameter of the network requires gradients")
    if splits.train is None or len(splits.train) == 0:
        raise UserError("training needs training images")
    needs_validation = recipe["early_stop"] or recipe["final_weights"] == "best"
    if splits.validation is None and needs_validation:
        raise UserError("recipe.early_stop and recipe.final_weights=best need validation images")
    if recipe["final_weights"] == "ema" and isinstance(network, Condensing):
        raise UserError("recipe.final_weights=ema: the network loses connections while it trains; take last or best")
