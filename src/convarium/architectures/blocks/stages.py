"""The skeleton of networks in stages: a stem, stages of blocks that halve the map at their head, a classifier."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from torch import nn

BlockBuilder = Callable[[int, int, int], nn.Module]


def build_stages(build_block: BlockBuilder, inputs: int, widths: Sequence[Sequence[int]]) -> dict[str, nn.Module]:
    """Return stage1, stage2, …, each a sequence of blocks; the first block of all but the first stage has stride 2.

    Args:
        build_block: makes a block of (inputs, outputs, stride).
        inputs: what the stem gives.
        widths: of each stage the outputs of each of its blocks.
    """
    made: dict[str, nn.Module] = {}
    for number, outputs in enumerate(widths, start=1):
        strides = [1 if number == 1 else 2, *[1] * (len(outputs) - 1)]
        sizes = zip(pairwise([inputs, *outputs]), strides, strict=True)
        made[f"stage{number}"] = nn.Sequential(
            *(build_block(*before_and_after, stride) for before_and_after, stride in sizes)
        )
        inputs = outputs[-1]
    return made


def assemble_network(*parts: Mapping[str, nn.Module]) -> nn.Sequential:
    """Return the parts in their order; convolutions drawn as He et al. 2015 (normal, fan-in), their biases zero."""
    made = nn.Sequential(OrderedDict(item for part in parts for item in part.items()))
    for module in made.modules():
        if type(module) is nn.Conv2d:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return made
