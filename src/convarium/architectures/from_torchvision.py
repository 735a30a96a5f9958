"""Classifiers of torchvision by name; pretrained weights only where `fetch_pretrained` is called."""

from functools import cache
from typing import Any

from torch import nn

from convarium.architectures.builder import number_between
from convarium.architectures.weights import Weights

KWARG_RULES = {"dropout": number_between(0, 0.99)}
NETWORKS_WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")  # further classifiers, for training only


@cache
def list_names() -> tuple[str, ...]:
    """Return the names of torchvision's classifiers (no detectors, no quantised or video networks)."""
    from torchvision import models

    return tuple(models.list_models(module=models))


def build_classifier(name: str, in_chans: int, num_classes: int, img_size: int, **kwargs: Any) -> nn.Module:
    """Build a network with new weights; its first convolution is replaced where images don't have three channels."""
    from torchvision import models

    if name.startswith("vit_"):
        kwargs["image_size"] = img_size
    if name.startswith("maxvit"):
        kwargs["input_size"] = (img_size, img_size)
    if name in NETWORKS_WITH_AUXILIARY_HEADS:
        # Left open, `init_weights` warns at each build that its default will change.
        kwargs |= {"aux_logits": False, "init_weights": True}
    network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **kwargs)
    if in_chans != 3:
        _replace_first_convolution(network, in_chans)
    return network


def find_native_sizes(name: str) -> tuple[int, int, int]:
    """Return the channels, classes and side of images that torchvision's default weights for `name` have."""
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    return 3, len(weights.meta["categories"]), weights.transforms.keywords["crop_size"]


def fetch_pretrained(name: str) -> Weights:
    """Fetch torchvision's default weights for `name`, with the normalisation they were trained with.

    Raises:
        Exception: whatever torchvision raises where there are none, or they can't be fetched.
    """
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    transform = weights.transforms()
    kwargs = {"aux_logits": False} if name in NETWORKS_WITH_AUXILIARY_HEADS else {}
    network = models.get_model(name, weights=weights, **kwargs)
    mean, std = tuple(transform.mean), tuple(transform.std)
    # Weights that were ported from TensorFlow expect a mean and std of 0.5. Torchvision's own network then converts its
    # input from ImageNet's; the one that `build_classifier` gives does not.
    if getattr(network, "transform_input", False):
        mean = std = (0.5,) * 3
    return Weights(network.state_dict(), (f"pretrained {weights} of torchvision",), mean=mean, std=std)


def _replace_first_convolution(network: nn.Module, in_chans: int) -> None:
    """Replace the first convolution by one with `in_chans` inputs, initialised as in torchvision's ResNets."""
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
