"""Keep the largest weights (Han et al. 2015, "Learning both Weights and Connections", section 3)."""

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.pruning.score_pruning import keep_highest_scores
from convarium.representations.base import Representation


def magnitude(view: NetworkView) -> dict[str, Representation]:
    """Keep the weights with the largest absolute values, see `keep_highest_scores`."""
    scores = {site.name: view.weights[site.name].abs() for site in view.sites}
    return keep_highest_scores(view, scores)
