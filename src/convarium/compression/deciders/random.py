"""Keep weights drawn at random: the control that every pruning criterion must beat."""

import torch

from convarium.compression.deciders.sparsity import keep_highest
from convarium.compression.deciders.view import View
from convarium.compression.representations.base import Representation


def random(view: View) -> dict[str, Representation]:
    """Score every weight by a uniform number."""
    return keep_highest(view, {site.name: torch.rand(site.shape, generator=view.generator) for site in view.sites})
