"""Keep weights drawn at random: the control that every pruning criterion must beat."""

import torch

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.pruning.score_pruning import keep_highest_scores
from convarium.representations.base import Representation


def random(view: NetworkView) -> dict[str, Representation]:
    """Keep the weights with the highest of uniform random scores, see `keep_highest_scores`."""
    scores = {site.name: torch.rand(site.shape, generator=view.generator) for site in view.sites}
    return keep_highest_scores(view, scores)
