"""Build a network from plain data: a source (own, torchvision, timm), a name, checked arguments; no weights fetched."""

import re
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from convarium import architectures
from convarium.architectures import reparametrized, stem
from convarium.architectures.kwargs import Builder, check, choice, suggestion, whole
from convarium.architectures.loose_tensors import move
from convarium.architectures.nearest import elsewhere
from convarium.architectures.sizes import larger
from convarium.architectures.ties import find_overlap
from convarium.architectures.weights import Weights
from convarium.errors import UserError
from convarium.names import find_allowed

KEYS = {
    "source": choice("own", "torchvision", "timm"),
    "name": None,
    "in_chans": whole(1, 4096),
    "num_classes": whole(1, 1_000_000),
    "img_size": whole(1, 4096),
    "stem": choice("native", "small"),
    "kwargs": None,
}
LAYERS = (
    "activation",
    "norm",
    "pooling",
    "dropout",
)  # of section 2: told only where a builder takes them and they differ
UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")
WRITES = "{owner} writes into its images: change a copy of them (x - mean, not x.sub_(mean) or x -= mean)"
SECTIONS = ("basic", "splitting", "cross_layer", "depthwise", "transformer")


def build(architecture: Mapping[str, Any], device: str | None = None) -> nn.Module:
    """Build the network an architecture describes, with weights drawn from torch's current random state.

    A builder of an outside package (source own, name "package.module:attribute") is imported only where its package is
    allowed (`convarium.names.allowing`).

    Args:
        architecture: source, name, in_chans, num_classes, img_size, stem, kwargs; all complete. Of our own networks
            also activation, norm, pooling and dropout, where they are not what the network usually has.
        device: where parameters are made; "meta" takes no memory.

    Raises:
        UserError: an unknown name or argument, a value out of bounds, a network that can't be built.
    """
    _check_keys(architecture)
    source, name = architecture["source"], architecture["name"]
    with torch.device(device) if device else nullcontext():
        network = _own(architecture) if source == "own" else _library(source, architecture)
    reparametrized.settle(network, name)
    if architecture["stem"] == "small":
        if source == "own":
            raise UserError(f"architecture.stem=small: {name} is made for small images already; use stem=native")
        stem.shrink(network, name)
    return move(network, device) if device else network


