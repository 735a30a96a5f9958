"""Round weights to k bits, symmetric around zero, and train them so (Jacob et al. 2018; Esser et al. 2020)."""

from convarium.compression import sites
from convarium.compression.deciders import grid
from convarium.compression.deciders.view import View
from convarium.compression.representations.base import Representation
from convarium.compression.representations.levels import Levels
from convarium.compression.sites import Site, knob
from convarium.errors import UserError


def uniform(view: View) -> dict[str, Representation]:
    """Round the innermost dense values of every site to whole numbers of `bits` bits; pruned weights stay zero.

    Raises:
        UserError: a scale for each channel of a pruned site.
    """
    return {site.name: _rounded(view, site) for site in view.sites}


def _rounded(view: View, site: Site) -> Representation:
    values, pruned = grid.innermost(view, site)
    if pruned and view.step["granularity"] == "channel":
        raise UserError(
            f"compression.uniform.granularity=channel: {site.name} is pruned, its weights have one scale; write tensor"
        )
    largest = 2 ** (knob(view.step, "bits", site) - 1) - 1
    scale = grid.largest_scale if view.step["calibration"] == "max" else grid.best_scale
    filters = sites.filters(view.network, site)
    rows = filters.rows(values) if view.step["granularity"] == "channel" else values.reshape(1, -1)
    return grid.placed(view, site, Levels.of(values, scale(rows, largest), largest, filters=filters))
