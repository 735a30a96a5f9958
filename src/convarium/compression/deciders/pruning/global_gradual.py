"""Layer-adaptive magnitude pruning over all sites (Lee et al. 2021), on a cubic schedule (Zhu and Gupta 2017)."""

import torch
from torch import Tensor

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.pruning.score_pruning import keep_highest_across_sites
from convarium.representations.base import Representation


def global_gradual(view: NetworkView) -> dict[str, Representation]:
    """Remove a share sparsity (1 - (1 - progress)^3) of all weights, those of the lowest LAMP score."""
    share = 1 - view.step["sparsity"] * (1 - (1 - view.progress) ** 3)
    return keep_highest_across_sites(
        view, {site.name: compute_lamp_scores(view.weights[site.name]) for site in view.sites}, share
    )


def compute_lamp_scores(weights: Tensor) -> Tensor:
    """w_u^2 over the sum of w_v^2 of all v that are at least as large (Lee et al. 2021, equation 3), float64."""
    squares = weights.flatten().double().square()
    order = squares.argsort(stable=True)
    ascending = squares[order]
    total = ascending.flip(0).cumsum(0).flip(0)
    scores = torch.empty_like(squares)
    scores[order] = ascending / total.clamp(min=torch.finfo(torch.float64).tiny)
    return scores.view(weights.shape)
