"""Keep weights drawn at random: the control that every pruning criterion must beat."""

import torch

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.pruning.score_pruning import keep_highest_scores
from convarium.representations.base import Representation


def random(view: NetworkView) -> dict[str, Representation]:
    """Score every weight by a uniform number."""
    return keep_highest_scores(
        view, {site.name: torch.rand(site.shape, generator=view.generator) for site in view.sites}
    )
