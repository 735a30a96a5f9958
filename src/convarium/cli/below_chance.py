"""Adopted weights that do worse than guessing, reported at the end of a run: their classes may be in another order."""

from math import exp, lgamma, log
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convarium.planning.plan import Plan
    from convarium.store.store import Store

CHANCE_PROBABILITY = 1e-3  # the probability at which guessing still explains an accuracy


def find_below_chance(plan: "Plan", store: "Store") -> list[str]:
    """Return a line for each adopted dense network of a plan whose accuracy is significantly below chance."""
    lines = []
    for point in plan.points:
        node, record = plan.nodes[point.dense], store.find_record(point.measure)
        # A network with fresh tensors has not learnt their classes yet.
        is_adopted_whole = node.stage == "adopt" and not node.stage_config.get("fresh")
        if point.network != point.dense or not is_adopted_whole or record is None:
            continue
        dataset: dict[str, Any] = point.config["dataset"]
        images, accuracy = record["result"]["images"], record["result"]["metrics"]["accuracy"]
        if is_below_chance(round(accuracy * images), images, dataset["classes"]):
            chance = 1 / dataset["classes"]
            reason = "the classes of the dataset may be in another order than the weights'"
            if "class_names" in dataset:
                reason += "; dataset.class_names=FILE gives theirs"
            lines.append(
                f"adopted weights {point.dense} are right for {accuracy:.1%} of {images:,} test images, chance alone"
                f" gives {chance:.1%}: {reason}"
            )
    return list(dict.fromkeys(lines))  # points of several seeds have the same adopted network


def is_below_chance(right: int, images: int, classes: int) -> bool:
    """Whether guessing gets so few right with a probability below CHANCE_PROBABILITY (binomial tail)."""
    if classes < 2 or right * classes >= images:
        return False
    log_right, log_wrong = log(1 / classes), log(1 - 1 / classes)

    def compute_probability(count: int) -> float:
        # By logarithms: the binomial coefficients of thousands of images are beyond a float.
        log_ways = lgamma(images + 1) - lgamma(count + 1) - lgamma(images - count + 1)
        return exp(log_ways + count * log_right + (images - count) * log_wrong)

    return sum(map(compute_probability, range(right + 1))) < CHANCE_PROBABILITY
