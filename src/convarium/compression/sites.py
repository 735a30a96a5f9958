"""Sites: which tensors of a network a method works on, resolved on the bare network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from convarium.compression.representations.filters import Filters
from convarium.errors import UserError

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class Site:
    """One weight tensor: its name in the state dict, and its shape."""

    name: str
    shape: tuple[int, ...]


def resolve(network: nn.Module, step: Mapping[str, Any]) -> tuple[Site, ...]:
    """The weights of convolutions and linear layers that `step["sites"]` (a list of patterns) names.

    Tied weights appear once, under their first name.

    Raises:
        UserError: `sites` is empty, or one of its patterns, or of `per_site`'s, names none of these weights.
    """
    weights = dict(_weights(network))
    if not weights:
        raise UserError(f"{step['method']} finds no convolution or linear layer in this network")
    if not step["sites"]:
        raise UserError(f"compression.{_short(step)}.sites=[] names no weight: write patterns, ['*'] for all")
    chosen = _matched(step, "sites", weights)
    _matched(step, "per_site", chosen)
    return tuple(chosen.values())


def biases(network: nn.Module, step: Mapping[str, Any]) -> tuple[Site, ...]:
    """The biases of all layers whose weights `resolve` gives; tied ones appear once, under their first name."""
    chosen = {site.name for site in resolve(network, step)}
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, WEIGHTED)]
    held = {id(_held(module, "weight")) for name, module in layers if _leaf(name, "weight") in chosen}
    found: dict[int, Site] = {}
    for name, module in layers:
        if id(_held(module, "weight")) in held and module.bias is not None:
            found.setdefault(id(_held(module, "bias")), Site(_leaf(name, "bias"), tuple(module.bias.shape)))
    return tuple(found.values())


def filters(network: nn.Module, site: Site) -> Filters:
    """Return which values of a site are one filter."""
    return Filters.of(network.get_submodule(site.name.rpartition(".")[0]))


def check(network: nn.Module, step: Mapping[str, Any]) -> None:
    """Refuse, in one line, a step that can't work on `network` (which may live on the meta device)."""
    if "sites" in step:
        resolve(network, step)
    kinds = (int,) if {"bits", "quant_max"} & step.keys() else (int, float)
    for pattern, value in (step.get("per_site") or {}).items():
        if type(value) not in kinds:
            kind = "a whole number" if kinds == (int,) else "a number"
            raise UserError(f"compression.{_short(step)}.per_site: '{pattern}' has {value!r}, expected {kind}")
    if step.get("per_site") and step.get("scope") == "global":
        raise UserError(f"compression.{_short(step)}.per_site says nothing with scope=global; leave one of them out")


def knob(step: Mapping[str, Any], name: str, site: Site) -> Any:
    """The value of the method's main knob for `site`: the first matching pattern of `per_site`, else `step[name]`."""
    for pattern, value in (step.get("per_site") or {}).items():
        if fnmatchcase(site.name, pattern):
            return value
    return step[name]


def _matched(step: Mapping[str, Any], knob: str, weights: Mapping[str, Site]) -> dict[str, Site]:
    """The weights that the patterns of a knob match; a pattern that matches none is refused."""
    found: set[str] = set()
    for pattern in step.get(knob) or ():
        matches = {name for name in weights if isinstance(pattern, str) and fnmatchcase(name, pattern)}
        if not matches:
            raise UserError(
                f"compression.{_short(step)}.{knob}: {pattern!r} matches no weight (there are {_some(weights)})"
            )
        found |= matches
    return {name: site for name, site in weights.items() if name in found}


def _weights(network: nn.Module) -> Iterable[tuple[str, Site]]:
    seen: set[int] = set()
    for prefix, module in network.named_modules():
        if isinstance(module, WEIGHTED) and id(owner := _held(module, "weight")) not in seen:
            seen.add(id(owner))
            name = _leaf(prefix, "weight")
            yield name, Site(name, tuple(module.weight.shape))


def _held(module: nn.Module, leaf: str) -> object:
    """What the owners of a tied tensor have in common: the parameter, or its parametrization."""
    return module.parametrizations[leaf] if is_parametrized(module, leaf) else getattr(module, leaf)  # type: ignore[index]


def _leaf(prefix: str, leaf: str) -> str:
    return f"{prefix}.{leaf}" if prefix else leaf


def _short(step: Mapping[str, Any]) -> str:
    return str(step.get("name") or step["method"].rpartition("/")[2])


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:4]) + (", …" if len(shown) > 4 else "")
