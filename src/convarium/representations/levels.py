"""Quantised weights: a whole number times a scale, of which the logarithm is trained.

The gradients are those of Esser et al. 2020, "Learned Step Size Quantization", where the scale itself is trained.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Self

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.errors import UserError
from convarium.representations.base import Representation, check_spec_keys, check_whole_number
from convarium.representations.filter_layout import DEFAULT_LAYOUT, LAYOUT_KEYS, FilterLayout

MAX_LEVEL = 32_767  # the largest whole number that a coder takes
SCALE_BOUNDS = (1e-30, 1e30)  # far enough from float32's limits that neither a scale nor scale * MAX_LEVEL leaves them
DRIFT_RATE = 0.1


class Levels(Representation):
    """Each value is scale * q, where q is a whole number in -largest..largest, and never 0 without `zeros`.

    Trained are latent values, each of which is rounded to its nearest level, and a drift for each scale: the scale is
    start * exp(DRIFT_RATE * drift). So an optimiser that moves all its parameters alike (Adam) moves the logarithm of
    a scale DRIFT_RATE times as fast as a weight, and weight decay pulls it back to its start. A scale that moves as
    fast as the weights leaves only the innermost levels in use.

    There is one scale for the whole tensor (`scale_count` is 1) or one for each filter (`scale_count` is their number).
    """

    kind = "levels"
    start: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        largest: int,
        scale_count: int = 1,
        zeros: bool = True,
        filters: FilterLayout = DEFAULT_LAYOUT,
    ) -> None:
        super().__init__(shape)
        self.largest = largest
        self.scale_count = scale_count
        self.zeros = zeros
        self.filters = filters
        self._check_scale_count(self.shape)
        self._stored_tensors = (torch.zeros(self.numel), torch.zeros(scale_count))
        self.register_buffer("start", torch.ones(scale_count))

    @classmethod
    def quantise(
        cls, dense: Tensor, scales: Tensor, largest: int, zeros: bool = True, filters: FilterLayout = DEFAULT_LAYOUT
    ) -> Self:
        """Round `dense` to the levels of `scales`, a vector with one scale, or with one for each filter.

        Raises:
            UserError: another number of scales, or a scale that is not positive.
        """
        if scales.numel() <= 1:  # one scale has no filters, and a file must not name their layout
            filters = DEFAULT_LAYOUT
        levels = cls(dense.shape, largest, scales.numel(), zeros, filters)
        levels.start = _check_scales(scales.detach().to(torch.float32, copy=True))
        return levels.project(dense)

    def project(self, dense: Tensor) -> Self:
        """Keep the scales of the start; each value takes its nearest level."""
        latents = dense.detach().flatten().to(torch.float32, copy=True)
        self._stored_tensors = (latents, torch.zeros_like(self.start))
        return self

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return scales times whole numbers."""
        latents, drift = tensors
        scales = self._compute_scales(drift)
        rows: Tensor = _LevelRounding.apply(self._to_rows(latents), drift, scales, self.largest, self.zeros)
        return self._to_weight(rows)

    def reshape_to(self, shape: Sequence[int]) -> Self:
        """Change the shape to one with as many values (and, where each filter has a scale, as many filters)."""
        self._check_scale_count(tuple(shape))
        return super().reshape_to(shape)

    def extract_innermost(self, dense: Tensor) -> Tensor:
        """Raise UserError: quantised values are no longer dense."""
        _raise_already_quantised()

    def replace_innermost(self, inner: Representation) -> Representation:
        """Raise UserError: quantised values are no longer dense."""
        _raise_already_quantised()

    def rebuild(self, dense: Tensor, tensors: Sequence[Tensor]) -> Representation:
        """Return the same grid for `dense`; with a scale for each filter, each takes the former one that fits best."""
        _, drift = tensors
        scales = self._compute_scales(drift).to(dense.device)
        zeros = self.zeros or bool((dense == 0).any())
        if self.scale_count > 1:
            rows = self.filters.to_rows(dense.detach())
            scales = torch.stack([_select_best_scale(row, scales, self.largest) for row in rows])
        return Levels.quantise(dense, scales, self.largest, zeros, self.filters)

    def to_spec(self) -> dict[str, Any]:
        """Return the kind, the grid, and the filter layout unless it is the default."""
        grid = {"largest": self.largest, "channels": self.scale_count, "zeros": int(self.zeros)}
        return {"kind": self.kind, **grid, **self.filters.to_spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted representation."""
        check_spec_keys(spec, "largest", "channels", "zeros", optional=LAYOUT_KEYS)
        largest = check_whole_number(spec, "largest", 1, MAX_LEVEL)
        scale_count = check_whole_number(spec, "channels", 1, 1 << 31)
        zeros = bool(check_whole_number(spec, "zeros", 0, 1))
        return cls(shape, largest, scale_count, zeros, FilterLayout.from_spec(spec, shape))

    def encode(self, tensors: Sequence[Tensor], stream: SiteWriter) -> None:
        """Write the scales, then the whole numbers in the order of the tensor."""
        latents, drift = tensors
        scales = self._compute_scales(drift)
        whole_numbers = _round_to_levels(self._to_rows(latents) / scales[:, None], self.largest, self.zeros)
        stream.write_values("codebooks", scales)
        stream.write_integers("weights", self._to_weight(whole_numbers).to(torch.int32), self.largest, self.zeros)

    def decode(self, stream: SiteReader) -> Self:
        """Read the scales and the whole numbers; the latent values are the levels themselves."""
        self.start = _check_scales(stream.read_values("codebooks", self.scale_count, torch.float32))
        whole_numbers = stream.read_integers("weights", self.shape, self.largest, self.zeros)
        latents = self._to_weight(self.start[:, None] * self._to_rows(whole_numbers))
        self._stored_tensors = (latents.flatten(), torch.zeros_like(self.start))
        return self

    def _compute_scales(self, drift: Tensor) -> Tensor:
        return (self.start * (DRIFT_RATE * drift.detach()).exp()).clamp(*SCALE_BOUNDS)

    def _to_rows(self, values: Tensor) -> Tensor:
        """Return a matrix with a row for each scale."""
        if self.scale_count == 1:
            return values.view(1, -1)
        return self.filters.to_rows(values.view(self.shape))

    def _to_weight(self, rows: Tensor) -> Tensor:
        return self.filters.to_weight(rows, self.shape)

    def _check_scale_count(self, shape: tuple[int, ...]) -> None:
        if self.scale_count == 1 and self.filters != DEFAULT_LAYOUT:
            raise UserError("one scale is the whole tensor's, whatever its axis")
        if self.scale_count != 1 and self.scale_count != self.filters.count_filters(shape):
            expected = "one, or one for each filter"
            raise UserError(f"{self.scale_count} scales do not fit a tensor of shape {shape}: {expected}")


class _LevelRounding(torch.autograd.Function):
    """Rounding to levels, with the gradients of Esser et al., equations 2 and 3 with the factor of section 2.2.

    The gradient of the drift is that of the scale divided by the scale. An autograd function, because the usual
    w + (q - w).detach() rounds: its values are not exactly scale * q, and a file could not restore them.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, latents: Tensor, drift: Tensor, scales: Tensor, largest: int, zeros: bool) -> Tensor:
        whole_numbers = _round_to_levels(latents / scales[:, None], largest, zeros)
        ctx.save_for_backward(latents, scales, whole_numbers)
        ctx.largest = largest  # type: ignore[attr-defined]
        return scales[:, None] * whole_numbers

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (gradient,) = gradients
        latents, scales, whole_numbers = ctx.saved_tensors
        ratios = latents / scales[:, None]
        is_inside = ratios.abs() <= ctx.largest
        slopes = torch.where(is_inside, whole_numbers - ratios, whole_numbers)
        scale_gradient = (gradient * slopes).sum(1)
        damping = (max(1, latents.shape[1]) * ctx.largest) ** 0.5
        return gradient * is_inside, scale_gradient / damping / scales, None, None, None


