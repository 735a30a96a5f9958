"""Round weights to k bits, symmetric around zero, and train them so (Jacob et al. 2018; Esser et al. 2020)."""

from convarium.compression import sites
from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.quantization import scale_search
from convarium.compression.sites import Site, get_site_knob
from convarium.errors import UserError
from convarium.representations.base import Representation
from convarium.representations.levels import Levels


def uniform(view: NetworkView) -> dict[str, Representation]:
    """Round the innermost dense values of every site to whole numbers of `bits` bits; pruned weights stay zero.

    Raises:
        UserError: a scale for each channel of a pruned site.
    """
    return {site.name: _round_site(view, site) for site in view.sites}


def _round_site(view: NetworkView, site: Site) -> Representation:
    values, is_pruned = scale_search.get_unquantised_values(view, site)
    is_per_channel = view.step["granularity"] == "channel"
    # The kept weights are one vector, in which filters have no rows.
    if is_pruned and is_per_channel:
        raise UserError(
            f"compression.uniform.granularity=channel: {site.name} is pruned, its weights have one scale; write tensor"
        )
    # Without the lowest of the 2 ** bits numbers, so that the grid is symmetric.
    largest = 2 ** (get_site_knob(view.step, "bits", site) - 1) - 1
    filters = sites.get_filter_layout(view.network, site)
    rows = filters.to_rows(values) if is_per_channel else values.reshape(1, -1)
    if view.step["calibration"] == "max":
        scales = scale_search.compute_max_scale(rows, largest)
    else:
        scales = scale_search.search_best_scale(rows, largest)
    quantised = Levels.quantise(values, scales, largest, filters=filters)
    return scale_search.replace_site_values(view, site, quantised)
