"""The representation that stores every value as it is."""

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
        if values is None:
            values = torch.zeros(self.numel, dtype=dtype)
        self._stored_tensors = (values,)

    @classmethod
    def from_tensor(cls, dense: Tensor) -> Self:
        """Return a Dense that shares its memory with `dense`."""
        return cls(dense.shape, dense.dtype, dense.detach().flatten())

    def project(self, dense: Tensor) -> Self:
        """Hold a copy of the values."""
        self._stored_tensors = (dense.detach().flatten().clone(),)
        return self

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return the vector in the tensor's shape."""
        return tensors[0].view(self.shape)

    def extract_innermost(self, dense: Tensor) -> Tensor:
        """Return all values."""
        return dense.flatten()

    def replace_innermost(self, inner: Representation) -> Representation:
        """Return `inner` in this representation's shape."""
        return inner.reshape_to(self.shape)

    def rebuild(self, dense: Tensor, tensors: Sequence[Tensor]) -> Representation:
        """Return a Dense with a copy of all values."""
        return Dense(dense.shape, dense.dtype).project(dense)

    def to_spec(self) -> dict[str, Any]:
        """Return the kind alone: the type of the values follows from the architecture."""
        return {"kind": self.kind}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted representation."""
        check_spec_keys(spec)
        return cls(shape)

    def encode(self, tensors: Sequence[Tensor], stream: SiteWriter) -> None:
        """Write the values, little-endian."""
        stream.write_values("weights", tensors[0])

    def decode(self, stream: SiteReader) -> Self:
        """Read as many values as the shape has."""
        self._stored_tensors = (stream.read_values("weights", self.numel, self.dtype),)
        return self
