"""A trained grid of few levels: a whole number times a scale, whose logarithm is trained.

The gradients are those of Esser et al. 2020, "Learned Step Size Quantization"; there the step itself is trained.
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

MAX_LEVEL = 32_767
SCALE_BOUNDS = (1e-30, 1e30)
DRIFT_RATE = 0.1


class Levels(Representation):
    """Each value is scale * q, q a whole number in -largest..largest, and never 0 without `zeros`.

    What is trained are latent values, of which each is drawn to its nearest level, and for each scale its drift: the
    scale is start * exp(DRIFT_RATE * drift). So an optimiser that moves all its parameters alike (Adam) moves the
    logarithm of a scale DRIFT_RATE times as fast as a weight, and weight decay draws it to where it began. A scale that
    moves as fast as the weights leaves only the innermost levels in use.

    A scale is the whole tensor's (`channels` 1) or one filter's (`channels` the number of filters).
    """

    kind = "levels"
    start: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        largest: int,
        channels: int = 1,
        zeros: bool = True,
        filters: FilterLayout = DEFAULT_LAYOUT,
    ) -> None:
        super().__init__(shape)
        self.filters = filters
        self.largest, self.channels, self.zeros = largest, channels, zeros
        self._check_scale_count(self.shape)
        self._stored_tensors = (torch.zeros(self.numel), torch.zeros(channels))
        self.register_buffer("start", torch.ones(channels))

    @classmethod
    def quantise(
        cls, dense: Tensor, scales: Tensor, largest: int, zeros: bool = True, filters: FilterLayout = DEFAULT_LAYOUT
    ) -> Self:
        """Draw `dense` to the levels of `scales`, a vector: of one, or of one for each of its filters.

        Raises:
            UserError: not as many scales, or one that is not positive.
        """
        levels = cls(dense.shape, largest, scales.numel(), zeros, filters if scales.numel() > 1 else DEFAULT_LAYOUT)
        levels.start = _check_scales(scales.detach().to(torch.float32, copy=True))
        return levels.project(dense)

    def project(self, dense: Tensor) -> Self:
        """Keep the scales; each value takes its nearest level."""
        self._stored_tensors = (dense.detach().flatten().to(torch.float32, copy=True), torch.zeros_like(self.start))
        return self

    def forward(self, *tensors: Tensor) -> Tensor:
        """Scales times whole numbers, exactly."""
        latents, drift = tensors
        values: Tensor = _LevelRounding.apply(
            self._to_rows(latents), drift, self._compute_scales(drift), self.largest, self.zeros
        )
        return self._to_weight(values)

    def reshape_to(self, shape: Sequence[int]) -> Self:
        """The same values in another shape of as many values (and, with a scale for each, of as many filters)."""
        self._check_scale_count(tuple(shape))
        return super().reshape_to(shape)

    def extract_innermost(self, dense: Tensor) -> Tensor:
        """Refused: what lies on a grid is no longer dense."""
        _raise_already_quantised()

    def replace_innermost(self, inner: Representation) -> Representation:
        """Refused, as `innermost`."""
        _raise_already_quantised()

    def rebuild(self, dense: Tensor, tensors: Sequence[Tensor]) -> Representation:
        """The same grid; with a scale for each filter, each has the one of before that fits its values best."""
        scales = self._compute_scales(tensors[1]).to(dense.device)
        zeros = self.zeros or bool((dense == 0).any())
        if self.channels > 1:
            rows = self.filters.to_rows(dense.detach())
            scales = torch.stack([_select_best_scale(row, scales, self.largest) for row in rows])
        return Levels.quantise(dense, scales, self.largest, zeros, self.filters)

    def to_spec(self) -> dict[str, Any]:
        """The largest whole number, the number of scales, whether there are zeros (0 or 1), the filters if unusual."""
        grid = {"largest": self.largest, "channels": self.channels, "zeros": int(self.zeros)}
        return {"kind": self.kind, **grid, **self.filters.to_spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted one."""
        check_spec_keys(spec, "largest", "channels", "zeros", optional=LAYOUT_KEYS)
        largest, channels = (
            check_whole_number(spec, "largest", 1, MAX_LEVEL),
            check_whole_number(spec, "channels", 1, 1 << 31),
        )
        return cls(
            shape, largest, channels, bool(check_whole_number(spec, "zeros", 0, 1)), FilterLayout.from_spec(spec, shape)
        )

    def encode(self, tensors: Sequence[Tensor], stream: SiteWriter) -> None:
        """Scales, then whole numbers."""
        scales = self._compute_scales(tensors[1])
        whole_numbers = _round_to_levels(self._to_rows(tensors[0]) / scales[:, None], self.largest, self.zeros)
        stream.write_values("codebooks", scales)
        stream.write_integers("weights", self._to_weight(whole_numbers).to(torch.int32), self.largest, self.zeros)

    def decode(self, stream: SiteReader) -> Self:
        """Read scales and whole numbers; the latent values are the levels themselves."""
        self.start = _check_scales(stream.read_values("codebooks", self.channels, torch.float32))
        whole_numbers = stream.read_integers("weights", self.shape, self.largest, self.zeros)
        latents = self._to_weight(self.start[:, None] * self._to_rows(whole_numbers))
        self._stored_tensors = (latents.flatten(), torch.zeros_like(self.start))
        return self

    def _compute_scales(self, drift: Tensor) -> Tensor:
        return (self.start * (DRIFT_RATE * drift.detach()).exp()).clamp(*SCALE_BOUNDS)

    def _to_rows(self, values: Tensor) -> Tensor:
        return values.view(1, -1) if self.channels == 1 else self.filters.to_rows(values.view(self.shape))

    def _to_weight(self, rows: Tensor) -> Tensor:
        return self.filters.to_weight(rows, self.shape)

    def _check_scale_count(self, shape: tuple[int, ...]) -> None:
        if self.channels == 1 and self.filters != DEFAULT_LAYOUT:
            raise UserError("one scale is the whole tensor's, whatever its axis")
        if self.channels != 1 and self.channels != self.filters.count_filters(shape):
            raise UserError(f"{self.channels} scales do not fit a tensor of shape {shape}: one, or one for each filter")


