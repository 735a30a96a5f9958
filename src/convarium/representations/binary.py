"""Binary weights with a scale for each filter (Rastegari et al. 2016, "XNOR-Net", section 3.1)."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.errors import UserError
from convarium.representations.base import Representation, check_spec_keys
from convarium.representations.filter_layout import DEFAULT_LAYOUT, LAYOUT_KEYS, FilterLayout


class Binary(Representation):
    """Each value is the sign of a latent one times the mean size of its filter's; a vector is one filter.

    A bit a value and a scale a filter are stored. After decoding the latent values are the values themselves: their
    mean size is the scale again, to the last bit, since it is summed in double precision.
    """

    kind = "binary"

    def __init__(self, shape: Sequence[int], filters: FilterLayout = DEFAULT_LAYOUT) -> None:
        super().__init__(shape)
        self.filters = filters
        self._stored_tensors = (torch.zeros(self.numel),)

    def project(self, dense: Tensor) -> Self:
        """Take `dense` as latent values."""
        self._stored_tensors = (dense.detach().flatten().to(torch.float32, copy=True),)
        return self

    def forward(self, *tensors: Tensor) -> Tensor:
        """Scales times signs, exactly."""
        values: Tensor = _ScaledSigns.apply(self._to_rows(tensors[0]))
        return self.filters.to_weight(values, self.shape)

    def extract_innermost(self, dense: Tensor) -> Tensor:
        """Refused: binary values are no longer dense."""
        raise UserError("its weights are already quantised: no dense values are left to work on")

    def replace_innermost(self, inner: Representation) -> Representation:
        """Refused, as `innermost`."""
        raise UserError("its weights are already quantised: no dense values are left to replace")

    def rebuild(self, dense: Tensor, tensors: Sequence[Tensor]) -> Representation:
        """Binary again."""
        return Binary(dense.shape, self.filters).project(dense)

    def to_spec(self) -> dict[str, Any]:
        """The kind, and where filters lie unless it is as usual."""
        return {"kind": self.kind, **self.filters.to_spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted one."""
        check_spec_keys(spec, optional=LAYOUT_KEYS)
        return cls(shape, FilterLayout.from_spec(spec, shape))

    def encode(self, tensors: Sequence[Tensor], stream: SiteWriter) -> None:
        """Scales, then a bit a value: 1 for the negative ones."""
        stream.write_values("codebooks", _compute_scales(self._to_rows(tensors[0])))
        stream.write_symbols("weights", tensors[0].signbit().to(torch.int32), 2)

    def decode(self, stream: SiteReader) -> Self:
        """Read scales and bits."""
        scales = stream.read_values("codebooks", self.filters.count_filters(self.shape), torch.float32)
        if not bool((scales.isfinite() & ~scales.signbit()).all()):
            raise UserError("a scale must not be negative")
        signs = 1.0 - 2.0 * stream.read_symbols("weights", self.numel, 2)
        self._stored_tensors = (self.filters.to_weight(scales[:, None] * self._to_rows(signs), self.shape).flatten(),)
        return self

    def _to_rows(self, values: Tensor) -> Tensor:
        return self.filters.to_rows(values.view(self.shape))


class _ScaledSigns(torch.autograd.Function):
    """Signs times scales, with the gradient of the paper's section 3.2 for the latent values.

    Of n latent values w in a filter with the scale a, a gradient g becomes g * (1 / n + a * [|w| <= 1]): the first part
    is the scale's own derivative, the second the sign's, which is taken for 1 where |w| <= 1.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, latents: Tensor) -> Tensor:
        ctx.save_for_backward(latents)
        return _compute_scales(latents)[:, None].copysign(latents)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (latents,) = ctx.saved_tensors
        (gradient,) = gradients
        through_sign = _compute_scales(latents)[:, None] * (latents.abs() <= 1)
        found: Tensor = gradient * (1 / max(1, latents.shape[1]) + through_sign)
        return found


def _compute_scales(latents: Tensor) -> Tensor:
    """Mean sizes of rows; 0 where a row is empty."""
    return (latents.abs().sum(1, dtype=torch.float64) / max(1, latents.shape[1])).to(latents.dtype)
