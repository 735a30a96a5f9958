"""Which values of a weight are one filter, where each filter has a scale of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from convarium.errors import UserError
from convarium.representations.base import check_whole_number

LAYOUT_KEYS = ("axis", "groups")


@dataclass(frozen=True)
class FilterLayout:
    """The layout of a weight: (filters, …), or (inputs, filters of a group, …) in transposed convolutions.

    Attributes:
        axis: the dimension that counts filters: 0, in transposed convolutions 1.
        groups: of a transposed convolution; each has its own inputs and filters.
    """

    axis: int = 0
    groups: int = 1

    @classmethod
    def from_layer(cls, layer: nn.Module) -> Self:
        """Return the layout of a layer's weight."""
        if not isinstance(layer, nn.modules.conv._ConvNd) or not layer.transposed:
            return cls()
        is_depthwise = layer.groups == layer.in_channels == layer.out_channels
        return cls() if is_depthwise else cls(1, layer.groups)

    def count_filters(self, shape: Sequence[int]) -> int:
        """Return how many filters a weight of this shape has; a vector is one."""
        return self.groups * shape[self.axis] if len(shape) > 1 else 1

    def to_rows(self, weight: Tensor) -> Tensor:
        """Return (filters, values of a filter)."""
        count = self.count_filters(weight.shape)
        if self.axis:
            inputs = weight.shape[0] // self.groups
            weight = weight.reshape(self.groups, inputs, weight.shape[1], -1).transpose(1, 2)
        return weight.reshape(count, weight.numel() // max(1, count))

    def to_weight(self, rows: Tensor, shape: Sequence[int]) -> Tensor:
        """Return the weight of these rows: what `rows` undoes."""
        if self.axis == 0:
            return rows.reshape(tuple(shape))
        inputs = shape[0] // self.groups
        return rows.reshape(self.groups, shape[1], inputs, -1).transpose(1, 2).reshape(tuple(shape))

    def to_spec(self) -> dict[str, int]:
        """Return what a file says of it: nothing of the usual layout."""
        if self.axis == 0:
            return {}
        return {"axis": self.axis} | ({"groups": self.groups} if self.groups > 1 else {})

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Return the layout that a spec names, for a weight of this shape.

        Raises:
            UserError: an axis or groups that a weight of this shape can't have, or that would not be written.
        """
        if not set(LAYOUT_KEYS) & spec.keys():
            return cls()
        groups = check_whole_number(spec, "groups", 2, 1 << 31) if "groups" in spec else 1
        found = cls(check_whole_number(spec, "axis", 1, 1), groups) if "axis" in spec else None
        if found is None or len(shape) < 3 or shape[0] % groups:
            raise UserError(f"representation {spec['kind']}: its axis and groups don't fit a tensor of shape {shape}")
        return found


DEFAULT_LAYOUT = FilterLayout()
