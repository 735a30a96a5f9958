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
        view: of a method with the knobs of magnitude.yaml.
        scores: one finite score per weight, shaped as the site, by the site's name.
    """
    if view.step["scope"] == "global":
        share = float((1 - view.step["sparsity"]) ** view.progress)
        return keep_highest_across_sites(view, scores, share)
    counts: dict[str, int] = {}
    for site in view.sites:
        share = float((1 - get_site_knob(view.step, "sparsity", site)) ** view.progress)
        counts[site.name] = _count_kept(site.shape, share)
    return _build_sparse(view, _mask_pruned_scores(view, scores), counts)


def keep_highest_across_sites(
    view: NetworkView, scores: Mapping[str, Tensor], share: float
) -> dict[str, Representation]:
    """Keep this share of all sites' weights together, those with the highest scores."""
    masked_scores = _mask_pruned_scores(view, scores)
    all_scores = torch.cat(list(masked_scores.values()))
    kept_positions = _select_highest(all_scores, _count_kept(all_scores.shape, share))
    sizes = torch.tensor([site_scores.numel() for site_scores in masked_scores.values()])
    site_of_score = torch.repeat_interleave(sizes)
    site_counts = torch.bincount(site_of_score[kept_positions], minlength=len(masked_scores)).tolist()
    counts = {name: max(1, count) for name, count in zip(masked_scores, site_counts, strict=True)}
    return _build_sparse(view, masked_scores, counts)


def _mask_pruned_scores(view: NetworkView, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The scores of each site as a vector, -inf for weights that are zero."""
    masked_scores: dict[str, Tensor] = {}
    for name, site_scores in scores.items():
        is_pruned = view.weights[name].flatten() == 0
        masked_scores[name] = site_scores.flatten().masked_fill(is_pruned, -torch.inf)
    return masked_scores


def _build_sparse(
    view: NetworkView, masked_scores: Mapping[str, Tensor], counts: Mapping[str, int]
) -> dict[str, Representation]:
    representations: dict[str, Representation] = {}
    for name, site_scores in masked_scores.items():
        positions = _select_highest(site_scores, counts[name])
        representations[name] = Sparse.from_dense(positions, view.weights[name])
    return representations


def _count_kept(shape: Sequence[int], share: float) -> int:
    return max(1, round(prod(shape) * share))


def _select_highest(scores: Tensor, count: int) -> Tensor:
    """Positions of the `count` highest finite scores (one at least) in ascending order; ties go to the earlier one."""
    finite_count = int(scores.isfinite().sum())
    count = max(1, min(count, finite_count))
    # Not topk: which of equal scores it returns is not defined.
    order = torch.sort(scores, descending=True, stable=True).indices
    return order[:count].sort().values
