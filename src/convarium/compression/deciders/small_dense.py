"""A smaller network of the same architecture, from scratch: the control that every cut network must beat.

Its structure is the full one with the same share of channels less in each group. Its initial weights are those of a
newly built full network in the channels that are left (evenly spaced), times the square root of how many times fewer
inputs a layer has: so each layer passes on the variance that the architecture's own initialisation gives it.
"""

import torch
from torch import Tensor, nn

from convarium.architectures import library
from convarium.compression.deciders import filter_l1
from convarium.compression.deciders.view import Decision, Json, View
from convarium.compression.structure import narrow, sound
from convarium.compression.structure.coupling import Group
from convarium.compression.structure.cut import removals, spread, without


def small_dense(view: View) -> Decision:
    """Cut a share `channels_removed` of the channels of each group, none at 0; every tensor gets a new value."""
    network = sound.plain(_fresh(view))
    groups = narrow.groups(view, network) if view.step["channels_removed"] else []
    choice = {group.name: spread(group, _between(group, view.step["channels_removed"])) for group in groups}
    decision = narrow.narrowed(network, groups, choice, view)
    cut, _ = without(network, removals(network, groups, choice))
    return Decision(edits=decision.edits, values=_rescaled(network, cut))


def check(network: nn.Module, step: Json) -> None:
    """Refuse a network of which nothing can be cut (see `filter_l1.check`), where something is to be."""
    if step["channels_removed"] or "budget" in step:
        filter_l1.check(network, step)


def _fresh(view: View) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(view.generator.initial_seed())
        return library.build(view.header["architecture"])


def _between(group: Group, channels_removed: float) -> list[int]:
    """The places that go when the ones that stay are evenly spaced."""
    width = group.size // group.blocks
    stay = max(1, round(width * (1 - channels_removed)))
    kept = {(2 * number + 1) * width // (2 * stay) for number in range(stay)}
    return narrow.least(group, torch.tensor([float(place in kept) for place in range(width)]), width - stay)


def _rescaled(full: nn.Module, cut: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers of `cut`, weights scaled by sqrt(inputs before / inputs now)."""
    found = {**dict(cut.named_parameters()), **dict(cut.named_buffers())}
    before = dict(full.named_parameters())
    for name, module in cut.named_modules():
        weight = f"{name}.weight" if name else "weight"
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear) and weight in found:
            fewer = before[weight][0].numel() / found[weight][0].numel()
            found[weight] = found[weight] * fewer**0.5
    return {name: tensor.detach().clone() for name, tensor in found.items() if name in cut.state_dict()}
