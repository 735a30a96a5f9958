"""A few values at stored positions, zeros elsewhere (Han et al. 2015, 2016)."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from convarium.compression import representations
from convarium.compression.file.streams import Reader, Writer
from convarium.compression.representations.base import Representation, check_keys, whole
from convarium.compression.representations.dense import Dense
from convarium.errors import UserError


class Sparse(Representation):
    """`inner` holds the values of the kept positions, a vector in ascending order of position."""

    kind = "sparse"
    positions: Tensor
    inner: Representation

    def __init__(self, shape: Sequence[int], inner: Representation) -> None:
        super().__init__(shape)
        self.inner = inner
        self.register_buffer("positions", torch.zeros(inner.numel, dtype=torch.int64))

    @classmethod
    def at(cls, positions: Tensor, dense: Tensor) -> Self:
        """Keep the values of `dense` at `positions` (flat, distinct, in any order).

        Raises:
            UserError: a position twice, or outside of `dense`.
        """
        return cls.of(positions, dense.shape, Dense((positions.numel(),), dense.dtype)).fit(dense)

    @classmethod
    def of(cls, positions: Tensor, shape: Sequence[int], inner: Representation) -> Self:
        """Place the fitted `inner` at `positions`: its n-th value at the n-th lowest of them.

        Raises:
            UserError: a position twice, or outside of `shape`, or not as many as `inner` has values.
        """
        ordered = positions.detach().flatten().to(torch.int64).sort().values
        size = prod(shape)
        if ordered.numel() and (ordered[0] < 0 or ordered[-1] >= size or bool((ordered[1:] == ordered[:-1]).any())):
            raise UserError(f"positions must be distinct and in 0..{size - 1}")
        sparse = cls(shape, inner.reshaped((ordered.numel(),)))
        sparse.positions = ordered
        return sparse

    @property
    def stored(self) -> tuple[Tensor, ...]:
        """What `inner` stores."""
        return self.inner.stored

    def right_inverse(self, dense: Tensor) -> tuple[Tensor, ...]:
        """Hand over what `inner` stores."""
        return self.inner.right_inverse(dense)

    def fit(self, dense: Tensor) -> Self:
        """Fit `inner` to the values at the positions."""
        self.inner.fit(self._gather(dense.detach()))
        return self

    def forward(self, *tensors: Tensor) -> Tensor:
        """Scatter the values of `inner` into zeros."""
        dense: Tensor = _Scatter.apply(self.inner(*tensors), self.positions, self.numel)
        return dense.view(self.shape)

    def innermost(self, dense: Tensor) -> Tensor:
        """The values of `inner`'s innermost."""
        return self.inner.innermost(self._gather(dense))

    def refit(self, inner: Representation) -> Representation:
        """The same positions around the refitted `inner`."""
        return type(self).of(self.positions, self.shape, self.inner.refit(inner))

    def _gather(self, dense: Tensor) -> Tensor:
        return dense.flatten().index_select(0, self.positions.to(dense.device))

    def like(self, dense: Tensor, tensors: Sequence[Tensor]) -> Representation:
        """The values that are not zero; the first one where there is no other."""
        flat = dense.detach().flatten()
        positions = flat.nonzero().flatten()
        if not len(positions):
            positions = positions.new_zeros(1)
        return type(self).of(positions, dense.shape, self.inner.like(flat[positions.to(flat.device)], tensors))

    def spec(self) -> dict[str, Any]:
        """The number of kept values, and the structure of `inner`."""
        return {"kind": self.kind, "nonzeros": self.inner.numel, "inner": self.inner.spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted one."""
        check_keys(spec, "nonzeros", "inner")
        nonzeros = whole(spec, "nonzeros", 0, prod(shape))
        return cls(shape, representations.from_spec(spec["inner"], (nonzeros,)))

    def encode(self, tensors: Sequence[Tensor], stream: Writer) -> None:
        """Positions, then `inner`."""
        stream.positions("indices", self.positions, self.shape)
        self.inner.encode(tensors, stream)

    def decode(self, stream: Reader) -> Self:
        """Read positions, then `inner`."""
        self.positions = stream.positions("indices", self.inner.numel, self.shape)
        self.inner.decode(stream)
        return self


class _Scatter(torch.autograd.Function):
    """Values at positions of a zero vector; the gradient is gathered. A third of the time of `index_put`."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor, positions: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(positions)
        return values.new_zeros(size).scatter_(0, positions, values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (positions,) = ctx.saved_tensors
        return gradients[0].index_select(0, positions), None, None
