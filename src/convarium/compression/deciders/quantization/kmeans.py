"""Share weights by k-means, a codebook a site (Han et al. 2016, "Deep Compression", section 3)."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.sites import get_site_knob
from convarium.representations import parametrization
from convarium.representations.base import Representation
from convarium.representations.shared import Shared

FloatArray = NDArray[np.float64]


def kmeans(view: NetworkView) -> dict[str, Representation]:
    """Replace the innermost dense values of every site by 2**bits shared ones; pruned weights stay zero."""
    found: dict[str, Representation] = {}
    for site in view.sites:
        values = parametrization.extract_innermost_values(view.representations.get(site.name), view.weights[site.name])
        shared = _cluster_values(values, 2 ** int(get_site_knob(view.step, "bits", site)), view)
        found[site.name] = parametrization.replace_innermost_values(
            view.representations.get(site.name), shared, site.shape
        )
    return found


def _cluster_values(values: Tensor, size: int, view: NetworkView) -> Shared:
    points = values.detach().double().numpy().reshape(-1, 1)
    distinct = np.unique(points)
    if len(distinct) <= size:
        return Shared.from_codebook(
            torch.from_numpy(distinct).float(), torch.from_numpy(np.searchsorted(distinct, points[:, 0]))
        )
    start = _initialise_centroids(distinct, points[:, 0], size, view)
    with threadpool_limits(1):
        fitted = KMeans(len(start), init=start.reshape(-1, 1), n_init=1, max_iter=view.step["max_iterations"]).fit(
            points
        )
    order = np.argsort(fitted.cluster_centers_[:, 0])
    ids = np.argsort(order)[fitted.labels_]
    return Shared.from_codebook(torch.from_numpy(fitted.cluster_centers_[order, 0]).float(), torch.from_numpy(ids))


def _initialise_centroids(distinct: FloatArray, points: FloatArray, size: int, view: NetworkView) -> FloatArray:
    """Linear, density-based or random (Forgy) starting centroids (Deep Compression, section 3.2)."""
    kind = view.step["initialisation"]
    if kind == "linear":
        return np.linspace(distinct[0], distinct[-1], size)
    if kind == "density":
        return np.unique(np.quantile(points, (np.arange(size) + 0.5) / size))
    drawn = torch.randperm(len(distinct), generator=view.generator)[:size].numpy()
    return np.sort(distinct[drawn])
