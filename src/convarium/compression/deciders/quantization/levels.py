"""Draw weights and biases to a trained grid of few levels (after Esser et al. 2020)."""

from math import ceil

from convarium.compression import sites
from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.quantization import scale_search
from convarium.compression.sites import Site, get_site_knob
from convarium.representations.base import Representation
from convarium.representations.levels import Levels

HEADER_OVERHEAD_BYTES = 8
FLOAT_BYTES = 4
ZEROS_BY_SETTING = {"always": True, "never": False}


def levels(view: NetworkView) -> dict[str, Representation]:
    """Draw the innermost dense values of every site, and the biases of its layers, to whole numbers times a scale.

    With `zeros: auto` the kept weights of a pruned site are never zero, so all of its zeros are pruned ones.
    """
    representations = {site.name: _quantise_weights(view, site) for site in view.sites}
    if not view.step["bias_bits"]:
        return representations
    for site in sites.find_bias_sites(view.network, view.step):
        bias = _quantise_bias(view, site)
        if _is_smaller_than_dense(bias):
            representations[site.name] = scale_search.replace_site_values(view, site, bias)
    return representations


def _quantise_weights(view: NetworkView, site: Site) -> Representation:
    values, is_pruned = scale_search.get_unquantised_values(view, site)
    # By `auto` the level 0 is left out only in a pruned site, and only if none of its kept weights is zero already.
    auto_zeros = not is_pruned or not bool(values.all())
    zeros = ZEROS_BY_SETTING.get(view.step["zeros"], auto_zeros)
    largest = get_site_knob(view.step, "quant_max", site)
    rows = values.reshape(1, -1)
    scale_factor = view.step["initial_scale_factor"]
    if scale_factor is None:
        scale = scale_search.search_best_scale(rows, largest, zeros)
    else:
        scale = scale_search.compute_mean_scale(rows, scale_factor)
    return scale_search.replace_site_values(view, site, Levels.quantise(values, scale, largest, zeros))


def _quantise_bias(view: NetworkView, site: Site) -> Levels:
    values, _ = scale_search.get_unquantised_values(view, site)
    largest = 2 ** (view.step["bias_bits"] - 1) - 1
    scale = scale_search.search_best_scale(values.reshape(1, -1), largest)
    return Levels.quantise(values, scale, largest)


def _is_smaller_than_dense(form: Levels) -> bool:
    """Whether a file is smaller with `form` than with float32, at values of fixed width, a scale and header keys."""
    bits_per_value = (2 * form.largest).bit_length()
    value_bytes = ceil(form.numel * bits_per_value / 8)
    scale_bytes = FLOAT_BYTES * form.scale_count
    return value_bytes + scale_bytes + HEADER_OVERHEAD_BYTES < FLOAT_BYTES * form.numel
