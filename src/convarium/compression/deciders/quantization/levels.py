"""Draw weights and biases to a trained grid of few levels (after Esser et al. 2020)."""

from math import ceil

from convarium.compression import sites
from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.quantization import scale_search
from convarium.compression.sites import Site, get_site_knob
from convarium.representations.base import Representation
from convarium.representations.levels import Levels

HEADER_OVERHEAD_BYTES = 8
ALLOW_ZEROS = {"always": True, "never": False}


def levels(view: NetworkView) -> dict[str, Representation]:
    """Draw the innermost dense values of every site, and the biases of its layers, to whole numbers times a scale.

    With `zeros: auto` the kept weights of a pruned site are never zero, so all of its zeros are pruned ones.
    """
    found = {site.name: _quantise_weights(view, site) for site in view.sites}
    for site in sites.find_bias_sites(view.network, view.step) if view.step["bias_bits"] else ():
        bias = _quantise_bias(view, site)
        if _is_smaller_than_dense(bias):
            found[site.name] = scale_search.replace_site_values(view, site, bias)
    return found


def _quantise_weights(view: NetworkView, site: Site) -> Representation:
    values, pruned = scale_search.get_unquantised_values(view, site)
    zeros = ALLOW_ZEROS.get(view.step["zeros"], not pruned or not bool(values.all()))
    largest, rows = get_site_knob(view.step, "quant_max", site), values.reshape(1, -1)
    start = view.step["initial_scale_factor"]
    scale = (
        scale_search.search_best_scale(rows, largest, zeros)
        if start is None
        else scale_search.compute_mean_scale(rows, start)
    )
    return scale_search.replace_site_values(view, site, Levels.quantise(values, scale, largest, zeros))


def _quantise_bias(view: NetworkView, site: Site) -> Levels:
    values, _ = scale_search.get_unquantised_values(view, site)
    largest = 2 ** (view.step["bias_bits"] - 1) - 1
    return Levels.quantise(values, scale_search.search_best_scale(values.reshape(1, -1), largest), largest)


def _is_smaller_than_dense(form: Levels) -> bool:
    """Whether a file with it is smaller: values and scale in fixed width, and what the header says of them."""
    return (
        ceil(form.numel * (2 * form.largest).bit_length() / 8) + 4 * form.channels + HEADER_OVERHEAD_BYTES
        < 4 * form.numel
    )
