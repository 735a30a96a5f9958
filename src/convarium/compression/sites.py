"""Sites: the weight tensors that a method works on, found in the network by the patterns of its `sites` knob."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from convarium.errors import UserError
from convarium.representations.filter_layout import FilterLayout
from convarium.representations.tensor_owners import get_tied_object

MAX_SHOWN_NAMES = 4
WHOLE_NUMBER_KNOBS = {"bits", "quant_max"}  # a method that has one of them takes whole numbers in `per_site`
WEIGHTED_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class Site:
    """A tensor by its name in the state dict, with its shape."""

    name: str
    shape: tuple[int, ...]


def resolve_sites(network: nn.Module, step: Mapping[str, Any]) -> tuple[Site, ...]:
    """Return the weights of convolutions and linear layers whose names match a pattern of `step["sites"]`.

    They come in the network's order. Tied weights appear once, under their first name.

    Raises:
        UserError: `sites` is empty, the network has no such layer, or a pattern of `sites` matches no weight, or one
            of `per_site` no site.
    """
    weights = dict(_iterate_weight_sites(network))
    if not weights:
        raise UserError(f"{step['method']} finds no convolution or linear layer in this network")
    if not step["sites"]:
        raise UserError(
            f"compression.{_format_method_name(step)}.sites=[] names no weight: write patterns, ['*'] for all"
        )
    sites_by_name = _match_patterns(step, "sites", weights)
    _match_patterns(step, "per_site", sites_by_name)
    return tuple(sites_by_name.values())


def find_bias_sites(network: nn.Module, step: Mapping[str, Any]) -> tuple[Site, ...]:
    """Return the biases of all layers with a weight among `resolve_sites`; tied ones once, under their first name."""
    weight_names = {site.name for site in resolve_sites(network, step)}
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, WEIGHTED_LAYERS)]
    # By identity: a tied weight is named after one of its layers, and each of them may have a bias of its own.
    weight_ids: set[int] = set()
    for name, layer in layers:
        if _join_name(name, "weight") in weight_names:
            weight_ids.add(id(get_tied_object(layer, "weight")))
    biases_by_id: dict[int, Site] = {}
    for name, layer in layers:
        weight_id = id(get_tied_object(layer, "weight"))
        if weight_id in weight_ids and layer.bias is not None:
            bias = Site(_join_name(name, "bias"), tuple(layer.bias.shape))
            biases_by_id.setdefault(id(get_tied_object(layer, "bias")), bias)
    return tuple(biases_by_id.values())


def get_filter_layout(network: nn.Module, site: Site) -> FilterLayout:
    """Return how the values of a site's tensor are divided into filters."""
    layer_name, _, _ = site.name.rpartition(".")
    return FilterLayout.from_layer(network.get_submodule(layer_name))


def check_sites(network: nn.Module, step: Mapping[str, Any]) -> None:
    """Check a step's `sites` and `per_site` on `network` (which may be on the meta device).

    Raises:
        UserError: as `resolve_sites`, or a value of `per_site` is not a number (a whole one where the knob is), or
            `per_site` has no effect because the scope is global.
    """
    if "sites" in step:
        resolve_sites(network, step)
    per_site = step.get("per_site") or {}
    where = f"compression.{_format_method_name(step)}.per_site"
    needs_whole_number = bool(WHOLE_NUMBER_KNOBS & step.keys())
    number_types = (int,) if needs_whole_number else (int, float)
    for pattern, value in per_site.items():
        # By exact type: a bool is an int too.
        if type(value) not in number_types:
            expected = "a whole number" if needs_whole_number else "a number"
            raise UserError(f"{where}: '{pattern}' has {value!r}, expected {expected}")
    if per_site and step.get("scope") == "global":
        raise UserError(f"{where} says nothing with scope=global; leave one of them out")


def get_site_knob(step: Mapping[str, Any], name: str, site: Site) -> Any:
    """Return a knob's value for `site`: that of the first pattern of `per_site` that matches, else `step[name]`."""
    per_site = step.get("per_site") or {}
    for pattern, value in per_site.items():
        if fnmatchcase(site.name, pattern):
            return value
    return step[name]


def _match_patterns(step: Mapping[str, Any], key: str, weights: Mapping[str, Site]) -> dict[str, Site]:
    """Weights that match a pattern of the knob `key`, in the order of `weights`.

    Raises:
        UserError: a pattern matches no weight.
    """
    matching_names: set[str] = set()
    for pattern in step.get(key) or ():
        # YAML may give a number in place of a pattern.
        matches = {name for name in weights if isinstance(pattern, str) and fnmatchcase(name, pattern)}
        if not matches:
            where = f"compression.{_format_method_name(step)}.{key}"
            raise UserError(f"{where}: {pattern!r} matches no weight (there are {_format_first_names(weights)})")
        matching_names |= matches
    return {name: site for name, site in weights.items() if name in matching_names}


def _iterate_weight_sites(network: nn.Module) -> Iterable[tuple[str, Site]]:
    """Names and sites of the weights of all convolutions and linear layers; tied ones once."""
    seen_ids: set[int] = set()
    for layer_name, module in network.named_modules():
        if not isinstance(module, WEIGHTED_LAYERS):
            continue
        weight_id = id(get_tied_object(module, "weight"))
        if weight_id in seen_ids:
            continue
        seen_ids.add(weight_id)
        name = _join_name(layer_name, "weight")
        yield name, Site(name, tuple(module.weight.shape))


def _join_name(prefix: str, leaf: str) -> str:
    return f"{prefix}.{leaf}" if prefix else leaf


def _format_method_name(step: Mapping[str, Any]) -> str:
    """Name under which the command line addresses a step's knobs: its own, else its method's without the folder."""
    return str(step.get("name") or step["method"].rpartition("/")[2])


def _format_first_names(names: Iterable[str]) -> str:
    all_names = list(names)
    ellipsis = ", …" if len(all_names) > MAX_SHOWN_NAMES else ""
    return ", ".join(all_names[:MAX_SHOWN_NAMES]) + ellipsis
