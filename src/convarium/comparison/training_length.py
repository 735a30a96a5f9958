"""Planned length of a network's training in epochs and optimiser steps, from its config alone."""

from collections.abc import Mapping
from typing import Any

from convarium.planning import stage_graph

Json = Mapping[str, Any]
FROM_SCRATCH_DECIDERS = ("small_dense",)


def count_planned_epochs(config: Json) -> int:
    """Return the epochs of training and of all phases of all steps, counted anew where a step starts from scratch.

    Adopted weights count no epochs: how long they were trained elsewhere is not known.
    """
    is_adopted = config["architecture"].get("weights") is not None
    epochs = 0 if is_adopted else int(config["recipe"]["epochs"])
    for step in config["compression"]:
        step_epochs = stage_graph.count_epochs(step)
        epochs = step_epochs if _is_from_scratch(step) else step_epochs + epochs
    return epochs


def count_planned_steps(config: Json) -> int | None:
    """Return epochs x batches per epoch; None where the config does not say how many images there are.

    Epochs that early stopping saved count; a teacher's training does not.
    """
    dataset = config["dataset"]
    recipe = config.get("recipe", {})
    image_count: int | None = dataset.get("train_size") or (dataset.get("images") or {}).get("train")
    batch_size: int | None = recipe.get("batch_size")
    if not image_count or not batch_size:
        return None
    full_batches, last_batch_size = divmod(image_count, batch_size)
    # As in training, a last batch of one image is left out.
    batches = full_batches + 1 if last_batch_size > 1 else full_batches
    return count_planned_epochs(config) * max(1, batches)


def _is_from_scratch(step: Json) -> bool:
    return any(phase.get("decider") in FROM_SCRATCH_DECIDERS for phase in step["phases"])
