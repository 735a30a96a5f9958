"""Build a network from plain data: a source (own, torchvision, timm), a name, checked arguments."""

import re
from collections.abc import Mapping
from contextlib import nullcontext
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import nn

from convarium.architectures import own_networks, small_stem, weight_norm_folding
from convarium.architectures.builder import MAX_VALUE_CHARS, check_kwargs, int_between, one_of, suggest_key
from convarium.architectures.image_sizes import UnfitImagesError
from convarium.architectures.name_suggestions import check_architecture_name
from convarium.architectures.unsaved_tensors import move_network
from convarium.architectures.weights import Weights
from convarium.config.schema import LAYER_KEYS
from convarium.errors import UserError, format_first_line

KEY_RULES = {
    "source": one_of("own", "torchvision", "timm"),
    "name": None,  # checked by itself, once the source is known
    "in_chans": int_between(1, 4096),
    "num_classes": int_between(1, 1_000_000),
    "img_size": int_between(1, 4096),
    "stem": one_of("native", "small"),
    "kwargs": None,  # each builder has its own rules
}
MISSING_VALUE = "???"  # how Hydra writes a value that must be given
UNEXPECTED_KWARG = re.compile(r"unexpected keyword argument '(\w+)'")


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
        build = own_networks.build_own_network if source == "own" else _build_from_library
        network = build(architecture)
    weight_norm_folding.remove_reparametrizations(network, name)
    if architecture["stem"] == "small":
        if source == "own":
            raise UserError(f"architecture.stem=small: {name} is made for small images already; use stem=native")
        small_stem.apply_small_stem(network, name)
    # `torch.device` only reaches torch's factory functions, so a tensor made from an array is still on the CPU.
    return move_network(network, device) if device else network


def condense_architecture(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return the architecture of the trained network as its file has it: what is measured, compressed and exported.

    It differs from the network in training where that condenses (`convarium.architectures.condensing`).
    """
    if architecture["source"] != "own" or not isinstance(architecture["kwargs"], Mapping):
        return dict(architecture)
    builder = own_networks.find_builder(architecture["name"])
    condensed_kwargs = builder.condensed_kwargs if builder else {}
    return {**architecture, "kwargs": {**architecture["kwargs"], **condensed_kwargs}}


def fetch_pretrained(architecture: Mapping[str, Any]) -> Weights:
    """Fetch the weights that torchvision or timm trained for an architecture's name.

    Raises:
        UserError: there are none, or they can't be fetched.
    """
    source, name = architecture["source"], architecture["name"]
    if source == "own":
        raise UserError(f"architecture {name} has no pretrained weights; architecture=timm and torchvision have some")
    try:
        weights: Weights = _import_library(source).fetch_pretrained(name)
    except Exception as error:
        raise UserError(
            f"the pretrained weights of {name} can't be had from {source}: {format_first_line(error)}; "
            "with a file of them: convarium adopt FILE"
        ) from None
    return weights


def find_native_sizes(source: str, name: str) -> dict[str, int]:
    """Return in_chans, num_classes and img_size that a library made a network for; empty where it does not say."""
    if source == "own" or name not in list_architecture_names(source):
        return {}
    sizes = _import_library(source).find_native_sizes(name)
    if sizes is None:
        return {}
    return dict(zip(("in_chans", "num_classes", "img_size"), sizes, strict=True))


def list_architecture_names(source: str) -> list[str]:
    """Return every name that `source` (own, torchvision, timm) can build, sorted."""
    if source == "own":
        return sorted(own_networks.collect_builders())
    return list(_import_library(source).list_names())


def _import_library(source: str) -> ModuleType:
    """Import `from_timm` or `from_torchvision`, which have the same functions."""
    return import_module(f"convarium.architectures.from_{source}")


def _check_keys(architecture: Mapping[str, Any]) -> None:
    for key, rule in KEY_RULES.items():
        if key not in architecture:
            raise UserError(f"architecture.{key} is missing")
        value = architecture[key]
        if rule and not rule.accepts(value):
            raise UserError(f"architecture.{key}={str(value)[:MAX_VALUE_CHARS]!r}: expected {rule.expected}")
    source, name = architecture["source"], architecture["name"]
    known_keys = {*KEY_RULES, *LAYER_KEYS} if source == "own" else set(KEY_RULES)
    for key in architecture:
        if key not in known_keys:
            raise UserError(f"architecture.{key}: unknown key{suggest_key(str(key), list(KEY_RULES))}")
    if not isinstance(name, str) or name in ("", MISSING_VALUE):
        example = list_architecture_names(source)[0]
        raise UserError(f"architecture.name is missing: name a network of {source}, such as {example}")


def _build_from_library(architecture: Mapping[str, Any]) -> nn.Module:
    source, name, kwargs = architecture["source"], architecture["name"], architecture["kwargs"]
    library = _import_library(source)
    check_architecture_name(name, source, library.list_names())
    check_kwargs(kwargs, library.KWARG_RULES, f"kwargs that {source}'s networks may take are")
    input_and_output = (architecture["in_chans"], architecture["num_classes"], architecture["img_size"])
    try:
        network: nn.Module = library.build_classifier(name, *input_and_output, **kwargs)
    except Exception as error:
        # Neither library says which networks take which keyword: only the call shows it.
        unexpected = UNEXPECTED_KWARG.search(str(error))
        if unexpected and unexpected[1] in kwargs:
            raise UserError(f"architecture.kwargs.{unexpected[1]}: {name} does not take {unexpected[1]}") from None
        reason = format_first_line(error)
        raise UnfitImagesError(f"architecture {name} of {source} can't be built so: {reason}") from None
    return network
