"""How many weights each site keeps, and the sparse representations that follow from a score."""

from collections.abc import Mapping

import torch
from torch import Tensor

from convarium.compression.deciders.view import View
from convarium.compression.representations.base import Representation
from convarium.compression.representations.sparse import Sparse
from convarium.compression.sites import knob


def keep_highest(view: View, scores: Mapping[str, Tensor]) -> dict[str, Representation]:
    """Keep the weights with the highest scores: per site by its own sparsity, or over all sites (`scope: global`).

    After round r of n a share (1 - sparsity) ** (r / n) is kept. What is pruned already (zero) is never kept, so it
    stays pruned, even where less is asked for than was pruned before. A site never loses its last weight.

    Args:
        scores: one finite score per weight, shaped as the site.
    """
    ranked = {
        name: score.flatten().masked_fill(view.weights[name].flatten() == 0, -torch.inf)
        for name, score in scores.items()
    }
    counts = _global_counts(view, ranked) if view.step["scope"] == "global" else _layer_counts(view)
    return {name: Sparse.at(_highest(ranked[name], counts[name]), view.weights[name]) for name in ranked}


def _layer_counts(view: View) -> dict[str, int]:
    return {
        site.name: _kept(view.weights[site.name].numel(), knob(view.step, "sparsity", site), view.progress)
        for site in view.sites
    }


def _global_counts(view: View, ranked: Mapping[str, Tensor]) -> dict[str, int]:
    everything = torch.cat(list(ranked.values()))
    kept = _highest(everything, _kept(everything.numel(), view.step["sparsity"], view.progress))
    owner = torch.repeat_interleave(torch.tensor([r.numel() for r in ranked.values()]))
    counts = torch.bincount(owner[kept], minlength=len(ranked))
    return {name: max(1, int(count)) for name, count in zip(ranked, counts, strict=True)}


def _kept(size: int, sparsity: float, progress: float) -> int:
    return max(1, round(size * float((1 - sparsity) ** progress)))


def _highest(scores: Tensor, count: int) -> Tensor:
    """Positions of the `count` highest finite scores (one at least) in ascending order; ties go to the earlier one."""
    count = max(1, min(count, int(scores.isfinite().sum())))
    return torch.sort(scores, descending=True, stable=True).indices[:count].sort().values
