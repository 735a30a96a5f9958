"""Layer-adaptive magnitude pruning over all sites (Lee et al. 2021), on a cubic schedule (Zhu and Gupta 2017)."""

import torch
from torch import Tensor

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.pruning.score_pruning import keep_highest_across_sites
from convarium.representations.base import Representation


def global_gradual(view: NetworkView) -> dict[str, Representation]:
    """Remove the weights with the lowest LAMP scores, in all a share sparsity (1 - (1 - progress)^3).

    The schedule is equation 1 of Zhu and Gupta, from 0 on.
    """
    kept_share = 1 - view.step["sparsity"] * (1 - (1 - view.progress) ** 3)
    scores = {site.name: compute_lamp_scores(view.weights[site.name]) for site in view.sites}
    return keep_highest_across_sites(view, scores, kept_share)


def compute_lamp_scores(weights: Tensor) -> Tensor:
    """Return w_u^2 / sum of w_v^2 over all v at least as large as u (Lee et al. 2021, equation 3).

    Args:
        weights: of one site, any shape.

    Returns:
        Scores in 0..1, float64, shaped as `weights`; 0 where they are all zero.
    """
    squares = weights.flatten().double().square()
    order = squares.argsort(stable=True)
    ascending = squares[order]
    sums_from_here = ascending.flip(0).cumsum(0).flip(0)
    scores = torch.empty_like(squares)
    # The clamp is for squares that are all zero, where 0 / 0 would not be finite.
    scores[order] = ascending / sums_from_here.clamp(min=torch.finfo(torch.float64).tiny)
    return scores.view(weights.shape)
