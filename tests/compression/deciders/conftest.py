"""What a decider sees, made by hand."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.sites import Site
from convarium.datasets.splits import Splits
from convarium.representations.base import Representation

KNOBS = {
    "sparsity": 0.75, "scope": "layer", "per_site": {},
    "bits": 2, "initialisation": "linear", "max_iterations": 100,
}  # fmt: skip


def make_view(
    weights: Mapping[str, Tensor],
    represented: Mapping[str, Representation] | None = None,
    progress: float = 1.0,
    seed: int = 0,
    **knobs: Any,
) -> NetworkView:
    sites = tuple(Site(name, tuple(weight.shape)) for name, weight in weights.items())
    generator = torch.Generator().manual_seed(seed)
    network, header = torch.nn.Module(), dict[str, Any]()
    return NetworkView(
        sites, weights, represented or {}, {**KNOBS, **knobs}, progress, generator, network, header, _refuse_data
    )


def _refuse_data() -> Splits:
    raise AssertionError("this decider needs no data")


@pytest.fixture(scope="session")
def view() -> Callable[..., NetworkView]:
    """Return `view(weights, represented, progress, seed, **knobs)`."""
    return make_view


@pytest.fixture
def weights() -> dict[str, Tensor]:
    """Two layers, the second with weights ten times as large."""
    torch.manual_seed(0)
    return {"a.weight": torch.randn(8, 10), "b.weight": 10 * torch.randn(4, 5)}
