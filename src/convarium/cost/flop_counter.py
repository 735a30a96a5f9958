"""A counter of floating-point operations that also knows products which torch's own leaves out.

These are products of vectors, of three factors, and deformable convolutions.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]
aten = torch.ops.aten


def build_flop_counter() -> FlopCounterMode:
    """Return a counter of convolutions, matrix products, attention, and the products of this module."""
    counting_functions: dict[Any, Callable[..., int]] = {
        aten._trilinear: _count_trilinear_flops,
        aten.mv: lambda matrix, vector, *_, **__: 2 * prod(matrix),
        aten.addmv: lambda addend, matrix, vector, *_, **__: 2 * prod(matrix),
        aten.dot: lambda first, second, *_, **__: 2 * prod(first),
        aten.vdot: lambda first, second, *_, **__: 2 * prod(first),
        aten.addbmm: lambda addend, first, second, *_, **__: 2 * prod(first) * second[-1],
        aten.conv_tbc: lambda sequence, weight, *_, out_shape, **__: 2 * prod(out_shape) * prod(weight[:2]),
    }
    # The operation exists once torchvision is imported.
    if hasattr(torch.ops.torchvision, "deform_conv2d"):
        counting_functions[torch.ops.torchvision.deform_conv2d] = _count_deformable_flops
    return FlopCounterMode(display=False, custom_mapping=counting_functions)


def _count_deformable_flops(images: Shape, weight: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Return the operations of the convolution alone: interpolating between pixels is not counted."""
    return 2 * prod(out_shape) * prod(weight[1:])


def _count_trilinear_flops(first: Shape, second: Shape, third: Shape, *new_axes: Sequence[int], **_: Any) -> int:
    """Return two operations for each product of three values that is summed, as each weight of nn.Bilinear takes.

    `new_axes` are, for each factor, the axes of size 1 that it gets before the factors are broadcast.
    """
    shapes = [list(shape) for shape in (first, second, third)]
    for shape, axes in zip(shapes, new_axes[:3], strict=True):
        for axis in sorted(axes):
            shape.insert(axis, 1)
    broadcast_shape: list[int] = [max(sizes) for sizes in zip(*shapes, strict=True)]
    return 2 * prod(broadcast_shape)
