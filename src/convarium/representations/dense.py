"""Every value as it is."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.representations.base import Representation, check_spec_keys


class Dense(Representation):
    """A vector of all values, of any type that a file can hold."""

    kind = "dense"

    def __init__(self, shape: Sequence[int], dtype: torch.dtype = torch.float32, values: Tensor | None = None) -> None:
        super().__init__(shape)
        self.dtype = dtype
        self._stored_tensors = (torch.zeros(self.numel, dtype=dtype) if values is None else values,)

    @classmethod
    def from_tensor(cls, dense: Tensor) -> Self:
        """Hold the values of `dense` without a copy."""
        return cls(dense.shape, dense.dtype, dense.detach().flatten())

    def project(self, dense: Tensor) -> Self:
        """Hold a copy of the values."""
        self._stored_tensors = (dense.detach().flatten().clone(),)
        return self

    def forward(self, *tensors: Tensor) -> Tensor:
        """The vector in its shape."""
        return tensors[0].view(self.shape)

    def extract_innermost(self, dense: Tensor) -> Tensor:
        """All values."""
        return dense.flatten()

    def replace_innermost(self, inner: Representation) -> Representation:
        """`inner` in this one's shape."""
        return inner.reshape_to(self.shape)

    def rebuild(self, dense: Tensor, tensors: Sequence[Tensor]) -> Representation:
        """All values."""
        return Dense(dense.shape, dense.dtype).project(dense)

    def to_spec(self) -> dict[str, Any]:
        """Only the kind."""
        return {"kind": self.kind}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted one."""
        check_spec_keys(spec)
        return cls(shape)

    def encode(self, tensors: Sequence[Tensor], stream: SiteWriter) -> None:
        """Little-endian values, four bytes a float32."""
        stream.write_values("weights", tensors[0])

    def decode(self, stream: SiteReader) -> Self:
        """Read as many values as the shape has."""
        self._stored_tensors = (stream.read_values("weights", self.numel, self.dtype),)
        return self
