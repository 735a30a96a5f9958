"""Darknet-19, the backbone of YOLOv2 (Redmon & Farhadi, "YOLO9000", CVPR 2017, table 6): 3x3 and 1x1 convolutions."""

from collections import OrderedDict
from typing import Any

from torch import nn

from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.blocks.stages import assemble_network
from convarium.architectures.builder import Builder
from convarium.architectures.image_sizes import check_min_image_size

# Widths between two max poolings; of each stage the second, fourth … is a 1x1 convolution.
STAGE_WIDTHS = ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024))
LEAKY_RELU_SLOPE = 0.1  # Darknet's; torch's default is 0.01


def darknet19(in_chans: int, num_classes: int, img_size: int, **chosen: Any) -> nn.Module:
    """18 convolutions with normalisation and activation, a 1x1 convolution to one map a class, global average pooling.

    20,842,376 parameters and 2,790,989,824 MACs at 3x224x224x1000. Its leaky_relu has Darknet's slope of 0.1.

    Raises:
        UserError: images smaller than 32 pixels.
    """
    check_min_image_size("darknet19", 32, img_size)
    layers = LayerChoice(**{"activation": "leaky_relu", **chosen})
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = in_chans
    for number, widths in enumerate(STAGE_WIDTHS, start=1):
        for place, width in enumerate(widths, start=1):
            kernel = 3 if place % 2 else 1
            modules[f"conv{number}_{place}"] = layers.conv(inputs, width, kernel)
            modules[f"norm{number}_{place}"] = layers.norm_before_act(width)
            modules[f"act{number}_{place}"] = _build_act(layers, width)
            inputs = width
        if number < len(STAGE_WIDTHS):
            modules[f"pool{number}"] = nn.MaxPool2d(2)
    tail = {
        "drop": layers.drop(),
        "classes": nn.Conv2d(inputs, num_classes, 1),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return assemble_network(modules, tail)


def _build_act(layers: LayerChoice, channels: int) -> nn.Module:
    return nn.LeakyReLU(LEAKY_RELU_SLOPE) if layers.activation == "leaky_relu" else layers.act(channels)


BUILDERS = {"darknet19": Builder(darknet19, {}, {key: LAYER_RULES[key] for key in ("activation", "norm", "dropout")})}
