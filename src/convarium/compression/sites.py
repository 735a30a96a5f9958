"""Sites: which tensors of a network a method works on, resolved on the bare network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from convarium.errors import UserError
from convarium.representations.filter_layout import FilterLayout

WEIGHTED_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class Site:
    """One weight tensor: its name in the state dict, and its shape."""

    name: str
    shape: tuple[int, ...]


def resolve_sites(network: nn.Module, step: Mapping[str, Any]) -> tuple[Site, ...]:
    """The weights of convolutions and linear layers that `step["sites"]` (a list of patterns) names.

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
    chosen = _match_patterns(step, "sites", weights)
    _match_patterns(step, "per_site", chosen)
    return tuple(chosen.values())


def find_bias_sites(network: nn.Module, step: Mapping[str, Any]) -> tuple[Site, ...]:
    """The biases of all layers whose weights `resolve_sites` gives; tied ones appear once, under their first name."""
    chosen = {site.name for site in resolve_sites(network, step)}
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, WEIGHTED_LAYERS)]
    held = {id(_get_tied_object(module, "weight")) for name, module in layers if _join_name(name, "weight") in chosen}
    found: dict[int, Site] = {}
    for name, module in layers:
        if id(_get_tied_object(module, "weight")) in held and module.bias is not None:
            found.setdefault(
                id(_get_tied_object(module, "bias")), Site(_join_name(name, "bias"), tuple(module.bias.shape))
            )
    return tuple(found.values())


def get_filter_layout(network: nn.Module, site: Site) -> FilterLayout:
    """Return which values of a site are one filter."""
    return FilterLayout.from_layer(network.get_submodule(site.name.rpartition(".")[0]))


def check_sites(network: nn.Module, step: Mapping[str, Any]) -> None:
    """Refuse, in one line, a step that can't work on `network` (which may live on the meta device)."""
    if "sites" in step:
        resolve_sites(network, step)
    kinds = (int,) if {"bits", "quant_max"} & step.keys() else (int, float)
    for pattern, value in (step.get("per_site") or {}).items():
        if type(value) not in kinds:
            kind = "a whole number" if kinds == (int,) else "a number"
            raise UserError(
                f"compression.{_format_method_name(step)}.per_site: '{pattern}' has {value!r}, expected {kind}"
            )
    if step.get("per_site") and step.get("scope") == "global":
        raise UserError(
            f"compression.{_format_method_name(step)}.per_site says nothing with scope=global; leave one of them out"
        )


def get_site_knob(step: Mapping[str, Any], name: str, site: Site) -> Any:
    """The value of the method's main knob for `site`: the first matching pattern of `per_site`, else `step[name]`."""
    for pattern, value in (step.get("per_site") or {}).items():
        if fnmatchcase(site.name, pattern):
            return value
    return step[name]


def _match_patterns(step: Mapping[str, Any], key: str, weights: Mapping[str, Site]) -> dict[str, Site]:
    """The weights that the patterns of a knob match; a pattern that matches none is refused."""
    found: set[str] = set()
    for pattern in step.get(key) or ():
        matches = {name for name in weights if isinstance(pattern, str) and fnmatchcase(name, pattern)}
        if not matches:
            raise UserError(
                f"compression.{_format_method_name(step)}.{key}: {pattern!r} matches no weight (there"
                f" are {_format_first_names(weights)})"
            )
        found |= matches
    return {name: site for name, site in weights.items() if name in found}


def _iterate_weight_sites(network: nn.Module) -> Iterable[tuple[str, Site]]:
    seen: set[int] = set()
    for prefix, module in network.named_modules():
        if isinstance(module, WEIGHTED_LAYERS) and id(owner := _get_tied_object(module, "weight")) not in seen:
            seen.add(id(owner))
            name = _join_name(prefix, "weight")
            yield name, Site(name, tuple(module.weight.shape))


def _get_tied_object(module: nn.Module, leaf: str) -> object:
    """What the owners of a tied tensor have in common: the parameter, or its parametrization."""
    return module.parametrizations[leaf] if is_parametrized(module, leaf) else getattr(module, leaf)  # type: ignore[index]


def _join_name(prefix: str, leaf: str) -> str:
    return f"{prefix}.{leaf}" if prefix else leaf


def _format_method_name(step: Mapping[str, Any]) -> str:
    return str(step.get("name") or step["method"].rpartition("/")[2])


def _format_first_names(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:4]) + (", …" if len(shown) > 4 else "")
