"""Values shared through a codebook (Han et al. 2016, "Deep Compression", section 3)."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.errors import UserError
from convarium.representations.base import Representation, check_spec_keys, check_whole_number

MAX_CODEBOOK_SIZE = 65_536  # ids of at most 16 bits


class Shared(Representation):
    """Each value is an entry of a trainable codebook, chosen by its id: ceil(log2 size) bits for each value."""

    kind = "shared"
    ids: Tensor

    def __init__(self, shape: Sequence[int], size: int) -> None:
        super().__init__(shape)
        self.size = size
        self._stored_tensors = (torch.zeros(size),)
        self.register_buffer("ids", torch.zeros(self.numel, dtype=torch.int32))

    @classmethod
    def from_codebook(cls, codebook: Tensor, ids: Tensor) -> Self:
        """Return the tensor `codebook[ids]` as a Shared, in the shape of `ids`; the codebook becomes float32.

        Raises:
            UserError: an id that the codebook lacks, or a codebook of no or more than 65,536 entries.
        """
        if codebook.dim() != 1 or not 1 <= codebook.numel() <= MAX_CODEBOOK_SIZE:
            raise UserError(f"a codebook is a vector of 1 to {MAX_CODEBOOK_SIZE} values")
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < codebook.numel():
            raise UserError(f"ids must lie in 0..{codebook.numel() - 1}")
        shared = cls(ids.shape, codebook.numel())
        shared.ids = ids.detach().flatten().to(torch.int32, copy=True)
        shared._stored_tensors = (codebook.detach().to(torch.float32, copy=True),)
        return shared

    def project(self, dense: Tensor) -> Self:
        """Keep the ids; each entry becomes the mean of its members (least squares). Entries without members stay."""
        (codebook,) = self.stored_tensors
        members = dense.detach().flatten().double()
        ids = self.ids.to(dense.device)
        counts = torch.bincount(ids, minlength=self.size)
        means = torch.bincount(ids, members, self.size) / counts.clamp(min=1)
        self._stored_tensors = (torch.where(counts > 0, means.to(codebook.dtype), codebook),)
        return self

    def forward(self, *tensors: Tensor) -> Tensor:
        """Look up every id; the gradient of an entry is the sum over its members."""
        (codebook,) = tensors
        values: Tensor = _CodebookLookup.apply(codebook, self.ids)
        return values.view(self.shape)

    def extract_innermost(self, dense: Tensor) -> Tensor:
        """Raise UserError: shared values are no longer dense."""
        raise UserError("its weights are already shared by a codebook: no dense values are left to work on")

    def replace_innermost(self, inner: Representation) -> Representation:
        """Raise UserError: shared values are no longer dense."""
        raise UserError("its weights are already shared by a codebook: no dense values are left to replace")

    def rebuild(self, dense: Tensor, tensors: Sequence[Tensor]) -> Representation:
        """Return a Shared with the entries that still occur, in ascending order."""
        codebook, ids = torch.unique(dense.detach().flatten(), return_inverse=True)
        return Shared.from_codebook(codebook, ids).reshape_to(dense.shape)

    def to_spec(self) -> dict[str, Any]:
        """Return the kind and the number of codebook entries."""
        return {"kind": self.kind, "size": self.size}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted representation."""
        check_spec_keys(spec, "size")
        return cls(shape, check_whole_number(spec, "size", 1, MAX_CODEBOOK_SIZE))

    def encode(self, tensors: Sequence[Tensor], stream: SiteWriter) -> None:
        """Write the codebook, then the ids."""
        stream.write_values("codebooks", tensors[0])
        stream.write_symbols("weights", self.ids, self.size)

    def decode(self, stream: SiteReader) -> Self:
        """Read the codebook and the ids."""
        self._stored_tensors = (stream.read_values("codebooks", self.size, torch.float32),)
        self.ids = stream.read_symbols("weights", self.numel, self.size)
        return self


class _CodebookLookup(torch.autograd.Function):
    """Codebook entries by id, with a gradient that sums in a fixed order, so that training is repeatable."""

    @staticmethod
    def forward(ctx: FunctionCtx, codebook: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.size = codebook.numel()  # type: ignore[attr-defined]
        return codebook.index_select(0, ids)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        (gradient,) = gradients
        # On a GPU `bincount` has no fixed order; `index_put_` has one under torch's deterministic algorithms.
        if gradient.is_cuda:
            sums = gradient.new_zeros(ctx.size).index_put_((ids.long(),), gradient, accumulate=True)
        else:
            sums = torch.bincount(ids, gradient, ctx.size).to(gradient.dtype)
        return sums, None
