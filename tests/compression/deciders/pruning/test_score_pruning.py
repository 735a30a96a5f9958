"""Which weights pruning keeps: magnitude, random, per layer, over all layers, over rounds."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.pruning.magnitude import magnitude
from convarium.compression.deciders.pruning.random import random
from convarium.representations.base import Representation
from convarium.representations.sparse import Sparse

Make = Callable[..., NetworkView]
Weights = dict[str, Tensor]


def dense(found: dict[str, Representation]) -> Weights:
    return {name: one.materialise() for name, one in found.items()}


def kept(found: dict[str, Representation]) -> dict[str, list[int]]:
    return {name: one.positions.tolist() for name, one in found.items() if isinstance(one, Sparse)}


def largest(weight: Tensor, count: int) -> list[int]:
    return sorted(sorted(range(weight.numel()), key=lambda place: -abs(float(weight.flatten()[place])))[:count])


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 60), sparsity=st.floats(0, 1), seed=st.integers(0, 99))
def test_a_layer_keeps_exactly_its_largest_weights(view: Make, size: int, sparsity: float, seed: int) -> None:
    weight = torch.randperm(size, generator=torch.Generator().manual_seed(seed)).float() + 1
    weight[::2] *= -1
    count = max(1, round(size * (1 - sparsity)))
    found = magnitude(view({"a": weight}, sparsity=sparsity))
    assert kept(found) == {"a": largest(weight, count)}
    assert torch.equal(dense(found)["a"][found["a"].positions], weight[found["a"].positions])


def test_each_layer_keeps_its_own_share(view: Make, weights: Weights) -> None:
    found = magnitude(view(weights, sparsity=0.75))
    assert kept(found) == {"a.weight": largest(weights["a.weight"], 20), "b.weight": largest(weights["b.weight"], 5)}


def test_a_pattern_sets_the_share_of_the_layers_it_matches_first(view: Make, weights: Weights) -> None:
    found = magnitude(view(weights, sparsity=0.75, per_site={"b*": 0.5, "*": 0.9}))
    assert {name: len(places) for name, places in kept(found).items()} == {"a.weight": 8, "b.weight": 10}


def test_one_threshold_over_all_layers(view: Make, weights: Weights) -> None:
    found = dense(magnitude(view(weights, scope="global", sparsity=0.8)))
    everything = torch.cat([weight.flatten() for weight in weights.values()]).abs()
    threshold = everything.sort(descending=True).values[19]
    for name, weight in weights.items():
        assert torch.equal(found[name], torch.where(weight.abs() >= threshold, weight, 0.0))
    assert sum(int(weight.count_nonzero()) for weight in found.values()) == 20


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("decider", [magnitude, random])
def test_no_layer_loses_its_last_weight(
    decider: Callable[..., dict[str, Representation]], scope: str, view: Make
) -> None:
    weights = {"small": torch.full((3, 3), 1e-6), "zero": torch.zeros(4), "large": torch.ones(50)}
    found = decider(view(weights, scope=scope, sparsity=1.0))
    assert {name: len(places) for name, places in kept(found).items()} == {"small": 1, "zero": 1, "large": 1}


def test_rounds_follow_a_geometric_schedule(view: Make) -> None:
    weight = torch.arange(1.0, 1001.0)
    counts = []
    for done in (1, 2, 3):
        found = magnitude(view({"a": weight}, progress=done / 3, sparsity=0.9))
        counts.append(len(kept(found)["a"]))
        weight = dense(found)["a"]
    assert counts == [round(1000 * 0.1 ** (done / 3)) for done in (1, 2, 3)] == [464, 215, 100]


@settings(max_examples=15, deadline=None)
@given(sparsities=st.lists(st.floats(0, 1), min_size=2, max_size=4), scope=st.sampled_from(["layer", "global"]))
@pytest.mark.parametrize("decider", [magnitude, random])
def test_what_is_pruned_stays_pruned(
    decider: Callable[..., dict[str, Representation]], view: Make, sparsities: list[float], scope: str
) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(size, generator=generator) for name, size in (("a", 30), ("b", 50))}
    represented: dict[str, Representation] = {}
    for seed, sparsity in enumerate(sparsities):
        before = {name: set(weight.nonzero().flatten().tolist()) for name, weight in weights.items()}
        represented = decider(view(weights, represented, seed=seed, sparsity=sparsity, scope=scope))
        assert all(set(places) <= before[name] for name, places in kept(represented).items())
        weights = dense(represented)


def test_a_milder_method_after_a_harder_one_keeps_all_that_is_left(view: Make, weights: Weights) -> None:
    once = random(view(weights, sparsity=0.9))
    again = magnitude(view(dense(once), once, sparsity=0.5))
    assert kept(again) == kept(once)


def test_equal_weights_are_kept_from_the_front(view: Make) -> None:
    assert kept(magnitude(view({"a": torch.ones(2, 4)}, sparsity=0.5))) == {"a": [0, 1, 2, 3]}


def test_random_pruning_follows_its_seed(view: Make, weights: Weights) -> None:
    found = [kept(random(view(weights, seed=seed))) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert {name: len(places) for name, places in found[0].items()} == {"a.weight": 20, "b.weight": 5}


def test_random_pruning_does_not_look_at_the_weights(view: Make, weights: Weights) -> None:
    shrunk = {name: weight.abs().sort().values + 1 for name, weight in weights.items()}
    assert kept(random(view(weights))) == kept(random(view(shrunk)))
