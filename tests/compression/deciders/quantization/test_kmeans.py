"""Sharing weights by k-means."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.pruning.magnitude import magnitude
from convarium.compression.deciders.quantization.kmeans import kmeans
from convarium.errors import UserError
from convarium.representations.shared import Shared
from convarium.representations.sparse import Sparse

Make = Callable[..., NetworkView]
KINDS = ("linear", "density", "random")


def error(weight: Tensor, shared: Tensor) -> float:
    return float((weight - shared).double().square().sum())


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 80), bits=st.integers(1, 4), kind=st.sampled_from(KINDS), seed=st.integers(0, 99))
def test_a_layer_has_at_most_two_to_the_bits_values(view: Make, size: int, bits: int, kind: str, seed: int) -> None:
    weight = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    found = kmeans(view({"a": weight}, bits=bits, initialisation=kind, seed=seed))["a"]
    assert len(found.materialise().unique()) <= 2**bits
    assert found.materialise().shape == weight.shape


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_takes_the_nearest_value_and_values_are_means_of_their_weights(kind: str, view: Make) -> None:
    weight = torch.randn(20, 30, generator=torch.Generator().manual_seed(3))
    found = kmeans(view({"a": weight}, bits=3, initialisation=kind, max_iterations=1000))["a"]
    assert isinstance(found, Shared)
    (codebook,), values = found.stored_tensors, found.materialise()
    nearest = codebook[(weight.flatten()[:, None] - codebook).abs().argmin(1)].view(weight.shape)
    assert torch.allclose(values, nearest)
    for index, entry in enumerate(codebook):
        assert float(weight.flatten()[found.ids == index].mean()) == pytest.approx(float(entry), abs=0.02)
    assert error(weight, values) < 0.06 * error(weight, weight.mean())


def test_the_codebook_is_in_ascending_order(view: Make) -> None:
    found = kmeans(view({"a": torch.randn(200, generator=torch.Generator().manual_seed(0))}, initialisation="random"))
    (codebook,) = found["a"].stored_tensors
    assert codebook.tolist() == sorted(codebook.tolist())


def test_initialisations_start_where_the_paper_says(view: Make) -> None:
    """Without iterations to speak of: linear over the range, density in equal shares."""
    weight = torch.from_numpy(np.random.default_rng(0).exponential(size=4000)).float()
    first = {
        kind: kmeans(view({"a": weight}, initialisation=kind, max_iterations=1))["a"] for kind in ("linear", "density")
    }
    shares = {kind: torch.bincount(one.ids.long(), minlength=4).tolist() for kind, one in first.items()}
    assert shares["linear"][0] > 3000
    assert min(shares["density"]) > 400


def test_a_random_start_follows_the_seed(view: Make) -> None:
    weight = torch.randn(500, generator=torch.Generator().manual_seed(1))
    settings = {"bits": 4, "initialisation": "random", "max_iterations": 2}
    one, same, other = (kmeans(view({"a": weight}, seed=seed, **settings))["a"].stored_tensors[0] for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_fewer_distinct_values_than_clusters_are_kept_exactly(view: Make) -> None:
    weight = torch.tensor([[0.5, -1.0, 0.5], [2.0, -1.0, 0.5]])
    found = kmeans(view({"a": weight}, bits=3))["a"]
    assert found.to_spec() == {"kind": "shared", "size": 3}
    assert torch.equal(found.materialise(), weight)


def test_a_pattern_sets_the_bits_of_the_layers_it_matches(view: Make) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {"conv.weight": torch.randn(100, generator=generator), "fc.weight": torch.randn(100, generator=generator)}
    found = kmeans(view(weights, bits=2, per_site={"conv*": 4}))
    assert {name: one.to_spec()["size"] for name, one in found.items()} == {"conv.weight": 16, "fc.weight": 4}


@pytest.mark.parametrize("kind", KINDS)
def test_pruned_weights_stay_zero_and_only_the_kept_ones_are_shared(kind: str, view: Make) -> None:
    weight = torch.randn(10, 20, generator=torch.Generator().manual_seed(0))
    pruned = magnitude(view({"a": weight}, sparsity=0.8))
    values = pruned["a"].materialise()
    found = kmeans(view({"a": values}, pruned, bits=3, initialisation=kind))["a"]
    assert isinstance(found, Sparse)
    assert found.to_spec() == {"kind": "sparse", "nonzeros": 40, "inner": {"kind": "shared", "size": 8}}
    assert torch.equal(found.materialise() != 0, values != 0)
    assert len(found.materialise().unique()) <= 9
    assert error(values, found.materialise()) < 0.02 * error(values, torch.zeros(()))


def test_shared_weights_can_neither_be_shared_nor_pruned_again(view: Make) -> None:
    weight = torch.randn(50, generator=torch.Generator().manual_seed(0))
    shared = kmeans(view({"a": weight}))
    with pytest.raises(UserError, match="already shared by a codebook"):
        kmeans(view({"a": shared["a"].materialise()}, shared))
