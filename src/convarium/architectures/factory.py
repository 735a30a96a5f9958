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
from convarium.architectures import small_stem, weight_norm_folding
from convarium.architectures.builder import Builder, check_kwargs, int_between, one_of, suggest_key
from convarium.architectures.image_sizes import find_larger_size
from convarium.architectures.name_suggestions import suggest_architecture
from convarium.architectures.tied_tensors import find_memory_overlap
from convarium.architectures.unsaved_tensors import move_network
from convarium.architectures.weights import Weights
from convarium.errors import UserError
from convarium.lookup import find_allowed, is_outside_name

KEY_RULES = {
    "source": one_of("own", "torchvision", "timm"),
    "name": None,
    "in_chans": int_between(1, 4096),
    "num_classes": int_between(1, 1_000_000),
    "img_size": int_between(1, 4096),
    "stem": one_of("native", "small"),
    "kwargs": None,
}
LAYER_KEYS = (
    "activation",
    "norm",
    "pooling",
    "dropout",
)  # of section 2: told only where a builder takes them and they differ
UNEXPECTED_KWARG = re.compile(r"unexpected keyword argument '(\w+)'")
WRITES_INTO_IMAGES_MESSAGE = (
    "{owner} writes into its images: change a copy of them (x - mean, not x.sub_(mean) or x -= mean)"
)
SECTIONS = ("basic", "splitting", "cross_layer", "depthwise", "transformer")


def build_architecture(architecture: Mapping[str, Any], device: str | None = None) -> nn.Module:
    """Build the network an architecture describes, with weights drawn from torch's current random state.

    A builder of an outside package (source own, name "package.module:attribute") is imported only where its package is
    allowed (`convarium.lookup.allow_packages`).

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
        network = _build_own(architecture) if source == "own" else _build_from_library(source, architecture)
    weight_norm_folding.remove_reparametrizations(network, name)
    if architecture["stem"] == "small":
        if source == "own":
            raise UserError(f"architecture.stem=small: {name} is made for small images already; use stem=native")
        small_stem.apply_small_stem(network, name)
    return move_network(network, device) if device else network


def condense_architecture(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return the architecture of what training gives: that of the file, which is measured, compressed and exported.

    It differs from what is trained where a network condenses (`convarium.architectures.condensing`).
    """
    if architecture["source"] != "own" or not isinstance(architecture["kwargs"], Mapping):
        return dict(architecture)
    name = architecture["name"]
    builder = _find_outside_builder(name) if is_outside_name(name) else _collect_builders().get(name)
    return {**architecture, "kwargs": {**architecture["kwargs"], **(builder.condensed_kwargs if builder else {})}}


def dry_run_architecture(architecture: Mapping[str, Any]) -> nn.Module:
    """Build on the meta device and run two images through, to see that the network takes images of this size.

    The network's attribute `input_shape` is that of such an image, for those who trace it.

    Raises:
        UserError: it can't be built, can't take such images (then a size that it takes is named), or doesn't return
            (N, num_classes).
    """
    try:
        return _dry_run(architecture)
    except UnfitImagesError as error:
        raise UserError(_suggest_working_size(str(error), architecture)) from None


class UnfitImagesError(UserError):
    """A network fails with such images, and a library or a package does not say which it takes."""


def _dry_run(architecture: Mapping[str, Any]) -> nn.Module:
    from convarium.datasets.splits import to_channels_last

    network = build_architecture(architecture, "meta").eval()
    _check_no_lazy_layers(network, architecture["name"])
    _check_no_shared_memory(network, architecture["name"])
    side = architecture["img_size"]
    images = to_channels_last(torch.empty(2, architecture["in_chans"], side, side, device="meta"))
    before = images._version
    try:
        with torch.no_grad():
            output = network(images)
    except Exception as error:
        raise UnfitImagesError(f"{_describe_owner(architecture)} fails: {_format_first_error_line(error)}") from None
    if images._version != before:
        raise UserError(WRITES_INTO_IMAGES_MESSAGE.format(owner=f"architecture {architecture['name']}"))
    if not isinstance(output, torch.Tensor) or tuple(output.shape) != (2, architecture["num_classes"]):
        raise UserError(f"{_describe_owner(architecture)} is not a classifier: its output isn't (images, classes)")
    vars(network)["input_shape"] = tuple(images.shape[1:])
    return network


def _check_no_lazy_layers(network: nn.Module, name: str) -> None:
    """Refuse layers that take their sizes from the first images: a file's network is never shown any."""
    if lazy := next((key for key, parameter in network.named_parameters() if is_lazy(parameter)), None):
        raise UserError(f"architecture {name}: '{lazy}' has no size: write it out, no lazy layers")


def _check_no_shared_memory(network: nn.Module, name: str) -> None:
    """Refuse tensors that share memory but are not tied: no file can hold that."""
    if overlap := find_memory_overlap(network):
        what = f"architecture {name}: {' and '.join(overlap)} lie in the same memory but are not one parameter"
        raise UserError(f"{what}; give it both names, or read it by one name in both places")


def _describe_owner(architecture: Mapping[str, Any]) -> str:
    side = architecture["img_size"]
    return f"architecture {architecture['name']} with images of {architecture['in_chans']}x{side}x{side}"


def _suggest_working_size(reason: str, architecture: Mapping[str, Any]) -> str:
    """Name the next size that works in place of a library's reason, and a small stem where that helps."""
    size = find_larger_size(lambda side: accepts_image_size(architecture, side), architecture["img_size"])
    if size is None:
        return reason
    small = architecture["stem"] == "native" and accepts_image_size(
        {**architecture, "stem": "small"}, architecture["img_size"]
    )
    stem_too = "; it takes them with architecture.stem=small" if small else ""
    owner = _describe_owner(architecture)
    return f"{owner} fails: the next size that it takes is {size} (dataset.img_size={size}){stem_too}"


