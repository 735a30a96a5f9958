"""The layers of a network as JSON, those of a stored one with what its file holds of each."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from convarium.cli.subject import Subject
    from convarium.measurement.layers import Layer

Json = dict[str, Any]


def rows(subject: "Subject") -> list[Json]:
    """The layers as JSON; of a stored network also how many values of each are not 0, and the bytes that hold it."""
    from convarium.measurement.layers import layers

    held = _held(subject) if subject.stored else {}
    return [_row(layer, held) for layer in layers(subject.network, subject.shape)]


def _row(layer: "Layer", held: Mapping[str, tuple[int, int]]) -> Json:
    row = {key: getattr(layer, key) for key in ("name", "type", "output", "calls", "parameters", "macs")}
    own = [held[name] for name in layer.tensors if name in held]
    return {**row, **({"nonzeros": sum(n for n, _ in own), "bytes": sum(size for _, size in own)} if held else {})}


def _held(subject: "Subject") -> dict[str, tuple[int, int]]:
    """By each tensor's name, its nonzeros (of parameters) and its bytes in the file; a tied one only by its first."""
    assert subject.stored is not None
    parameters = dict(subject.network.named_parameters())
    found, told = {}, set[str]()
    sizes, first = subject.stored.file.sizes, _first_names(subject.network)
    for name, tensor in subject.network.state_dict(keep_vars=True).items():
        if (site := first[id(tensor)]) not in told:
            told.add(site)
            found[name] = int(tensor.count_nonzero()) if name in parameters else 0, sizes[site]
    return found


def _first_names(network: "nn.Module") -> dict[int, str]:
    """A file knows a tied tensor by the first of its names in sorted order."""
    return {id(tensor): name for name, tensor in sorted(network.state_dict(keep_vars=True).items(), reverse=True)}
