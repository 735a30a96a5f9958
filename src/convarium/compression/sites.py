"""Sites: the tensors of a network that a method works on, resolved on the network as it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from convarium.errors import UserError
from convarium.representations.filter_layout import FilterLayout

MAX_SHOWN_NAMES = 4
WHOLE_NUMBER_KNOBS = {"bits", "quant_max"}
WEIGHTED_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class Site:
    """One weight tensor: its name in the state dict, and its shape."""

    name: str
    shape: tuple[int, ...]


def resolve_sites(network: nn.Module, step: Mapping[str, Any]) -> tuple[Site, ...]:
    """Return the weights of convolutions and linear layers that `step["sites"]` (a list of patterns) names.

    Tied weights appear once, under their first name.

    Raises:
        UserError: `sites` is empty, or one of its patterns, or of `per_site`'s, names none of these weights.
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
    """Return the biases of all layers whose weights `resolve_sites` gives; tied ones once, under their first name."""
    weight_names = {site.name for site in resolve_sites(network, step)}
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, WEIGHTED_LAYERS)]
    # By identity: a tied weight is named after one of its layers, and each of them may have a bias of its own.
    weight_ids = {
        id(_get_tied_object(module, "weight")) for name, module in layers if _join_name(name, "weight") in weight_names
    }
    biases_by_id: dict[int, Site] = {}
    for name, module in layers:
        if id(_get_tied_object(module, "weight")) in weight_ids and module.bias is not None:
            bias = Site(_join_name(name, "bias"), tuple(module.bias.shape))
            biases_by_id.setdefault(id(_get_tied_object(module, "bias")), bias)
    return tuple(biases_by_id.values())


def get_filter_layout(network: nn.Module, site: Site) -> FilterLayout:
    """Return which values of a site are one filter."""
    layer_name, _, _ = site.name.rpartition(".")
    return FilterLayout.from_layer(network.get_submodule(layer_name))


def check_sites(network: nn.Module, step: Mapping[str, Any]) -> None:
    """Refuse, in one line, a step that can't work on `network` (which may live on the meta device).

    Raises:
        UserError: what `resolve_sites` raises, or `per_site` has no number or has no effect.
    """
    if "sites" in step:
        resolve_sites(network, step)
    per_site = step.get("per_site") or {}
    where = f"compression.{_format_method_name(step)}.per_site"
    is_whole = bool(WHOLE_NUMBER_KNOBS & step.keys())
    for pattern, value in per_site.items():
        # By exact type: a bool is an int too.
        if type(value) is not int and (is_whole or type(value) is not float):
            expected = "a whole number" if is_whole else "a number"
            raise UserError(f"{where}: '{pattern}' has {value!r}, expected {expected}")
    if per_site and step.get("scope") == "global":
        raise UserError(f"{where} says nothing with scope=global; leave one of them out")


def get_site_knob(step: Mapping[str, Any], name: str, site: Site) -> Any:
    """Return the method's main knob for `site`: of the first matching pattern of `per_site`, else `step[name]`."""
    for pattern, value in (step.get("per_site") or {}).items():
        if fnmatchcase(site.name, pattern):
            return value
    return step[name]


def _match_patterns(step: Mapping[str, Any], key: str, weights: Mapping[str, Site]) -> dict[str, Site]:
    """The weights that the patterns of a knob match; a pattern that matches none is refused."""
    matching_names: set[str] = set()
    for pattern in step.get(key) or ():
        matches = {name for name in weights if isinstance(pattern, str) and fnmatchcase(name, pattern)}
        if not matches:
            where = f"compression.{_format_method_name(step)}.{key}"
            raise UserError(f"{where}: {pattern!r} matches no weight (there are {_format_first_names(weights)})")
        matching_names |= matches
    # In the network's order, not the patterns'.
    return {name: site for name, site in weights.items() if name in matching_names}


def _iterate_weight_sites(network: nn.Module) -> Iterable[tuple[str, Site]]:
    """The weights of all layers that have sites, by name; tied ones once."""
    seen_ids: set[int] = set()
    for prefix, module in network.named_modules():
        if not isinstance(module, WEIGHTED_LAYERS):
            continue
        weight_id = id(_get_tied_object(module, "weight"))
        if weight_id not in seen_ids:
            seen_ids.add(weight_id)
            name = _join_name(prefix, "weight")
            yield name, Site(name, tuple(module.weight.shape))


def _get_tied_object(module: nn.Module, leaf: str) -> object:
    """What the owners of a tied tensor have in common: the parameter, or its parametrization."""
    return module.parametrizations[leaf] if is_parametrized(module, leaf) else getattr(module, leaf)  # type: ignore[index]


def _join_name(prefix: str, leaf: str) -> str:
    return f"{prefix}.{leaf}" if prefix else leaf


def _format_method_name(step: Mapping[str, Any]) -> str:
    """The name that a method's knobs go by on the command line."""
    return str(step.get("name") or step["method"].rpartition("/")[2])


def _format_first_names(names: Iterable[str]) -> str:
    all_names = list(names)
    ellipsis = ", …" if len(all_names) > MAX_SHOWN_NAMES else ""
    return ", ".join(all_names[:MAX_SHOWN_NAMES]) + ellipsis
