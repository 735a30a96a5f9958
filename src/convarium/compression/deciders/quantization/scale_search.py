"""How fine a grid is, and which values of a site lie on it."""

import torch
from torch import Tensor

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.sites import Site
from convarium.representations import parametrization
from convarium.representations.base import Representation
from convarium.representations.levels import Levels

ZERO_ROW_SIZE = 0.01
SCALE_SHARES = 0.94 ** torch.arange(60, dtype=torch.float64)


def get_unquantised_values(view: NetworkView, site: Site) -> tuple[Tensor, bool]:
    """The site's values that are not coded yet, in its shape or as the vector of those kept, and whether it is pruned.

    Raises:
        UserError: they are shared or quantised already.
    """
    form, dense = view.representations.get(site.name), view.weights.get(site.name)
    dense = parametrization.materialise_site(view.network, site.name) if dense is None else dense
    values = parametrization.extract_innermost_values(form, dense)
    return (dense, False) if form is None else (values, True)


def replace_site_values(view: NetworkView, site: Site, inner: Levels) -> Representation:
    """`inner` in place of the site's innermost values."""
    return parametrization.replace_innermost_values(view.representations.get(site.name), inner, site.shape)


def compute_max_scale(rows: Tensor, largest: int) -> Tensor:
    """The scale of each row at which its largest value is the outermost level; (R, K) -> (R,)."""
    return _replace_zero_sizes(rows.abs().amax(1) if rows.numel() else rows.new_zeros(len(rows))) / largest


def search_best_scale(rows: Tensor, largest: int, zeros: bool = True) -> Tensor:
    """The scale of each row with the least squared error among 60 starts from the largest to a 40th; (R, K) -> (R,).

    To the whole numbers q of a start the best scale is <row, q> / <q, q>, and what it explains <row, q>^2 / <q, q>.
    """
    rows, outermost = rows.double(), compute_max_scale(rows, largest).double()
    best, explained = outermost.clone(), torch.full_like(outermost, -1.0)
    for share in SCALE_SHARES.tolist():
        q = (rows / (share * outermost)[:, None]).round().clamp(-largest, largest)
        q = q if zeros else torch.where(q == 0, 1.0 - 2.0 * (rows < 0), q)
        product, square = (rows * q).sum(1), (q * q).sum(1).clamp(min=1)
        better = (product**2 / square > explained) & (product > 0)
        best = torch.where(better, product / square, best)
        explained = torch.where(better, product**2 / square, explained)
    return best.float()


def compute_mean_scale(rows: Tensor, share: float) -> Tensor:
    """A share of the mean size of each row; (R, K) -> (R,)."""
    return share * _replace_zero_sizes(rows.abs().double().sum(1) / max(1, rows.shape[1])).float()


def _replace_zero_sizes(sizes: Tensor) -> Tensor:
    """Rows of zeros say nothing of their scale: any will do."""
    return torch.where(sizes > 0, sizes, ZERO_ROW_SIZE)