def accepts_image_size(architecture: Mapping[str, Any], img_size: int) -> bool:
    """Whether a network takes images of `img_size` pixels, and is a classifier; tried on the meta device."""
    try:
        _dry_run({**architecture, "img_size": img_size})
    except UserError:
        return False
    return True


def fetch_pretrained(architecture: Mapping[str, Any]) -> Weights:
    """Fetch the weights that torchvision or timm trained for an architecture's name.

    Raises:
        UserError: there are none, or they can't be fetched.
    """
    source, name = architecture["source"], architecture["name"]
    if source == "own":
        raise UserError(f"architecture {name} has no pretrained weights; architecture=timm and torchvision have some")
    try:
        found: Weights = import_module(f"convarium.architectures.from_{source}").fetch_pretrained(name)
    except Exception as error:
        said = f"the pretrained weights of {name} can't be had from {source}: {_format_first_error_line(error)}"
        raise UserError(f"{said}; with a file of them: convarium adopt FILE") from None
    return found


def find_native_sizes(source: str, name: str) -> dict[str, int]:
    """Return in_chans, num_classes and img_size that a library has a network for; none of ours, or without a say."""
    if source == "own" or name not in list_architecture_names(source):
        return {}
    found = import_module(f"convarium.architectures.from_{source}").find_native_sizes(name)
    return dict(zip(("in_chans", "num_classes", "img_size"), found or (), strict=False))


def list_architecture_names(source: str) -> list[str]:
    """Return every name that `source` (own, torchvision, timm) can build, sorted."""
    if source == "own":
        return sorted(_collect_builders())
    return list(import_module(f"convarium.architectures.from_{source}").list_names())


def _check_keys(architecture: Mapping[str, Any]) -> None:
    for key, allowed in KEY_RULES.items():
        if key not in architecture:
            raise UserError(f"architecture.{key} is missing")
        if allowed and not allowed.accepts(architecture[key]):
            raise UserError(f"architecture.{key}={str(architecture[key])[:80]!r}: expected {allowed.expected}")
    for key in architecture:
        if key not in KEY_RULES and not (key in LAYER_KEYS and architecture["source"] == "own"):
            raise UserError(f"architecture.{key}: unknown key{suggest_key(str(key), list(KEY_RULES))}")
    name = architecture["name"]
    if not isinstance(name, str) or name in ("", "???"):
        source = architecture["source"]
        raise UserError(
            f"architecture.name is missing: name a network of {source}, such as {list_architecture_names(source)[0]}"
        )


@cache
def _collect_builders() -> dict[str, Builder]:
    """Collect BUILDERS of the families in the sections' folders; a new family is a new file."""
    found: dict[str, Builder] = {}
    for section in SECTIONS:
        package = import_module(f"{architectures.__name__}.{section}")
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            found |= import_module(module.name).BUILDERS
    return found


def _build_own(architecture: Mapping[str, Any]) -> nn.Module:
    name = architecture["name"]
    if is_outside_name(name):
        return _build_outside(architecture)
    if name not in _collect_builders():
        raise _build_unknown_name_error("own", name)
    return _call_builder(_collect_builders()[name], architecture)


def _call_builder(builder: Builder, architecture: Mapping[str, Any]) -> nn.Module:
    check_kwargs(architecture["kwargs"], builder.kwarg_rules, f"{architecture['name']} takes")
    layers = {key: architecture[key] for key in LAYER_KEYS if key in architecture}
    check_kwargs(layers, builder.layer_rules, f"{architecture['name']} takes", "architecture")
    shape = (architecture["in_chans"], architecture["num_classes"], architecture["img_size"])
    network: nn.Module = builder.build(*shape, **architecture["kwargs"], **layers)
    return network


def _build_outside(architecture: Mapping[str, Any]) -> nn.Module:
    """Build with an outside package's builder, whose every failure is one line."""
    name = architecture["name"]
    builder = _find_outside_builder(name)
    try:
        network = _call_builder(builder, architecture)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"architecture {name} can't be built so: {_format_first_error_line(error)}") from None
    if not isinstance(network, nn.Module):
        raise UserError(f"architecture {name} is {type(network).__name__}, its builder must return a torch.nn.Module")
    return network


def _find_outside_builder(name: str) -> Builder:
    builder = find_allowed("architectures", name)
    if not isinstance(builder, Builder):
        raise UserError(f"architecture.name={name!r} is not a convarium.architectures.builder.Builder")
    return builder


def _build_from_library(source: str, architecture: Mapping[str, Any]) -> nn.Module:
    module = import_module(f"convarium.architectures.from_{source}")
    name = architecture["name"]
    if name not in module.list_names():
        raise _build_unknown_name_error(source, name)
    check_kwargs(architecture["kwargs"], module.KWARG_RULES, f"kwargs that {source}'s networks may take are")
    try:
        network: nn.Module = module.build_classifier(
            name,
            architecture["in_chans"],
            architecture["num_classes"],
            architecture["img_size"],
            **architecture["kwargs"],
        )
    except Exception as error:
        if (unknown := UNEXPECTED_KWARG.search(str(error))) and unknown[1] in architecture["kwargs"]:
            raise UserError(f"architecture.kwargs.{unknown[1]}: {name} does not take {unknown[1]}") from None
        raise UnfitImagesError(
            f"architecture {name} of {source} can't be built so: {_format_first_error_line(error)}"
        ) from None
    return network


def _build_unknown_name_error(source: str, name: str) -> UserError:
    said = f"architecture.name={name[:80]!r}: {source} has no such network"
    return UserError(f"{said}{suggest_architecture(name[:80], source, list_architecture_names(source))}")


def _format_first_error_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
