"""Draw weights and biases to a trained grid of few levels (after Esser et al. 2020)."""

from math import ceil

from convarium.compression import sites
from convarium.compression.deciders import grid
from convarium.compression.deciders.view import View
from convarium.compression.representations.base import Representation
from convarium.compression.representations.levels import Levels
from convarium.compression.sites import Site, knob

TOLD = 8
ZEROS = {"always": True, "never": False}


def levels(view: View) -> dict[str, Representation]:
    """Draw the innermost dense values of every site, and the biases of its layers, to whole numbers times a scale.

    With `zeros: auto` the kept weights of a pruned site are never zero, so all of its zeros are pruned ones.
    """
    found = {site.name: _weights(view, site) for site in view.sites}
    for site in sites.biases(view.network, view.step) if view.step["bias_bits"] else ():
        bias = _bias(view, site)
        if _pays(bias):
            found[site.name] = grid.placed(view, site, bias)
    return found


def _weights(view: View, site: Site) -> Representation:
    values, pruned = grid.innermost(view, site)
    zeros = ZEROS.get(view.step["zeros"], not pruned or not bool(values.all()))
    largest, rows = knob(view.step, "quant_max", site), values.reshape(1, -1)
    start = view.step["initial_scale_factor"]
    scale = grid.best_scale(rows, largest, zeros) if start is None else grid.mean_scale(rows, start)
    return grid.placed(view, site, Levels.of(values, scale, largest, zeros))


def _bias(view: View, site: Site) -> Levels:
    values, _ = grid.innermost(view, site)
    largest = 2 ** (view.step["bias_bits"] - 1) - 1
    return Levels.of(values, grid.best_scale(values.reshape(1, -1), largest), largest)


def _pays(form: Levels) -> bool:
    """Whether a file with it is smaller: values and scale in fixed width, and what the header says of them."""
    return ceil(form.numel * (2 * form.largest).bit_length() / 8) + 4 * form.channels + TOLD < 4 * form.numel
