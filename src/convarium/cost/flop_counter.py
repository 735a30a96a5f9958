"""Products that torch's counter of operations passes over: of vectors, of three factors, of images with offsets."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]
aten = torch.ops.aten


def build_flop_counter() -> FlopCounterMode:
    """Return a counter of convolutions, matrix products and attention, these products included."""
    known: dict[Any, Callable[..., int]] = {
        aten._trilinear: _count_trilinear_flops,
        aten.mv: lambda matrix, vector, *_, **__: 2 * prod(matrix),
        aten.addmv: lambda added, matrix, vector, *_, **__: 2 * prod(matrix),
        aten.dot: lambda one, other, *_, **__: 2 * prod(one),
        aten.vdot: lambda one, other, *_, **__: 2 * prod(one),
        aten.addbmm: lambda added, one, other, *_, **__: 2 * prod(one) * other[-1],
        aten.conv_tbc: lambda given, weight, *_, out_shape, **__: 2 * prod(out_shape) * prod(weight[:2]),
    }
    if hasattr(torch.ops.torchvision, "deform_conv2d"):  # known once torchvision is imported
        known[torch.ops.torchvision.deform_conv2d] = _count_deformable_flops
    return FlopCounterMode(display=False, custom_mapping=known)


def _count_deformable_flops(given: Shape, weight: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Those of the convolution; finding values between pixels is none."""
    return 2 * prod(out_shape) * prod(weight[1:])


def _count_trilinear_flops(one: Shape, two: Shape, three: Shape, *expanded: Sequence[int], **_: Any) -> int:
    """Return two for each product of three values that is summed: each weight of nn.Bilinear, once an input."""
    shapes = [list(shape) for shape in (one, two, three)]
    for shape, places in zip(shapes, expanded[:3], strict=True):
        for place in sorted(places):
            shape.insert(place, 1)
    everything: list[int] = [max(sizes) for sizes in zip(*shapes, strict=True)]
    return 2 * prod(everything)
