"""Our representations pass the suite for outside ones."""

from collections.abc import Sequence

import torch
from torch import Tensor

from convarium.compression.representations.binary import Binary
from convarium.compression.representations.dense import Dense
from convarium.compression.representations.levels import Levels
from convarium.compression.representations.shared import Shared
from convarium.compression.representations.sparse import Sparse
from convarium.conformance import RepresentationSuite
from convarium.conformance.values import SHAPES


def third(size: int) -> int:
    return (size + 2) // 3


def sparse(dense: Tensor) -> Sparse:
    return Sparse.at(torch.randperm(dense.numel())[: third(dense.numel())], dense)


def shared(shape: Sequence[int], size: int = 5) -> Shared:
    return Shared.of(torch.randn(size), torch.randint(0, size, tuple(shape)))


def levels(dense: Tensor, largest: int = 3, zeros: bool = True, per_output: bool = False) -> Levels:
    outputs = dense.shape[0] if per_output and dense.dim() > 1 and dense.numel() else 1
    return Levels.of(dense, torch.rand(outputs) + 0.01, largest, zeros)


def binary(dense: Tensor) -> Binary:
    return Binary(dense.shape).fit(dense)


class TestDense(RepresentationSuite):
    forms = {"dense": lambda dense: Dense(dense.shape).fit(dense)}
    shapes = {**SHAPES, "long": (70_001,)}


class TestSparse(RepresentationSuite):
    forms = {
        "a third": sparse,
        "nothing kept": lambda dense: Sparse.at(torch.zeros(0, dtype=torch.int64), dense),
        "all kept": lambda dense: Sparse.at(torch.arange(dense.numel()), dense),
    }


class TestShared(RepresentationSuite):
    takes_all = True
    forms = {
        "shared": lambda dense: shared(dense.shape),
        "one entry": lambda dense: shared(dense.shape, 1),
        "more entries than values": lambda dense: shared(dense.shape, 300),
        "sparse": lambda dense: sparse(dense).refit(shared([third(dense.numel())])),
    }


class TestLevels(RepresentationSuite):
    rounds = takes_all = True
    forms = {
        "levels": levels,
        "a scale for each output": lambda dense: levels(dense, per_output=True),
        "none of them 0": lambda dense: levels(dense, zeros=False),
        "many": lambda dense: levels(dense, largest=32_767),
        "sparse": lambda dense: sparse(dense).refit(levels(torch.randn(third(dense.numel())), 1, zeros=False)),
    }


class TestBinary(RepresentationSuite):
    rounds = takes_all = True
    forms = {
        "binary": binary,
        "sparse": lambda dense: sparse(dense).refit(binary(torch.randn(third(dense.numel())))),
    }
