"""Scales of a grid for given values, and the values of a site that such a grid is fitted to."""

import torch
from torch import Tensor

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.sites import Site
from convarium.representations import parametrization
from convarium.representations.base import Representation
from convarium.representations.levels import Levels

ZERO_ROW_FALLBACK = 0.01  # for a row of zeros, which says nothing of its scale; Levels needs a positive one
SCALE_SHARES = 0.94 ** torch.arange(60, dtype=torch.float64)  # from 1 down to a 40th


def get_unquantised_values(view: NetworkView, site: Site) -> tuple[Tensor, bool]:
    """Return the site's values that are not coded yet, and whether the site has a representation (is pruned).

    The values have the site's shape, those of a pruned site are the vector of the kept ones.

    Raises:
        UserError: they are shared or quantised already.
    """
    representation = view.representations.get(site.name)
    dense = view.weights.get(site.name)
    if dense is None:  # a bias: the view has weights only
        dense = parametrization.materialise_site(view.network, site.name)
    values = parametrization.extract_innermost_values(representation, dense)
    return (dense, False) if representation is None else (values, True)


def replace_site_values(view: NetworkView, site: Site, inner: Levels) -> Representation:
    """Return the site's representation with `inner` in place of its innermost values."""
    return parametrization.replace_innermost_values(view.representations.get(site.name), inner, site.shape)


def compute_max_scale(rows: Tensor, largest: int) -> Tensor:
    """Return the scale of each row at which its largest value is the outermost level; (R, K) -> (R,)."""
    sizes = rows.abs().amax(1) if rows.numel() else rows.new_zeros(len(rows))
    return _replace_zero_sizes(sizes) / largest


def search_best_scale(rows: Tensor, largest: int, zeros: bool = True) -> Tensor:
    """Return the scale of each row with the least squared error that is found from 60 starts; (R, K) -> (R,), float32.

    Starts go from the scale of `compute_max_scale` down to a 40th of it. To the whole numbers q of a start the best
    scale is <row, q> / <q, q>, which lowers the squared error by <row, q>^2 / <q, q>.

    Args:
        rows: values that share a scale, one row a scale.
        largest: whole numbers are in -largest..largest.
        zeros: whether a whole number may be 0; without, it is 1 or -1 by its value's sign.
    """
    rows = rows.double()
    max_scales = compute_max_scale(rows, largest).double()
    best_scales = max_scales.clone()
    best_gains = torch.full_like(max_scales, -1.0)
    for share in SCALE_SHARES.tolist():
        q = (rows / (share * max_scales)[:, None]).round().clamp(-largest, largest)
        if not zeros:
            signs = 1.0 - 2.0 * (rows < 0)
            q = torch.where(q == 0, signs, q)
        products = (rows * q).sum(1)
        squares = (q * q).sum(1).clamp(min=1)  # the clamp is for rows of zeros
        gains = products**2 / squares
        is_better = (gains > best_gains) & (products > 0)
        best_scales = torch.where(is_better, products / squares, best_scales)
        best_gains = torch.where(is_better, gains, best_gains)
    return best_scales.float()


def compute_mean_scale(rows: Tensor, share: float) -> Tensor:
    """Return a share of the mean absolute value of each row; (R, K) -> (R,), float32."""
    mean_sizes = rows.abs().double().sum(1) / max(1, rows.shape[1])
    return share * _replace_zero_sizes(mean_sizes).float()


def _replace_zero_sizes(sizes: Tensor) -> Tensor:
    return torch.where(sizes > 0, sizes, ZERO_ROW_FALLBACK)