def delivered(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return the architecture of what training gives: that of the file, which is measured, compressed and exported.

    It differs from what is trained where a network condenses (`convarium.architectures.condensing`).
    """
    if architecture["source"] != "own" or not isinstance(architecture["kwargs"], Mapping):
        return dict(architecture)
    name = architecture["name"]
    builder = _outside_builder(name) if _is_outside(name) else _builders().get(name)
    return {**architecture, "kwargs": {**architecture["kwargs"], **(builder.delivered if builder else {})}}


def trial(architecture: Mapping[str, Any]) -> nn.Module:
    """Build on the meta device and run two images through, to see that the network takes images of this size.

    The network's attribute `input_shape` is that of such an image, for those who trace it.

    Raises:
        UserError: it can't be built, can't take such images (then a size that it takes is named), or doesn't return
            (N, num_classes).
    """
    try:
        return _tried(architecture)
    except Unfit as error:
        raise UserError(_with_a_way_out(str(error), architecture)) from None


class Unfit(UserError):
    """A network fails with such images, and a library or a package does not say which it takes."""


def _tried(architecture: Mapping[str, Any]) -> nn.Module:
    from convarium.datasets.splits import channels_last

    network = build(architecture, "meta").eval()
    _refuse_lazy(network, architecture["name"])
    _check_memory(network, architecture["name"])
    side = architecture["img_size"]
    images = channels_last(torch.empty(2, architecture["in_chans"], side, side, device="meta"))
    before = images._version
    try:
        with torch.no_grad():
            output = network(images)
    except Exception as error:
        raise Unfit(f"{_owner(architecture)} fails: {_first_line(error)}") from None
    if images._version != before:
        raise UserError(WRITES.format(owner=f"architecture {architecture['name']}"))
    if not isinstance(output, torch.Tensor) or tuple(output.shape) != (2, architecture["num_classes"]):
        raise UserError(f"{_owner(architecture)} is not a classifier: its output isn't (images, classes)")
    vars(network)["input_shape"] = tuple(images.shape[1:])
    return network


def _refuse_lazy(network: nn.Module, name: str) -> None:
    """Refuse layers that take their sizes from the first images: a file's network is never shown any."""
    if lazy := next((key for key, parameter in network.named_parameters() if is_lazy(parameter)), None):
        raise UserError(f"architecture {name}: '{lazy}' has no size: write it out, no lazy layers")


def _check_memory(network: nn.Module, name: str) -> None:
    """Refuse tensors that share memory but are not tied: no file can hold that."""
    if overlap := find_overlap(network):
        what = f"architecture {name}: {' and '.join(overlap)} lie in the same memory but are not one parameter"
        raise UserError(f"{what}; give it both names, or read it by one name in both places")


def _owner(architecture: Mapping[str, Any]) -> str:
    side = architecture["img_size"]
    return f"architecture {architecture['name']} with images of {architecture['in_chans']}x{side}x{side}"


def _with_a_way_out(reason: str, architecture: Mapping[str, Any]) -> str:
    """Name the next size that works in place of a library's reason, and a small stem where that helps."""
    size = larger(lambda side: takes(architecture, side), architecture["img_size"])
    if size is None:
        return reason
    small = architecture["stem"] == "native" and takes({**architecture, "stem": "small"}, architecture["img_size"])
    stem_too = "; it takes them with architecture.stem=small" if small else ""
    return f"{_owner(architecture)} fails: the next size that it takes is {size} (dataset.img_size={size}){stem_too}"


def takes(architecture: Mapping[str, Any], side: int) -> bool:
    """Whether a network takes images of `side` pixels, and is a classifier; tried on the meta device."""
    try:
        _tried({**architecture, "img_size": side})
    except UserError:
        return False
    return True


def pretrained(architecture: Mapping[str, Any]) -> Weights:
    """Fetch the weights that torchvision or timm trained for an architecture's name.

    Raises:
        UserError: there are none, or they can't be fetched.
    """
    source, name = architecture["source"], architecture["name"]
    if source == "own":
        raise UserError(f"architecture {name} has no pretrained weights; architecture=timm and torchvision have some")
    try:
        found: Weights = import_module(f"convarium.architectures.from_{source}").pretrained(name)
    except Exception as error:
        said = f"the pretrained weights of {name} can't be had from {source}: {_first_line(error)}"
        raise UserError(f"{said}; with a file of them: convarium adopt FILE") from None
    return found


def native(source: str, name: str) -> dict[str, int]:
    """Return in_chans, num_classes and img_size that a library has a network for; none of ours, or without a say."""
    if source == "own" or name not in names(source):
        return {}
    found = import_module(f"convarium.architectures.from_{source}").native(name)
    return dict(zip(("in_chans", "num_classes", "img_size"), found or (), strict=False))


def names(source: str) -> list[str]:
    """Return every name that `source` (own, torchvision, timm) can build, sorted."""
    if source == "own":
        return sorted(_builders())
    return list(import_module(f"convarium.architectures.from_{source}").names())


def _check_keys(architecture: Mapping[str, Any]) -> None:
    for key, allowed in KEYS.items():
        if key not in architecture:
            raise UserError(f"architecture.{key} is missing")
        if allowed and not allowed.test(architecture[key]):
            raise UserError(f"architecture.{key}={str(architecture[key])[:80]!r}: expected {allowed.text}")
    for key in architecture:
        if key not in KEYS and not (key in LAYERS and architecture["source"] == "own"):
            raise UserError(f"architecture.{key}: unknown key{suggestion(str(key), list(KEYS))}")
    name = architecture["name"]
    if not isinstance(name, str) or name in ("", "???"):
        source = architecture["source"]
        raise UserError(f"architecture.name is missing: name a network of {source}, such as {names(source)[0]}")


@cache
def _builders() -> dict[str, Builder]:
    """Collect BUILDERS of the families in the sections' folders; a new family is a new file."""
    found: dict[str, Builder] = {}
    for section in SECTIONS:
        package = import_module(f"{architectures.__name__}.{section}")
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            found |= import_module(module.name).BUILDERS
    return found


def _own(architecture: Mapping[str, Any]) -> nn.Module:
    name = architecture["name"]
    if _is_outside(name):
        return _outside(architecture)
    if name not in _builders():
        raise _unknown("own", name)
    return _made(_builders()[name], architecture)


def _made(builder: Builder, architecture: Mapping[str, Any]) -> nn.Module:
    check(architecture["kwargs"], builder.allowed, f"{architecture['name']} takes")
    layers = {key: architecture[key] for key in LAYERS if key in architecture}
    check(layers, builder.layers, f"{architecture['name']} takes", "architecture")
    shape = (architecture["in_chans"], architecture["num_classes"], architecture["img_size"])
    network: nn.Module = builder.make(*shape, **architecture["kwargs"], **layers)
    return network


def _outside(architecture: Mapping[str, Any]) -> nn.Module:
    """Build with an outside package's builder, whose every failure is one line."""
    name = architecture["name"]
    builder = _outside_builder(name)
    try:
        network = _made(builder, architecture)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"architecture {name} can't be built so: {_first_line(error)}") from None
    if not isinstance(network, nn.Module):
        raise UserError(f"architecture {name} is {type(network).__name__}, its builder must return a torch.nn.Module")
    return network


def _is_outside(name: str) -> bool:
    return ":" in name or "." in name


def _outside_builder(name: str) -> Builder:
    builder = find_allowed("architectures", name)
    if not isinstance(builder, Builder):
        raise UserError(f"architecture.name={name!r} is not a convarium.architectures.kwargs.Builder")
    return builder


def _library(source: str, architecture: Mapping[str, Any]) -> nn.Module:
    module = import_module(f"convarium.architectures.from_{source}")
    name = architecture["name"]
    if name not in module.names():
        raise _unknown(source, name)
    check(architecture["kwargs"], module.ALLOWED, f"kwargs that {source}'s networks may take are")
    try:
        network: nn.Module = module.make(
            name,
            architecture["in_chans"],
            architecture["num_classes"],
            architecture["img_size"],
            **architecture["kwargs"],
        )
    except Exception as error:
        if (unknown := UNKNOWN.search(str(error))) and unknown[1] in architecture["kwargs"]:
            raise UserError(f"architecture.kwargs.{unknown[1]}: {name} does not take {unknown[1]}") from None
        raise Unfit(f"architecture {name} of {source} can't be built so: {_first_line(error)}") from None
    return network


def _unknown(source: str, name: str) -> UserError:
    said = f"architecture.name={name[:80]!r}: {source} has no such network"
    return UserError(f"{said}{elsewhere(name[:80], source, names(source))}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