def _round_to_levels(ratios: Tensor, largest: int, zeros: bool) -> Tensor:
    """Return the whole numbers of -largest..largest nearest to `ratios`, without `zeros` never 0."""
    # Adding 0 turns -0 into 0: a file holds no -0, and the decoded values must be the same bits.
    whole_numbers = ratios.round().clamp_(-largest, largest).add_(0.0)
    if not zeros:
        is_zero = whole_numbers == 0
        is_negative = ratios < 0
        whole_numbers.masked_fill_(is_zero & is_negative, -1.0)
        whole_numbers.masked_fill_(is_zero & ~is_negative, 1.0)
    return whole_numbers


def _select_best_scale(values: Tensor, scales: Tensor, largest: int) -> Tensor:
    """Return the scale with which rounding changes `values`, a vector, least (sum of squares)."""
    ratios = values / scales[:, None]
    rounding_errors = (ratios - ratios.round().clamp(-largest, largest)) * scales[:, None]
    return scales[rounding_errors.square().sum(1).argmin()]


def _check_scales(scales: Tensor) -> Tensor:
    lowest, highest = SCALE_BOUNDS
    is_valid = (scales >= lowest) & (scales <= highest)
    if not bool(is_valid.all()):
        raise UserError("a scale must be a positive number")
    return scales


def _raise_already_quantised() -> NoReturn:
    raise UserError("its weights are already quantised: no dense values are left to work on")
