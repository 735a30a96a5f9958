"""Remove neurons that no longer matter: what nothing reads, and what always gives the same (folded into biases).

Exact in eval mode: what a channel adds to each layer that reads it is a constant, which that layer's bias takes over.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from convarium.compression.deciders.view import Decision, View
from convarium.compression.structure import narrow, sound
from convarium.compression.structure.coupling import Group, Touch
from convarium.compression.structure.cut import removals

SEED = 0
Found = tuple[Group, set[int], Mapping[int, float]]


def dead(view: View) -> Decision:
    """Cut every channel whose filters are all zero, or which is read by zeros only, until there is no other."""
    shape = view.header["input"]["shape"]
    network = sound.plain(view.network)
    found = [group for group in sound.cuttable(network, shape) if group.blocks == 1 and _is_plain(group)]
    gone: dict[str, set[int]] = {group.name: set() for group in found}
    folded: set[str] = set()
    while new := _newly(network, found, gone, shape):
        for group, channels, constants in new:
            folded |= _fold(network, group, channels, constants)
            gone[group.name] |= channels
        for removal in removals(network, found, gone):
            _zero(network, removal.tensor, removal.dimension, removal.positions)
    decision = narrow.narrowed(network, found, {name: sorted(channels) for name, channels in gone.items()}, view)
    biases = {name: network.get_parameter(name).detach() for name in folded}
    return Decision(edits=decision.edits, values={**biases, **decision.values})


def _newly(network: nn.Module, groups: Iterable[Group], gone: Mapping[str, set[int]], shape: list[int]) -> list[Found]:
    """Dead channels that are not gone yet, with what the constant ones give; one channel of each group stays."""
    inputs = _inputs(network, groups, shape)
    found: list[Found] = []
    for group in groups:
        constants = {channel: value for channel, value in _constants(network, group, inputs) if value is not None}
        channels = (_unread(network, group) | constants.keys()) - gone[group.name]
        if len(channels) + len(gone[group.name]) == group.size:
            channels -= {max(channels)} if channels else set()
        if channels:
            found.append((group, channels, constants))
    return found


def _is_plain(group: Group) -> bool:
    return all(touch.side != "tensor" for touch in group.touched)


def _readers(group: Group) -> list[Touch]:
    return [touch for touch in group.touched if touch.side == "in"]


def _unread(network: nn.Module, group: Group) -> set[int]:
    """Channels that all readers multiply by zero."""
    read: set[int] = set()
    for touch in _readers(group):
        size = _weight(network, touch).transpose(0, 1).flatten(1).abs().amax(1)
        read |= {channel for place, channel in touch.pairs if float(size[place]) != 0}
    return set(range(group.size)) - read if _readers(group) else set()


def _constants(network: nn.Module, group: Group, inputs: Mapping[str, Tensor]) -> Iterator[tuple[int, float | None]]:
    """Each channel whose filters are all zero, and the number that all readers see; None where they can't take it."""
    for channel in sorted(_silent(network, group)):
        values = [
            _seen(network.get_submodule(touch.owner), inputs[touch.owner][:, place])
            for touch in _readers(group)
            for place, of in touch.pairs
            if of == channel
        ]
        yield channel, values[0] if len(set(values)) == 1 else None


def _silent(network: nn.Module, group: Group) -> set[int]:
    """Channels that are made by zero filters only."""
    made: set[int] = set()
    for touch in group.touched:
        if touch.side in narrow.FILTERS and f"{touch.owner}.weight" in narrow.filters(network, group):
            size = _weight(network, touch).flatten(1).abs().amax(1)
            made |= {channel for place, channel in touch.pairs if float(size[place]) != 0}
    return set(range(group.size)) - made


def _seen(reader: nn.Module, values: Tensor) -> float | None:
    """The constant among a reader's inputs if its bias can take over what it does with it."""
    first = float(values.flatten()[0])
    if bool((values != first).any()):
        return None
    padded = isinstance(reader, nn.modules.conv._ConvNd) and reader.padding not in (
        "valid",
        (0,) * len(reader.kernel_size),
    )
    return first if first == 0 or (reader.bias is not None and not padded) else None


def _inputs(network: nn.Module, groups: Iterable[Group], shape: list[int]) -> dict[str, Tensor]:
    """What every reader is given for two random images."""
    seen: dict[str, Tensor] = {}
    names = {touch.owner for group in groups for touch in _readers(group)}

    def keep(name: str, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen[name] = given[0]

    hooks = [network.get_submodule(name).register_forward_pre_hook(partial(keep, name)) for name in names]
    with torch.no_grad():
        network(torch.randn(2, *shape, generator=torch.Generator().manual_seed(SEED)))
    for hook in hooks:
        hook.remove()
    return seen


def _fold(network: nn.Module, group: Group, channels: set[int], constants: Mapping[int, float]) -> set[str]:
    """Add to each reader's bias what the constant channels give it; return the biases' names."""
    changed: set[str] = set()
    for touch in _readers(group):
        weight = _weight(network, touch)
        for place, channel in touch.pairs:
            value = constants.get(channel, 0.0)
            if channel in channels and value:
                with torch.no_grad():
                    added = value * weight[:, place].reshape(len(weight), -1).sum(1)
                    network.get_parameter(f"{touch.owner}.bias").add_(added)
                changed.add(f"{touch.owner}.bias")
    return changed


def _weight(network: nn.Module, touch: Touch) -> Tensor:
    return network.get_parameter(f"{touch.owner}.weight").detach()


def _zero(network: nn.Module, name: str, dimension: int, positions: Iterable[int]) -> None:
    parameters = dict(network.named_parameters())
    if name in parameters:
        with torch.no_grad():
            parameters[name].index_fill_(dimension, torch.tensor(sorted(positions)), 0.0)
