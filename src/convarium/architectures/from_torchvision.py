"""Classifiers of torchvision by name, never with pretrained weights."""

from functools import cache
from typing import Any

from torch import nn

from convarium.architectures.kwargs import number

ALLOWED = {"dropout": number(0, 0.99)}


@cache
def names() -> tuple[str, ...]:
    """Return the names of torchvision's classifiers (no detectors, no quantised or video networks)."""
    from torchvision import models

    return tuple(models.list_models(module=models))


def make(name: str, in_chans: int, num_classes: int, img_size: int, **kwargs: Any) -> nn.Module:
    """Build one; the first convolution is made anew where images don't have three channels."""
    from torchvision import models

    if name.startswith("vit_"):
        kwargs["image_size"] = img_size
    if name.startswith("maxvit"):
        kwargs["input_size"] = (img_size, img_size)
    if name in ("googlenet", "inception_v3"):
        kwargs |= {"aux_logits": False, "init_weights": True}
    network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **kwargs)
    if in_chans != 3:
        _first_convolution(network, in_chans)
    return network


def _first_convolution(network: nn.Module, in_chans: int) -> None:
    """Replace it by one with `in_chans` inputs, initialised as torchvision's ResNets (normal, fan-out)."""
    name, old = next((name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d))
    new = nn.Conv2d(
        in_chans,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, new)
