"""The layers of a network as JSON, those of a stored one with what its file holds of each."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from convarium.cli.inspected_network import InspectedNetwork
    from convarium.cost.layers import Layer

Json = dict[str, Any]


def build_layer_rows(subject: "InspectedNetwork") -> list[Json]:
    """The layers as JSON; of a stored network also how many values of each are not 0, and the bytes that hold it."""
    from convarium.cost.layers import list_layers

    held = _measure_stored_tensors(subject) if subject.stored else {}
    return [_build_layer_row(layer, held) for layer in list_layers(subject.network, subject.shape)]


def _build_layer_row(layer: "Layer", stored_sizes: Mapping[str, tuple[int, int]]) -> Json:
    row = {key: getattr(layer, key) for key in ("name", "type", "output", "calls", "parameters", "macs")}
    own = [stored_sizes[name] for name in layer.tensor_names if name in stored_sizes]
    return {
        **row,
        **({"nonzeros": sum(n for n, _ in own), "bytes": sum(size for _, size in own)} if stored_sizes else {}),
    }


def _measure_stored_tensors(subject: "InspectedNetwork") -> dict[str, tuple[int, int]]:
    """By each tensor's name, its nonzeros (of parameters) and its bytes in the file; a tied one only by its first."""
    assert subject.stored is not None
    parameters = dict(subject.network.named_parameters())
    found, told = {}, set[str]()
    sizes, first = subject.stored.file.bytes_by_site, _map_first_names(subject.network)
    for name, tensor in subject.network.state_dict(keep_vars=True).items():
        if (site := first[id(tensor)]) not in told:
            told.add(site)
            found[name] = int(tensor.count_nonzero()) if name in parameters else 0, sizes[site]
    return found


def _map_first_names(network: "nn.Module") -> dict[int, str]:
    """A file knows a tied tensor by the first of its names in sorted order."""
    return {id(tensor): name for name, tensor in sorted(network.state_dict(keep_vars=True).items(), reverse=True)}
