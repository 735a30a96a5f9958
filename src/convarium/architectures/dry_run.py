"""Dry run on the meta device: does a network take images of a size and return logits, and if not, which size?"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from convarium.architectures import factory
from convarium.architectures.image_sizes import UnfitImagesError, find_larger_size
from convarium.architectures.tied_tensors import find_memory_overlap
from convarium.datasets.splits import to_channels_last
from convarium.errors import UserError, format_first_line

WRITES_INTO_IMAGES_MESSAGE = (
    "{owner} writes into its images: change a copy of them (x - mean, not x.sub_(mean) or x -= mean)"
)


def dry_run_architecture(architecture: Mapping[str, Any]) -> nn.Module:
    """Build on the meta device and run two images through, to see that the network takes images of this size.

    The returned network has an attribute `input_shape`, the shape of one such image, for those who trace it.

    Raises:
        UserError: it can't be built, can't take such images (then a size that it takes is named), or doesn't return
            (N, num_classes).
    """
    try:
        return _dry_run(architecture)
    except UnfitImagesError as error:
        raise UserError(_suggest_working_size(str(error), architecture)) from None


def accepts_image_size(architecture: Mapping[str, Any], img_size: int) -> bool:
    """Whether the network is a classifier of images of `img_size` pixels a side."""
    try:
        _dry_run({**architecture, "img_size": img_size})
    except UserError:
        return False
    return True


def _dry_run(architecture: Mapping[str, Any]) -> nn.Module:
    name, num_classes = architecture["name"], architecture["num_classes"]
    network = factory.build_architecture(architecture, "meta").eval()
    _check_no_lazy_layers(network, name)
    _check_no_shared_memory(network, name)
    side = architecture["img_size"]
    images = to_channels_last(torch.empty(2, architecture["in_chans"], side, side, device="meta"))
    # Meta tensors have no values to compare; torch counts each write into a tensor in its version.
    version = images._version
    try:
        with torch.no_grad():
            output = network(images)
    except Exception as error:
        raise UnfitImagesError(f"{_describe_owner(architecture)} fails: {format_first_line(error)}") from None
    if images._version != version:
        raise UserError(WRITES_INTO_IMAGES_MESSAGE.format(owner=f"architecture {name}"))
    if not isinstance(output, torch.Tensor) or tuple(output.shape) != (2, num_classes):
        raise UserError(f"{_describe_owner(architecture)} is not a classifier: its output isn't (images, classes)")
    vars(network)["input_shape"] = tuple(images.shape[1:])
    return network


def _check_no_lazy_layers(network: nn.Module, name: str) -> None:
    """Refuse layers that take their sizes from the first images: a network read from a file is built without any."""
    for key, parameter in network.named_parameters():
        if is_lazy(parameter):
            raise UserError(f"architecture {name}: '{key}' has no size: write it out, no lazy layers")


def _check_no_shared_memory(network: nn.Module, name: str) -> None:
    """Refuse tensors that share memory but are not tied: no file can hold that."""
    overlap = find_memory_overlap(network)
    if overlap is not None:
        first, second = overlap
        raise UserError(
            f"architecture {name}: {first} and {second} lie in the same memory but are not one parameter; "
            "give it both names, or read it by one name in both places"
        )


def _describe_owner(architecture: Mapping[str, Any]) -> str:
    side = architecture["img_size"]
    return f"architecture {architecture['name']} with images of {architecture['in_chans']}x{side}x{side}"


def _suggest_working_size(reason: str, architecture: Mapping[str, Any]) -> str:
    """Return the next size that works instead of a library's reason, and a small stem where that helps."""
    img_size = architecture["img_size"]
    larger_size = find_larger_size(lambda side: accepts_image_size(architecture, side), img_size)
    if larger_size is None:
        return reason
    owner = _describe_owner(architecture)
    suggestion = f"{owner} fails: the next size that it takes is {larger_size} (dataset.img_size={larger_size})"
    if architecture["stem"] == "native" and accepts_image_size({**architecture, "stem": "small"}, img_size):
        suggestion += "; it takes them with architecture.stem=small"
    return suggestion
