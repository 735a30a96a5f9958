"""Layer-adaptive magnitude pruning over all sites (Lee et al. 2021), on a cubic schedule (Zhu and Gupta 2017)."""

import torch
from torch import Tensor

from convarium.compression.deciders.sparsity import keep_highest_of_all
from convarium.compression.deciders.view import View
from convarium.compression.representations.base import Representation


def global_gradual(view: View) -> dict[str, Representation]:
    """Remove a share sparsity (1 - (1 - progress)^3) of all weights, those of the lowest LAMP score."""
    share = 1 - view.step["sparsity"] * (1 - (1 - view.progress) ** 3)
    return keep_highest_of_all(view, {site.name: lamp(view.weights[site.name]) for site in view.sites}, share)


def lamp(weights: Tensor) -> Tensor:
    """w_u^2 over the sum of w_v^2 of all v that are at least as large (Lee et al. 2021, equation 3), float64."""
    squares = weights.flatten().double().square()
    order = squares.argsort(stable=True)
    ascending = squares[order]
    total = ascending.flip(0).cumsum(0).flip(0)
    scores = torch.empty_like(squares)
    scores[order] = ascending / total.clamp(min=torch.finfo(torch.float64).tiny)
    return scores.view(weights.shape)
