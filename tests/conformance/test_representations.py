"""Our representations pass the suite for outside ones."""

from collections.abc import Sequence

import torch
from torch import Tensor

from convarium.conformance import RepresentationSuite
from convarium.conformance.tensor_comparison import TENSOR_SHAPES
from convarium.representations.binary import Binary
from convarium.representations.dense import Dense
from convarium.representations.levels import Levels
from convarium.representations.shared import Shared
from convarium.representations.sparse import Sparse


def count_third(size: int) -> int:
    return (size + 2) // 3


def build_sparse(dense: Tensor) -> Sparse:
    positions = torch.randperm(dense.numel())[: count_third(dense.numel())]
    return Sparse.from_dense(positions, dense)


def build_shared(shape: Sequence[int], size: int = 5) -> Shared:
    return Shared.from_codebook(torch.randn(size), torch.randint(0, size, tuple(shape)))


def build_levels(dense: Tensor, largest: int = 3, zeros: bool = True, per_filter: bool = False) -> Levels:
    scale_count = dense.shape[0] if per_filter and dense.dim() > 1 and dense.numel() else 1
    return Levels.quantise(dense, torch.rand(scale_count) + 0.01, largest, zeros)


def build_binary(dense: Tensor) -> Binary:
    return Binary(dense.shape).project(dense)


class TestDense(RepresentationSuite):
    forms = {"dense": lambda dense: Dense(dense.shape).project(dense)}
    shapes = {**TENSOR_SHAPES, "long": (70_001,)}


class TestSparse(RepresentationSuite):
    forms = {
        "a third": build_sparse,
        "nothing kept": lambda dense: Sparse.from_dense(torch.zeros(0, dtype=torch.int64), dense),
        "all kept": lambda dense: Sparse.from_dense(torch.arange(dense.numel()), dense),
    }


class TestShared(RepresentationSuite):
    leaves_nothing_dense = True
    forms = {
        "shared": lambda dense: build_shared(dense.shape),
        "one entry": lambda dense: build_shared(dense.shape, 1),
        "more entries than values": lambda dense: build_shared(dense.shape, 300),
        "sparse": lambda dense: build_sparse(dense).replace_innermost(build_shared([count_third(dense.numel())])),
    }


class TestLevels(RepresentationSuite):
    is_straight_through = leaves_nothing_dense = True
    forms = {
        "levels": build_levels,
        "a scale for each filter": lambda dense: build_levels(dense, per_filter=True),
        "none of them 0": lambda dense: build_levels(dense, zeros=False),
        "many": lambda dense: build_levels(dense, largest=32_767),
        "sparse": lambda dense: build_sparse(dense).replace_innermost(
            build_levels(torch.randn(count_third(dense.numel())), 1, zeros=False)
        ),
    }


class TestBinary(RepresentationSuite):
    is_straight_through = leaves_nothing_dense = True
    forms = {
        "binary": build_binary,
        "sparse": lambda dense: build_sparse(dense).replace_innermost(
            build_binary(torch.randn(count_third(dense.numel())))
        ),
    }
