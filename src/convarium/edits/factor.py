"""Layers split in two plain ones: the record of a low-rank decomposition.

`{"op": "factor", "form": "channel", "ranks": {"conv1": 5, "fc1": 30}}`: a linear layer becomes two, a convolution one
of its own size with `rank` filters and then one of 1x1 (channel), or one of k x 1 and one of 1 x k (spatial). The first
has no bias; the second has that of the layer, where it has one. The layer's name is then that of a `nn.Sequential`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from convarium.errors import UserError

FACTOR_FORMS = ("channel", "spatial")
MAX_RANK = 1 << 20
MAX_LAYERS = 10_000

Json = Mapping[str, Any]


def check_edit(edit: Json) -> None:
    """Check types and bounds.

    Raises:
        UserError: a key, a form, a name or a rank that no factor has.
    """
    if set(edit) != {"op", "form", "ranks"} or edit["form"] not in FACTOR_FORMS:
        raise UserError("surgery: factor has the keys op, form (channel or spatial) and ranks")
    if not isinstance(edit["ranks"], dict) or len(edit["ranks"]) > MAX_LAYERS:
        raise UserError(f"surgery: ranks of a factor is not a mapping of at most {MAX_LAYERS} names")
    for name, rank in edit["ranks"].items():
        if not isinstance(name, str) or not 0 < len(name) <= 1000 or type(rank) is not int or not 1 <= rank <= MAX_RANK:
            raise UserError(f"surgery: {str(name)[:80]!r}: expected a rank in 1..{MAX_RANK}")


def apply_edit(network: nn.Module, edit: Json) -> None:
    """Replace the layers; the new ones lie on the device of the old ones, with any values.

    Raises:
        UserError: no such layer, or one that has no such form.
    """
    for name, rank in edit["ranks"].items():
        try:
            layer = network.get_submodule(name)
        except AttributeError:
            raise UserError(f"surgery: the network has no layer '{name[:80]}'") from None
        if not is_factorable(layer, edit["form"]):
            raise UserError(f"surgery: layer '{name[:80]}' can't be factored ({edit['form']})")
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, _build_pair(layer, edit["form"], rank).train(layer.training))


def is_factorable(layer: nn.Module, form: str) -> bool:
    """Whether a layer has this form: plain linear layers, and plain convolutions of one group, larger than 1x1."""
    if type(layer) is nn.Linear:
        return True
    if type(layer) is not nn.Conv2d or layer.groups != 1 or isinstance(layer.padding, str):
        return False
    return form == "channel" or (min(layer.kernel_size) > 1 and layer.padding_mode == "zeros")


def _build_pair(layer: nn.Module, form: str, rank: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]), torch.device(next(layer.parameters()).device):
        if isinstance(layer, nn.Linear):
            first = nn.Linear(layer.in_features, rank, bias=False)
            return nn.Sequential(first, nn.Linear(rank, layer.out_features, layer.bias is not None))
        assert isinstance(layer, nn.Conv2d)
        return _build_channel_pair(layer, rank) if form == "channel" else _build_spatial_pair(layer, rank)


def _build_channel_pair(layer: nn.Conv2d, rank: int) -> nn.Sequential:
    how: Any = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "padding_mode")}
    first = nn.Conv2d(layer.in_channels, rank, _get_two_sizes(layer.kernel_size), bias=False, **how)
    return nn.Sequential(first, nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None))


def _build_spatial_pair(layer: nn.Conv2d, rank: int) -> nn.Sequential:
    (high, wide), (down, right) = _get_two_sizes(layer.kernel_size), _get_two_sizes(layer.stride)
    (top, left), (rows, columns) = _get_two_sizes(layer.padding), _get_two_sizes(layer.dilation)
    first = nn.Conv2d(layer.in_channels, rank, (high, 1), (down, 1), (top, 0), (rows, 1), bias=False)
    second = nn.Conv2d(
        rank, layer.out_channels, (1, wide), (1, right), (0, left), (1, columns), bias=layer.bias is not None
    )
    return nn.Sequential(first, second)


def _get_two_sizes(sizes: Any) -> tuple[int, int]:
    return int(sizes[0]), int(sizes[1])
