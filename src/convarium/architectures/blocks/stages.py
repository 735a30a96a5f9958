"""The skeleton of networks in stages: a stem, stages of blocks of which the first halves the maps, a classifier."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from torch import nn

BlockBuilder = Callable[[int, int, int], nn.Module]


def build_stages(build_block: BlockBuilder, inputs: int, widths: Sequence[Sequence[int]]) -> dict[str, nn.Module]:
    """Build stage1, stage2, …, each a sequence of blocks; the first block of all but the first stage has stride 2.

    Args:
        build_block: builds a block from (inputs, outputs, stride).
        inputs: channels of the stem's maps.
        widths: of each stage, the outputs of each of its blocks.
    """
    stages: dict[str, nn.Module] = {}
    for number, block_widths in enumerate(widths, start=1):
        blocks = []
        for index, outputs in enumerate(block_widths):
            stride = 2 if number > 1 and index == 0 else 1
            blocks.append(build_block(inputs, outputs, stride))
            inputs = outputs
        stages[f"stage{number}"] = nn.Sequential(*blocks)
    return stages


def assemble_network(*parts: Mapping[str, nn.Module]) -> nn.Sequential:
    """Return the parts in their order; convolutions drawn as He et al. 2015 (normal, fan-in), their biases zero."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for part in parts:
        modules |= part
    network = nn.Sequential(modules)
    for module in network.modules():
        # Not isinstance: a subclass (the offsets of a deformable convolution) has initial weights of its own.
        if type(module) is nn.Conv2d:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
