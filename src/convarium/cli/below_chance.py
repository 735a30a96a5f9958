"""Adopted weights that do worse than guessing, told at the end of a run: perhaps their classes are in another order."""

from math import exp, lgamma, log
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convarium.planning.plan import Plan
    from convarium.store.store import Store

CHANCE_PROBABILITY = 1e-3  # the probability at which guessing still explains an accuracy


def find_below_chance(graph: "Plan", store: "Store") -> list[str]:
    """Return a line for each adopted dense network of a plan whose accuracy is below chance by more than chance."""
    lines = []
    for point in graph.points:
        node, done = graph.nodes[point.dense], store.find_record(point.measure)
        if point.network != point.dense or node.stage != "adopt" or node.stage_config.get("fresh") or not done:
            continue
        dataset: dict[str, Any] = point.config["dataset"]
        images, accuracy = done["result"]["images"], done["result"]["metrics"]["accuracy"]
        if is_below_chance(round(accuracy * images), images, dataset["classes"]):
            told = f"{accuracy:.1%} of {images:,} test images, chance alone gives {1 / dataset['classes']:.1%}"
            advice = "; dataset.class_names=FILE gives theirs" if "class_names" in dataset else ""
            why = f"the classes of the dataset may be in another order than the weights'{advice}"
            lines.append(f"adopted weights {point.dense} are right for {told}: {why}")
    return list(dict.fromkeys(lines))  # an adopted network serves every seed


def is_below_chance(right: int, images: int, classes: int) -> bool:
    """Whether guessing gets so few right with a probability below CHANCE_PROBABILITY (binomial tail)."""
    if classes < 2 or right * classes >= images:
        return False
    hit, miss = log(1 / classes), log(1 - 1 / classes)

    def probability(count: int) -> float:
        ways = lgamma(images + 1) - lgamma(count + 1) - lgamma(images - count + 1)
        return exp(ways + count * hit + (images - count) * miss)

    return sum(map(probability, range(right + 1))) < CHANCE_PROBABILITY
