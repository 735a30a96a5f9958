"""Keep the largest weights (Han et al. 2015, "Learning both Weights and Connections", section 3)."""

from convarium.compression.deciders.sparsity import keep_highest
from convarium.compression.deciders.view import View
from convarium.compression.representations.base import Representation


def magnitude(view: View) -> dict[str, Representation]:
    """Score every weight by its absolute value."""
    return keep_highest(view, {site.name: view.weights[site.name].abs() for site in view.sites})
