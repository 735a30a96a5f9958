"""The config of a network that began with adopted weights, read off what was done with them afterwards."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from convarium.seeds import derive_seed

StageRecord = Mapping[str, Any]
MAX_SEEDS_TRIED = 10_000


def derive_adopted_config(records: Sequence[StageRecord], dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands for a training's config: the weights serve every seed and recipe, and were of other data.

    Args:
        records: records of the stages that made the network, last first; the last of them adopted the weights.
        dataset: the data it was measured on.
    """
    own = records[-1]["stage_config"]
    architecture = {**own["architecture"], "weights": records[-1]["signature"]}
    found = {"architecture": architecture, "task": own["task"], "dataset": dict(dataset), "seed": own.get("seed", 0)}
    if len(records) > 1:
        step = records[-2]["stage_config"]
        found |= {"recipe": step["recipe"], "seed": _find_point_seed(step["seed"])}
    return found


@cache
def _find_point_seed(stream_seed: int) -> int:
    """Return the seed whose first step's stream is `stream_seed`; past MAX_SEEDS_TRIED, the stream itself."""
    return next((seed for seed in range(MAX_SEEDS_TRIED) if derive_seed(seed, "step", 0) == stream_seed), stream_seed)
