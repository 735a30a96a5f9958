"""Every value as it is."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from convarium.compression.file.streams import Reader, Writer
from convarium.compression.representations.base import Representation, check_keys


class Dense(Representation):
    """A vector of all values, of any type that a file can hold."""

    kind = "dense"

    def __init__(self, shape: Sequence[int], dtype: torch.dtype = torch.float32, values: Tensor | None = None) -> None:
        super().__init__(shape)
        self.dtype = dtype
        self._stored = (torch.zeros(self.numel, dtype=dtype) if values is None else values,)

    @classmethod
    def around(cls, dense: Tensor) -> Self:
        """Hold the values of `dense` without a copy."""
        return cls(dense.shape, dense.dtype, dense.detach().flatten())

    def fit(self, dense: Tensor) -> Self:
        """Hold a copy of the values."""
        self._stored = (dense.detach().flatten().clone(),)
        return self

    def forward(self, *tensors: Tensor) -> Tensor:
        """The vector in its shape."""
        return tensors[0].view(self.shape)

    def innermost(self, dense: Tensor) -> Tensor:
        """All values."""
        return dense.flatten()

    def refit(self, inner: Representation) -> Representation:
        """`inner` in this one's shape."""
        return inner.reshaped(self.shape)

    def like(self, dense: Tensor, tensors: Sequence[Tensor]) -> Representation:
        """All values."""
        return Dense(dense.shape, dense.dtype).fit(dense)

    def spec(self) -> dict[str, Any]:
        """Only the kind."""
        return {"kind": self.kind}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted one."""
        check_keys(spec)
        return cls(shape)

    def encode(self, tensors: Sequence[Tensor], stream: Writer) -> None:
        """Little-endian values, four bytes a float32."""
        stream.values("weights", tensors[0])

    def decode(self, stream: Reader) -> Self:
        """Read as many values as the shape has."""
        self._stored = (stream.values("weights", self.numel, self.dtype),)
        return self
