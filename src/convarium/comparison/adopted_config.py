"""Config of a network that started from adopted weights, derived from the stages that followed."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from convarium.seeds import derive_seed

StageRecord = Mapping[str, Any]
MAX_SEEDS_TRIED = 10_000


def derive_adopted_config(records: Sequence[StageRecord], dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config in place of a training's: adopted weights serve every seed and recipe, and saw other data.

    Args:
        records: records of the stages that made the network, last first; the final one adopted the weights.
        dataset: the data that the network was measured on.
    """
    adopt_record = records[-1]
    stage_config = adopt_record["stage_config"]
    config: dict[str, Any] = {
        "architecture": {**stage_config["architecture"], "weights": adopt_record["signature"]},
        "task": stage_config["task"],
        "dataset": dict(dataset),
        "seed": stage_config.get("seed", 0),
    }
    if len(records) > 1:
        first_step_config = records[-2]["stage_config"]
        config["recipe"] = first_step_config["recipe"]
        config["seed"] = _find_point_seed(first_step_config["seed"])
    return config


@cache
def _find_point_seed(stream_seed: int) -> int:
    """Return the seed whose first step's stream is `stream_seed`; if none below MAX_SEEDS_TRIED is, `stream_seed`."""
    # A stream's seed is a hash, so the point's seed can only be found by trying.
    for seed in range(MAX_SEEDS_TRIED):
        if derive_seed(seed, "step", 0) == stream_seed:
            return seed
    return stream_seed
