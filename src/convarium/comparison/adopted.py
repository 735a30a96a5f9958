"""The config of a network that began with adopted weights, read off what was done with them afterwards."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from convarium.seeds import stream

Done = Mapping[str, Any]
SEEDS = 10_000


def config(chain: Sequence[Done], dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands for a training's config: the weights serve every seed and recipe, and were of other data.

    Args:
        chain: records of the stages that made the network, last first; the last of them adopted the weights.
        dataset: the data it was measured on.
    """
    own = chain[-1]["stage_config"]
    architecture = {**own["architecture"], "weights": chain[-1]["signature"]}
    found = {"architecture": architecture, "task": own["task"], "dataset": dict(dataset), "seed": own.get("seed", 0)}
    if len(chain) > 1:
        step = chain[-2]["stage_config"]
        found |= {"recipe": step["recipe"], "seed": _seed(step["seed"])}
    return found


@cache
def _seed(stored: int) -> int:
    """Return the seed of the point whose first step's stream is `stored`; of those past SEEDS, the stream itself."""
    return next((seed for seed in range(SEEDS) if stream(seed, "step", 0) == stored), stored)
