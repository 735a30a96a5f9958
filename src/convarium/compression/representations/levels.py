"""A trained grid of few levels: a whole number times a scale, whose logarithm is trained.

The gradients are those of Esser et al. 2020, "Learned Step Size Quantization"; there the step itself is trained.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Self

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from convarium.compression.file.streams import Reader, Writer
from convarium.compression.representations.base import Representation, check_keys, whole
from convarium.compression.representations.filters import KEYS, USUAL, Filters
from convarium.errors import UserError

LARGEST = 32_767
SCALES = (1e-30, 1e30)
SLOWER = 0.1


class Levels(Representation):
    """Each value is scale * q, q a whole number in -largest..largest, and never 0 without `zeros`.

    What is trained are latent values, of which each is drawn to its nearest level, and for each scale its drift: the
    scale is start * exp(SLOWER * drift). So an optimiser that moves all its parameters alike (Adam) moves the logarithm
    of a scale SLOWER times as fast as a weight, and weight decay draws it to where it began. A scale that moves as fast
    as the weights leaves only the innermost levels in use.

    A scale is the whole tensor's (`channels` 1) or one filter's (`channels` the number of filters).
    """

    kind = "levels"
    start: Tensor

    def __init__(
        self, shape: Sequence[int], largest: int, channels: int = 1, zeros: bool = True, filters: Filters = USUAL
    ) -> None:
        super().__init__(shape)
        self.filters = filters
        self.largest, self.channels, self.zeros = largest, channels, zeros
        self._check_channels(self.shape)
        self._stored = (torch.zeros(self.numel), torch.zeros(channels))
        self.register_buffer("start", torch.ones(channels))

    @classmethod
    def of(cls, dense: Tensor, scales: Tensor, largest: int, zeros: bool = True, filters: Filters = USUAL) -> Self:
        """Draw `dense` to the levels of `scales`, a vector: of one, or of one for each of its filters.

        Raises:
            UserError: not as many scales, or one that is not positive.
        """
        levels = cls(dense.shape, largest, scales.numel(), zeros, filters if scales.numel() > 1 else USUAL)
        levels.start = _checked(scales.detach().to(torch.float32, copy=True))
        return levels.fit(dense)

    def fit(self, dense: Tensor) -> Self:
        """Keep the scales; each value takes its nearest level."""
        self._stored = (dense.detach().flatten().to(torch.float32, copy=True), torch.zeros_like(self.start))
        return self

    def forward(self, *tensors: Tensor) -> Tensor:
        """Scales times whole numbers, exactly."""
        latents, drift = tensors
        values: Tensor = _Grid.apply(self._rows(latents), drift, self._scales(drift), self.largest, self.zeros)
        return self._weight(values)

    def reshaped(self, shape: Sequence[int]) -> Self:
        """The same values in another shape of as many values (and, with a scale for each, of as many filters)."""
        self._check_channels(tuple(shape))
        return super().reshaped(shape)

    def innermost(self, dense: Tensor) -> Tensor:
        """Refused: what lies on a grid is no longer dense."""
        _refuse()

    def refit(self, inner: Representation) -> Representation:
        """Refused, as `innermost`."""
        _refuse()

    def like(self, dense: Tensor, tensors: Sequence[Tensor]) -> Representation:
        """The same grid; with a scale for each filter, each has the one of before that fits its values best."""
        scales = self._scales(tensors[1]).to(dense.device)
        zeros = self.zeros or bool((dense == 0).any())
        if self.channels > 1:
            rows = self.filters.rows(dense.detach())
            scales = torch.stack([_fitting(row, scales, self.largest) for row in rows])
        return Levels.of(dense, scales, self.largest, zeros, self.filters)

    def spec(self) -> dict[str, Any]:
        """The largest whole number, the number of scales, whether there are zeros (0 or 1), the filters if unusual."""
        grid = {"largest": self.largest, "channels": self.channels, "zeros": int(self.zeros)}
        return {"kind": self.kind, **grid, **self.filters.spec()}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Build an unfitted one."""
        check_keys(spec, "largest", "channels", "zeros", optional=KEYS)
        largest, channels = whole(spec, "largest", 1, LARGEST), whole(spec, "channels", 1, 1 << 31)
        return cls(shape, largest, channels, bool(whole(spec, "zeros", 0, 1)), Filters.from_spec(spec, shape))

    def encode(self, tensors: Sequence[Tensor], stream: Writer) -> None:
        """Scales, then whole numbers."""
        scales = self._scales(tensors[1])
        whole_numbers = _nearest(self._rows(tensors[0]) / scales[:, None], self.largest, self.zeros)
        stream.values("codebooks", scales)
        stream.integers("weights", self._weight(whole_numbers).to(torch.int32), self.largest, self.zeros)

    def decode(self, stream: Reader) -> Self:
        """Read scales and whole numbers; the latent values are the levels themselves."""
        self.start = _checked(stream.values("codebooks", self.channels, torch.float32))
        whole_numbers = stream.integers("weights", self.shape, self.largest, self.zeros)
        latents = self._weight(self.start[:, None] * self._rows(whole_numbers))
        self._stored = (latents.flatten(), torch.zeros_like(self.start))
        return self

    def _scales(self, drift: Tensor) -> Tensor:
        return (self.start * (SLOWER * drift.detach()).exp()).clamp(*SCALES)

    def _rows(self, values: Tensor) -> Tensor:
        return values.view(1, -1) if self.channels == 1 else self.filters.rows(values.view(self.shape))

    def _weight(self, rows: Tensor) -> Tensor:
        return self.filters.weight(rows, self.shape)

    def _check_channels(self, shape: tuple[int, ...]) -> None:
        if self.channels == 1 and self.filters != USUAL:
            raise UserError("one scale is the whole tensor's, whatever its axis")
        if self.channels != 1 and self.channels != self.filters.count(shape):
            raise UserError(f"{self.channels} scales do not fit a tensor of shape {shape}: one, or one for each filter")


class _Grid(torch.autograd.Function):
    """Levels; gradients as Esser et al. have them (section 2.1), for the drift divided by its scale."""

    @staticmethod
    def forward(ctx: FunctionCtx, latents: Tensor, drift: Tensor, scales: Tensor, largest: int, zeros: bool) -> Tensor:
        whole_numbers = _nearest(latents / scales[:, None], largest, zeros)
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


def _nearest(ratios: Tensor, largest: int, zeros: bool) -> Tensor:
    """The whole numbers next to `ratios`; adding 0 makes of -0 the 0 that a file holds."""
    found = ratios.round().clamp_(-largest, largest).add_(0.0)
    if not zeros:
        is_zero, is_negative = found == 0, ratios < 0
        found.masked_fill_(is_zero & is_negative, -1.0).masked_fill_(is_zero & ~is_negative, 1.0)
    return found


def _fitting(values: Tensor, scales: Tensor, largest: int) -> Tensor:
    """Of several scales the one whose levels are nearest to `values`, a vector."""
    ratios = values / scales[:, None]
    errors = ((ratios - ratios.round().clamp(-largest, largest)) * scales[:, None]).square().sum(1)
    return scales[errors.argmin()]


def _checked(scales: Tensor) -> Tensor:
    if not bool(((scales >= SCALES[0]) & (scales <= SCALES[1])).all()):
        raise UserError("a scale must be a positive number")
    return scales


def _refuse() -> NoReturn:
    raise UserError("its weights are already quantised: no dense values are left to work on")
