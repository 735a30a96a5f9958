"""Multilayer perceptrons."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from convarium.architectures.builder import Builder, int_between, list_of, one_of

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def mlp(
    in_chans: int, num_classes: int, img_size: int, hidden: Sequence[int] = (256,), activation: str = "relu"
) -> nn.Module:
    """Linear layers fc1, fc2, … of `hidden` units over flattened pixels; without any, it is softmax regression."""
    widths = [in_chans * img_size * img_size, *hidden, num_classes]
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number, (inputs, outputs) in enumerate(pairwise(widths), start=1):
        if number > 1:
            layers[f"{activation}{number - 1}"] = ACTIVATIONS[activation]()
        layers[f"fc{number}"] = nn.Linear(inputs, outputs)
    return nn.Sequential(layers)


BUILDERS = {"mlp": Builder(mlp, {"hidden": list_of(int_between(1, 65536), 0, 16), "activation": one_of(*ACTIVATIONS)})}
