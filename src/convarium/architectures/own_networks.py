"""Builders of our own networks and of outside packages: found by name, called with checked arguments."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from torch import nn

from convarium import architectures
from convarium.architectures.builder import Builder, check_kwargs
from convarium.architectures.name_suggestions import check_architecture_name
from convarium.config.schema import LAYER_KEYS
from convarium.errors import UserError, format_first_line
from convarium.lookup import find_allowed, is_outside_name

SECTIONS = ("basic", "splitting", "cross_layer", "depthwise", "transformer")


@cache
def collect_builders() -> dict[str, Builder]:
    """Return the builders of all our networks by name: those in BUILDERS of every module in the sections' folders."""
    builders: dict[str, Builder] = {}
    for section in SECTIONS:
        package = import_module(f"{architectures.__name__}.{section}")
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            builders |= import_module(module.name).BUILDERS
    return builders


def find_builder(name: str) -> Builder | None:
    """Return the builder of one of our networks or of an allowed outside package; None where none has this name.

    Raises:
        UserError: an outside name whose package is not allowed, or that is not a builder.
    """
    return _find_outside_builder(name) if is_outside_name(name) else collect_builders().get(name)


def build_own_network(architecture: Mapping[str, Any]) -> nn.Module:
    """Build a network of ours or of an outside package, as `factory.build_architecture` says.

    Raises:
        UserError: an unknown name or argument, a value out of bounds, or an outside builder that fails.
    """
    name = architecture["name"]
    if is_outside_name(name):
        return _build_outside_network(architecture)
    builders = collect_builders()
    check_architecture_name(name, "own", builders)
    return _call_builder(builders[name], architecture)


def _find_outside_builder(name: str) -> Builder:
    builder = find_allowed("architectures", name)
    if not isinstance(builder, Builder):
        raise UserError(f"architecture.name={name!r} is not a convarium.architectures.builder.Builder")
    return builder


def _build_outside_network(architecture: Mapping[str, Any]) -> nn.Module:
    """Call a builder whose code is not ours: any failure of it ends in one line."""
    name = architecture["name"]
    builder = _find_outside_builder(name)
    try:
        network = _call_builder(builder, architecture)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"architecture {name} can't be built so: {format_first_line(error)}") from None
    if not isinstance(network, nn.Module):
        raise UserError(f"architecture {name} is {type(network).__name__}, its builder must return a torch.nn.Module")
    return network


def _call_builder(builder: Builder, architecture: Mapping[str, Any]) -> nn.Module:
    subject = f"{architecture['name']} takes"
    check_kwargs(architecture["kwargs"], builder.kwarg_rules, subject)
    layers = {key: architecture[key] for key in LAYER_KEYS if key in architecture}
    check_kwargs(layers, builder.layer_rules, subject, where="architecture")
    input_and_output = (architecture["in_chans"], architecture["num_classes"], architecture["img_size"])
    return builder.build(*input_and_output, **architecture["kwargs"], **layers)
