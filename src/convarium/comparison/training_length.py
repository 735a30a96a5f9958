"""How many optimiser steps a network was planned to take, by its config alone."""

from collections.abc import Mapping
from typing import Any

from convarium.planning import stage_graph

Json = Mapping[str, Any]
FROM_SCRATCH_DECIDERS = ("small_dense",)


def count_planned_epochs(config: Json) -> int:
    """Return the epochs of training and of all phases of all steps, counted anew where a step starts from scratch.

    Adopted weights were trained elsewhere, for nobody knows how long: they count nothing.
    """
    adopted = config["architecture"].get("weights") is not None
    total = 0 if adopted else int(config["recipe"]["epochs"])
    for step in config["compression"]:
        total = stage_graph.count_epochs(step) + (0 if _is_from_scratch(step) else total)
    return total


def count_planned_steps(config: Json) -> int | None:
    """Return epochs x batches an epoch; None where the config does not say how many images there are.

    Epochs that early stopping saved count, and a teacher's training does not. As in training, a last batch of one
    image is left out.
    """
    dataset, recipe = config["dataset"], config.get("recipe", {})
    images: int | None = dataset.get("train_size") or (dataset.get("images") or {}).get("train")
    batch_size: int | None = recipe.get("batch_size")
    if not images or not batch_size:
        return None
    full, rest = divmod(images, batch_size)
    return count_planned_epochs(config) * max(1, full + (rest > 1))


def _is_from_scratch(step: Json) -> bool:
    return any(phase.get("decider") in FROM_SCRATCH_DECIDERS for phase in step["phases"])
