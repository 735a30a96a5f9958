"""Which values of a weight form one filter: needed where each filter has its own scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from convarium.errors import UserError
from convarium.representations.base import check_whole_number

LAYOUT_KEYS = ("axis", "groups")


@dataclass(frozen=True)
class FilterLayout:
    """Layout of a weight: (filters, …), or (inputs, filters of a group, …) in transposed convolutions.

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
        if is_depthwise:  # its weight is (channels, 1, …): either way of counting gives one filter a channel
            return cls()
        return cls(axis=1, groups=layer.groups)

    def count_filters(self, shape: Sequence[int]) -> int:
        """Return how many filters a weight of this shape has; a vector is one filter."""
        if len(shape) <= 1:
            return 1
        return self.groups * shape[self.axis]

    def to_rows(self, weight: Tensor) -> Tensor:
        """Return the weight as a matrix: (filters, values of a filter)."""
        count = self.count_filters(weight.shape)
        if self.axis:
            inputs = weight.shape[0] // self.groups
            by_group = weight.reshape(self.groups, inputs, weight.shape[1], -1)  # (groups, inputs, filters, kernel)
            weight = by_group.transpose(1, 2)
        # Not -1: reshape can't infer a size where there are no filters.
        return weight.reshape(count, weight.numel() // max(1, count))

    def to_weight(self, rows: Tensor, shape: Sequence[int]) -> Tensor:
        """Return the weight of this shape that `to_rows` turns into `rows`."""
        if self.axis == 0:
            return rows.reshape(tuple(shape))
        inputs = shape[0] // self.groups
        by_group = rows.reshape(self.groups, shape[1], inputs, -1)  # (groups, filters, inputs, kernel)
        return by_group.transpose(1, 2).reshape(tuple(shape))

    def to_spec(self) -> dict[str, int]:
        """Return the keys that a spec needs for this layout; the default one needs none."""
        if self.axis == 0:
            return {}
        if self.groups == 1:
            return {"axis": self.axis}
        return {"axis": self.axis, "groups": self.groups}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], shape: Sequence[int]) -> Self:
        """Return the layout that a spec names, for a weight of this shape.

        Raises:
            UserError: an axis or groups that a weight of this shape can't have, or that `to_spec` would leave out.
        """
        if not set(LAYOUT_KEYS) & spec.keys():
            return cls()
        # The defaults are never written: each layout has one spec, so each file one form.
        groups = check_whole_number(spec, "groups", 2, 1 << 31) if "groups" in spec else 1
        axis = check_whole_number(spec, "axis", 1, 1) if "axis" in spec else 0
        if axis == 0 or len(shape) < 3 or shape[0] % groups:
            raise UserError(f"representation {spec['kind']}: its axis and groups don't fit a tensor of shape {shape}")
        return cls(axis, groups)


DEFAULT_LAYOUT = FilterLayout()