class _LevelRounding(torch.autograd.Function):
    """Levels; gradients as Esser et al. have them (section 2.1), for the drift divided by its scale."""

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
        inside = ratios.abs() <= ctx.largest
        of_scale = (gradient * torch.where(inside, whole_numbers - ratios, whole_numbers)).sum(1)
        weakened = of_scale / (max(1, latents.shape[1]) * ctx.largest) ** 0.5
        return gradient * inside, weakened / scales, None, None, None


def _round_to_levels(ratios: Tensor, largest: int, zeros: bool) -> Tensor:
    """The whole numbers next to `ratios`; adding 0 makes of -0 the 0 that a file holds."""
    found = ratios.round().clamp_(-largest, largest).add_(0.0)
    if not zeros:
        is_zero, is_negative = found == 0, ratios < 0
        found.masked_fill_(is_zero & is_negative, -1.0).masked_fill_(is_zero & ~is_negative, 1.0)
    return found


def _select_best_scale(values: Tensor, scales: Tensor, largest: int) -> Tensor:
    """Of several scales the one whose levels are nearest to `values`, a vector."""
    ratios = values / scales[:, None]
    errors = ((ratios - ratios.round().clamp(-largest, largest)) * scales[:, None]).square().sum(1)
    return scales[errors.argmin()]


def _check_scales(scales: Tensor) -> Tensor:
    if not bool(((scales >= SCALE_BOUNDS[0]) & (scales <= SCALE_BOUNDS[1])).all()):
        raise UserError("a scale must be a positive number")
    return scales


def _raise_already_quantised() -> NoReturn:
    raise UserError("its weights are already quantised: no dense values are left to work on")
