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
    """Each value is the sign of a latent value times its filter's scale: the mean magnitude of the latent values.

    A file holds one bit for each value and one scale for each filter. After decoding the latent values are the values
    themselves: their mean magnitude is the scale again, to the last bit, since it is summed in double precision.
    A vector counts as one filter.
    """

    kind = "binary"

    def __init__(self, shape: Sequence[int], filters: FilterLayout = DEFAULT_LAYOUT) -> None:
        super().__init__(shape)
        self.filters = filters
        self._stored_tensors = (torch.zeros(self.numel),)

    def project(self, dense: Tensor) -> Self:
        """Take `dense` as the latent values."""
        self._stored_tensors = (dense.detach().flatten().to(torch.float32, copy=True),)
        return self

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return scales times signs."""
        (latents,) = tensors
        rows: Tensor = _ScaledSigns.apply(self._to_rows(latents))
        return self.filters.to_weight(rows, self.shape)

    def extract_innermost(self, dense: Tensor) -> Tensor:
        """Raise UserError: binary values are no longer dense."""
        raise UserError("its weights are already quantised: no dense values are left to work on")

    def replace_innermost(self, inner: Representation) -> Representation:
        """Raise UserError: binary values are no longer dense."""
        raise UserError("its weights are already quantised: no dense values are left to replace")

    def rebuild(self, dense: Tensor, tensors: Sequence[Tensor]) -> Representation:
        """Return a Binary of the changed weight: its scales follow from its values."""
        return Binary(dense.shape, self.filters).project(dense)

    def to_spec(self) -> dict[str, Any]:
        """Return the kind, and the filter layout unless it is the default."""
        return {"kind": self.kind, **self.filters.to_spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted representation."""
        check_spec_keys(spec, optional=LAYOUT_KEYS)
        return cls(shape, FilterLayout.from_spec(spec, shape))

    def encode(self, tensors: Sequence[Tensor], stream: SiteWriter) -> None:
        """Write the scales, then one bit for each value: 1 where it is negative."""
        (latents,) = tensors
        stream.write_values("codebooks", _compute_scales(self._to_rows(latents)))
        stream.write_symbols("weights", latents.signbit().to(torch.int32), 2)

    def decode(self, stream: SiteReader) -> Self:
        """Read scales and signs."""
        scales = stream.read_values("codebooks", self.filters.count_filters(self.shape), torch.float32)
        is_valid = scales.isfinite() & ~scales.signbit()
        if not bool(is_valid.all()):
            raise UserError("a scale must not be negative")
        signs = 1.0 - 2.0 * stream.read_symbols("weights", self.numel, 2)
        rows = scales[:, None] * self._to_rows(signs)
        self._stored_tensors = (self.filters.to_weight(rows, self.shape).flatten(),)
        return self

    def _to_rows(self, values: Tensor) -> Tensor:
        return self.filters.to_rows(values.view(self.shape))


class _ScaledSigns(torch.autograd.Function):
    """Signs times scales, with the gradient of the paper's section 3.2 for the latent values.

    In a filter of n latent values w with the scale a, a gradient g becomes g * (1 / n + a * [|w| <= 1]). The first term
    comes from the derivative of the scale, the second from that of the sign, which is taken to be 1 where |w| <= 1.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, latents: Tensor) -> Tensor:
        ctx.save_for_backward(latents)
        return _compute_scales(latents)[:, None].copysign(latents)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (latents,) = ctx.saved_tensors
        (gradient,) = gradients
        through_scale = 1 / max(1, latents.shape[1])
        through_sign = _compute_scales(latents)[:, None] * (latents.abs() <= 1)
        latent_gradient: Tensor = gradient * (through_scale + through_sign)
        return latent_gradient


def _compute_scales(latents: Tensor) -> Tensor:
    """Return the mean magnitude of each row; 0 where a row is empty."""
    # In double precision: equal values then have exactly their own magnitude as mean, whatever their number.
    means = latents.abs().sum(1, dtype=torch.float64) / max(1, latents.shape[1])
    return means.to(latents.dtype)
