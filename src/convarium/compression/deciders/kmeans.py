"""Share weights by k-means, a codebook a site (Han et al. 2016, "Deep Compression", section 3)."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

from convarium.compression import host
from convarium.compression.deciders.view import View
from convarium.compression.representations.base import Representation
from convarium.compression.representations.shared import Shared
from convarium.compression.sites import knob

Floats = NDArray[np.float64]


def kmeans(view: View) -> dict[str, Representation]:
    """Replace the innermost dense values of every site by 2**bits shared ones; pruned weights stay zero."""
    found: dict[str, Representation] = {}
    for site in view.sites:
        values = host.innermost(view.represented.get(site.name), view.weights[site.name])
        shared = _share(values, 2 ** int(knob(view.step, "bits", site)), view)
        found[site.name] = host.refit(view.represented.get(site.name), shared, site.shape)
    return found


def _share(values: Tensor, size: int, view: View) -> Shared:
    points = values.detach().double().numpy().reshape(-1, 1)
    distinct = np.unique(points)
    if len(distinct) <= size:
        return Shared.of(torch.from_numpy(distinct).float(), torch.from_numpy(np.searchsorted(distinct, points[:, 0])))
    start = _initial(distinct, points[:, 0], size, view)
    with threadpool_limits(1):
        fitted = KMeans(len(start), init=start.reshape(-1, 1), n_init=1, max_iter=view.step["max_iterations"]).fit(
            points
        )
    order = np.argsort(fitted.cluster_centers_[:, 0])
    ids = np.argsort(order)[fitted.labels_]
    return Shared.of(torch.from_numpy(fitted.cluster_centers_[order, 0]).float(), torch.from_numpy(ids))


def _initial(distinct: Floats, points: Floats, size: int, view: View) -> Floats:
    """Linear, density-based or random (Forgy) starting centroids (Deep Compression, section 3.2)."""
    kind = view.step["initialisation"]
    if kind == "linear":
        return np.linspace(distinct[0], distinct[-1], size)
    if kind == "density":
        return np.unique(np.quantile(points, (np.arange(size) + 0.5) / size))
    drawn = torch.randperm(len(distinct), generator=view.generator)[:size].numpy()
    return np.sort(distinct[drawn])
