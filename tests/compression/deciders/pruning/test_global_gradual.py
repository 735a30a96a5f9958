"""Layer-adaptive magnitude pruning: scores of the paper, and a cubic schedule over all sites together."""

from collections.abc import Callable

import pytest
import torch

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.pruning.global_gradual import compute_lamp_scores, global_gradual
from convarium.representations.sparse import Sparse


def kept(found: dict[str, Sparse]) -> int:
    return sum(len(sparse.positions) for sparse in found.values())


def test_a_score_is_a_weight_s_share_of_all_that_are_as_large() -> None:
    scores = compute_lamp_scores(torch.tensor([[3.0, -1.0], [2.0, 0.0]]))
    assert scores.flatten().tolist() == pytest.approx([1.0, 1 / 14, 4 / 13, 0.0])


def test_the_largest_weight_of_every_site_goes_last(view: Callable[..., NetworkView]) -> None:
    weights = {"large": torch.linspace(10, 20, 50), "small": torch.linspace(0.001, 0.002, 50)}
    found = global_gradual(view(weights, sparsity=0.98))
    assert [sparse.positions.tolist() for sparse in found.values()] == [[49], [49]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("progress", "share"), [(0.5, 1 - 0.9 * 0.875), (1.0, 0.1)])
def test_rounds_remove_ever_less(view: Callable[..., NetworkView], progress: float, share: float) -> None:
    weights = {"a": torch.randn(40, 20), "b": torch.randn(200)}
    found = global_gradual(view(weights, progress=progress, sparsity=0.9))
    assert kept(found) == round(1000 * share)  # type: ignore[arg-type]


def test_what_is_pruned_stays_pruned(view: Callable[..., NetworkView]) -> None:
    dense = torch.randn(100)
    first = global_gradual(view({"a": dense}, sparsity=0.5))["a"]
    second = global_gradual(view({"a": first.materialise()}, sparsity=0.2))["a"]
    assert second.positions.tolist() == first.positions.tolist()  # type: ignore[attr-defined]
