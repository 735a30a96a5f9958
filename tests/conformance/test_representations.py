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


def third(size: int) -> int:
    return (size + 2) // 3


def sparse(dense: Tensor) -> Sparse:
    return Sparse.from_dense(torch.randperm(dense.numel())[: third(dense.numel())], dense)


def shared(shape: Sequence[int], size: int = 5) -> Shared:
    return Shared.from_codebook(torch.randn(size), torch.randint(0, size, tuple(shape)))


def levels(dense: Tensor, largest: int = 3, zeros: bool = True, per_output: bool = False) -> Levels:
    outputs = dense.shape[0] if per_output and dense.dim() > 1 and dense.numel() else 1
    return Levels.quantise(dense, torch.rand(outputs) + 0.01, largest, zeros)


def binary(dense: Tensor) -> Binary:
    return Binary(dense.shape).project(dense)


class TestDense(RepresentationSuite):
    forms = {"dense": lambda dense: Dense(dense.shape).project(dense)}
    shapes = {**TENSOR_SHAPES, "long": (70_001,)}


class TestSparse(RepresentationSuite):
    forms = {
        "a third": sparse,
        "nothing kept": lambda dense: Sparse.from_dense(torch.zeros(0, dtype=torch.int64), dense),
        "all kept": lambda dense: Sparse.from_dense(torch.arange(dense.numel()), dense),
    }


class TestShared(RepresentationSuite):
    leaves_nothing_dense = True
    forms = {
        "shared": lambda dense: shared(dense.shape),
        "one entry": lambda dense: shared(dense.shape, 1),
        "more entries than values": lambda dense: shared(dense.shape, 300),
        "sparse": lambda dense: sparse(dense).replace_innermost(shared([third(dense.numel())])),
    }


class TestLevels(RepresentationSuite):
    is_straight_through = leaves_nothing_dense = True
    forms = {
        "levels": levels,
        "a scale for each output": lambda dense: levels(dense, per_output=True),
        "none of them 0": lambda dense: levels(dense, zeros=False),
        "many": lambda dense: levels(dense, largest=32_767),
        "sparse": lambda dense: sparse(dense).replace_innermost(
            levels(torch.randn(third(dense.numel())), 1, zeros=False)
        ),
    }


class TestBinary(RepresentationSuite):
    is_straight_through = leaves_nothing_dense = True
    forms = {
        "binary": binary,
        "sparse": lambda dense: sparse(dense).replace_innermost(binary(torch.randn(third(dense.numel())))),
    }
