"""Narrow a network: from the channels that groups lose to the decision that carries it out."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import torch
from torch import Tensor, nn

from convarium.architectures import library
from convarium.architectures.ties import find_tied_owners
from convarium.compression import edits
from convarium.compression.deciders.view import Decision, View
from convarium.compression.edits import resize
from convarium.compression.structure import sound
from convarium.compression.structure.coupling import Group
from convarium.compression.structure.cut import removals, without
from convarium.errors import UserError

FILTERS = ("out", "both")


def groups(view: View, network: nn.Module) -> list[Group]:
    """Return the groups that can be cut and all of whose filters are among the view's sites.

    Args:
        network: `sound.plain` of the view's.

    Raises:
        UserError: there is none.
    """
    owner = f"{view.step['method']} on {view.header['architecture']['name']}"
    return among(sound.cuttable, network, view.header["input"]["shape"], {site.name for site in view.sites}, owner)


def among(
    finder: Callable[[nn.Module, Sequence[int]], Iterable[Group]],
    network: nn.Module,
    shape: Sequence[int],
    names: Set[str],
    owner: str,
) -> list[Group]:
    """Return those of the groups that `finder` finds all of whose filters are among `names`.

    Raises:
        UserError: there is none; the line begins with `owner`.
    """
    try:
        everything = list(finder(network, shape))
    except UserError as error:
        raise UserError(f"{owner}: {error}") from None
    if not everything:
        why = ", and layers that share a tensor stay whole" if find_tied_owners(network, modules_once=True) else ""
        raise UserError(f"{owner}: nothing can be cut, no channels can be told apart from those of the others{why}")
    asked = [group for group in everything if filters(network, group) <= names]
    if not asked:
        first = ", ".join(sorted(filters(network, everything[0])))
        raise UserError(f"{owner}: no group of coupled filters lies wholly in its sites (one group is {first})")
    return asked


def filters(network: nn.Module, group: Group) -> set[str]:
    """Return the names of the weights that make a group's channels: of convolutions and linear layers."""
    return {
        f"{touch.owner}.weight"
        for touch in group.touched
        if touch.side in FILTERS and _is_weighted(network, touch.owner)
    }


def strengths(network: nn.Module, group: Group) -> Tensor:
    """Return the sum of the L1 norms of all coupled filters, for each place in a block: (size / blocks,), float64."""
    found = torch.zeros(group.size, dtype=torch.float64)
    for touch in group.touched:
        if touch.side in FILTERS and _is_weighted(network, touch.owner):
            weight = network.get_parameter(f"{touch.owner}.weight").detach()
            norms = weight.flatten(1).abs().sum(1, dtype=torch.float64).cpu()
            places, channels = torch.tensor(touch.pairs).unbind(1)
            found.index_add_(0, channels, norms[places])
    return found.view(group.blocks, -1).mean(0)


def sizes(view: View) -> dict[str, int]:
    """Return the outputs of every layer as they were before the method's first round, by its name."""
    bare = library.build(view.header["architecture"], "meta")
    edits.apply(bare, view.header["surgery"])
    return {
        name: module.weight.shape[0]
        for name, module in bare.named_modules()
        if isinstance(getattr(module, "weight", None), Tensor)
    }


def least(group: Group, scores: Tensor, count: int) -> list[int]:
    """Return the `count` places with the lowest scores, fewer where a layer would lose all that it has of the group."""
    order = torch.sort(scores, stable=True).indices.tolist()
    chosen = order[: max(0, min(count, len(order) - 1))]
    width = group.size // group.blocks
    for touch in group.touched:
        places = {channel % width for _, channel in touch.pairs}
        if places and places <= set(chosen):
            chosen.remove(max(places, key=order.index))
    return sorted(chosen)


def narrowed(network: nn.Module, found: Iterable[Group], choice: Mapping[str, Sequence[int]], view: View) -> Decision:
    """Return the decision to cut `choice`, after a look at whether the network runs without it.

    Raises:
        UserError: it does not.
    """
    cut, values = without(network, removals(network, found, choice))
    if not values:
        return Decision()
    try:
        with torch.no_grad():
            output = cut(torch.zeros(2, *view.header["input"]["shape"]))
    except Exception as error:
        name, first = view.header["architecture"]["name"], str(error).splitlines()[0][:160]
        raise UserError(f"filter pruning does not work on {name}: cut, it fails: {first}") from None
    assert output.shape == (2, view.header["architecture"]["num_classes"])
    return Decision(edits=[resize.between(network, cut)], values=values)


def _is_weighted(network: nn.Module, name: str) -> bool:
    return isinstance(network.get_submodule(name), nn.modules.conv._ConvNd | nn.Linear)
