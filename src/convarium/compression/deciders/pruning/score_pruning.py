"""How many weights each site keeps, and the sparse representations that follow from a score."""

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.sites import get_site_knob
from convarium.representations.base import Representation
from convarium.representations.sparse import Sparse


def keep_highest_scores(view: NetworkView, scores: Mapping[str, Tensor]) -> dict[str, Representation]:
    """Keep the weights with the highest scores: per site by its own sparsity, or over all sites (`scope: global`).

    After round r of n a share (1 - sparsity) ** (r / n) is kept. What is pruned already (zero) is never kept, so it
    stays pruned, even where less is asked for than was pruned before. A site never loses its last weight.

    Args:
        scores: one finite score per weight, shaped as the site.
    """
    if view.step["scope"] == "global":
        return keep_highest_across_sites(view, scores, float((1 - view.step["sparsity"]) ** view.progress))
    counts = {
        site.name: _count_kept(site.shape, float((1 - get_site_knob(view.step, "sparsity", site)) ** view.progress))
        for site in view.sites
    }
    return _build_sparse(view, _mask_pruned_scores(view, scores), counts)


def keep_highest_across_sites(
    view: NetworkView, scores: Mapping[str, Tensor], share: float
) -> dict[str, Representation]:
    """Keep this share of all sites' weights together, those with the highest scores."""
    ranked = _mask_pruned_scores(view, scores)
    everything = torch.cat(list(ranked.values()))
    kept = _select_highest(everything, _count_kept(everything.shape, share))
    owner = torch.repeat_interleave(torch.tensor([each.numel() for each in ranked.values()]))
    counts = torch.bincount(owner[kept], minlength=len(ranked))
    return _build_sparse(view, ranked, {name: max(1, int(count)) for name, count in zip(ranked, counts, strict=True)})


def _mask_pruned_scores(view: NetworkView, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: score.flatten().masked_fill(view.weights[name].flatten() == 0, -torch.inf)
        for name, score in scores.items()
    }


def _build_sparse(
    view: NetworkView, ranked: Mapping[str, Tensor], counts: Mapping[str, int]
) -> dict[str, Representation]:
    return {name: Sparse.from_dense(_select_highest(ranked[name], counts[name]), view.weights[name]) for name in ranked}


def _count_kept(shape: Sequence[int], share: float) -> int:
    return max(1, round(prod(shape) * share))


def _select_highest(scores: Tensor, count: int) -> Tensor:
    """Positions of the `count` highest finite scores (one at least) in ascending order; ties go to the earlier one."""
    count = max(1, min(count, int(scores.isfinite().sum())))
    return torch.sort(scores, descending=True, stable=True).indices[:count].sort().values
