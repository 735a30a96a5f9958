"""Rows of a table of layers as JSON; of a stored network with the bytes of each layer in its file."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from convarium.cli.inspected_network import InspectedNetwork
    from convarium.cost.layers import Layer
    from convarium.cvm.container import CompressedFile

Json = dict[str, Any]


def build_layer_rows(inspected: "InspectedNetwork") -> list[Json]:
    """Return the layers as JSON; of a stored network also their nonzero parameters and their bytes in the file."""
    from convarium.cost.layers import list_layers

    stored_sizes = _measure_stored_tensors(inspected.network, inspected.stored.file) if inspected.stored else {}
    return [_build_layer_row(layer, stored_sizes) for layer in list_layers(inspected.network, inspected.shape)]


def _build_layer_row(layer: "Layer", stored_sizes: Mapping[str, tuple[int, int]]) -> Json:
    row = {key: getattr(layer, key) for key in ("name", "type", "output", "calls", "parameters", "macs")}
    if stored_sizes:
        sizes = [stored_sizes[name] for name in layer.tensor_names if name in stored_sizes]
        row["nonzeros"] = sum(nonzeros for nonzeros, _ in sizes)
        row["bytes"] = sum(bytes_in_file for _, bytes_in_file in sizes)
    return row


def _measure_stored_tensors(network: "nn.Module", file: "CompressedFile") -> dict[str, tuple[int, int]]:
    """Return, by the name of a tensor, its nonzeros (of a parameter; 0 of a buffer) and its bytes in the file.

    A tied tensor is listed once, under the first of its names in the network.
    """
    parameter_names = dict(network.named_parameters())
    site_by_tensor = _map_sites(network)
    sizes: dict[str, tuple[int, int]] = {}
    counted_sites = set()
    for name, tensor in network.state_dict(keep_vars=True).items():
        site = site_by_tensor[id(tensor)]
        if site in counted_sites:
            continue
        counted_sites.add(site)
        nonzeros = int(tensor.count_nonzero()) if name in parameter_names else 0
        sizes[name] = nonzeros, file.bytes_by_site[site]
    return sizes


def _map_sites(network: "nn.Module") -> dict[int, str]:
    """Return the name under which a file has each tensor, by the tensor's id."""
    # A file has a tied tensor under the first of its names in sorted order: in reverse order that one comes last.
    tensors = network.state_dict(keep_vars=True)
    return {id(tensor): name for name, tensor in sorted(tensors.items(), reverse=True)}
