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
    representations: dict[str, Representation] = {}
    for site in view.sites:
        previous = view.representations.get(site.name)
        values = parametrization.extract_innermost_values(previous, view.weights[site.name])
        codebook_size = 2 ** int(get_site_knob(view.step, "bits", site))
        shared = _cluster_values(values, codebook_size, view)
        representations[site.name] = parametrization.replace_innermost_values(previous, shared, site.shape)
    return representations


def _cluster_values(values: Tensor, codebook_size: int, view: NetworkView) -> Shared:
    """The values as entries of an ascending codebook of at most `codebook_size` centroids."""
    points = values.detach().double().numpy()
    distinct = np.unique(points)
    if len(distinct) <= codebook_size:
        ids = np.searchsorted(distinct, points)
        return Shared.from_codebook(torch.from_numpy(distinct).float(), torch.from_numpy(ids))
    start = _initialise_centroids(distinct, points, codebook_size, view)
    # Density starts may coincide, so there may be fewer than `codebook_size`.
    clustering = KMeans(len(start), init=start.reshape(-1, 1), n_init=1, max_iter=view.step["max_iterations"])
    # One thread: sums of several depend on how many there are, and so would the centroids.
    with threadpool_limits(1):
        clustering.fit(points.reshape(-1, 1))
    centroids = clustering.cluster_centers_[:, 0]
    order = np.argsort(centroids)
    rank_of_cluster = np.argsort(order)
    ids = rank_of_cluster[clustering.labels_]
    return Shared.from_codebook(torch.from_numpy(centroids[order]).float(), torch.from_numpy(ids))


def _initialise_centroids(distinct: FloatArray, points: FloatArray, size: int, view: NetworkView) -> FloatArray:
    """Linear, density-based or random (Forgy) starting centroids (Deep Compression, section 3.2)."""
    initialisation = view.step["initialisation"]
    if initialisation == "linear":
        return np.linspace(distinct[0], distinct[-1], size)
    if initialisation == "density":
        quantiles = (np.arange(size) + 0.5) / size
        return np.unique(np.quantile(points, quantiles))
    drawn_indices = torch.randperm(len(distinct), generator=view.generator)[:size].numpy()
    return np.sort(distinct[drawn_indices])
