"""The edit of a low-rank decomposition: it splits layers in two plain ones.

`{"op": "factor", "form": "channel", "ranks": {"conv1": 5, "fc1": 30}}`: a linear layer becomes two, a convolution
becomes one of its own kernel size with `rank` filters and then one of 1x1 (channel), or one of k x 1 and one of 1 x k
(spatial). The first has no bias, the second has one if the layer has. The layer's name becomes that of the
`nn.Sequential` of both.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from convarium.errors import UserError

FACTOR_FORMS = ("channel", "spatial")
# Bounds on what a damaged or hostile file can ask for.
MAX_RANK = 1 << 20
MAX_LAYERS = 10_000
MAX_NAME_CHARS = 1000

Json = Mapping[str, Any]


def check_edit(edit: Json) -> None:
    """Check the types and bounds of a record, without a network.

    Raises:
        UserError: a key, form, name or rank is not one of a factor record.
    """
    if set(edit) != {"op", "form", "ranks"} or edit["form"] not in FACTOR_FORMS:
        raise UserError("surgery: factor has the keys op, form (channel or spatial) and ranks")
    if not isinstance(edit["ranks"], dict) or len(edit["ranks"]) > MAX_LAYERS:
        raise UserError(f"surgery: ranks of a factor is not a mapping of at most {MAX_LAYERS} names")
    for name, rank in edit["ranks"].items():
        is_name = isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARS
        is_rank = type(rank) is int and 1 <= rank <= MAX_RANK  # by exact type: a bool is an int too
        if not is_name or not is_rank:
            raise UserError(f"surgery: {str(name)[:80]!r}: expected a rank in 1..{MAX_RANK}")


def apply_edit(network: nn.Module, edit: Json) -> None:
    """Replace each layer by two on its device, which have arbitrary values.

    Raises:
        UserError: the network has no such layer, or the layer can't be split in this form.
    """
    form = edit["form"]
    for name, rank in edit["ranks"].items():
        try:
            layer = network.get_submodule(name)
        except AttributeError:
            raise UserError(f"surgery: the network has no layer '{name[:80]}'") from None
        if not is_factorable(layer, form):
            raise UserError(f"surgery: layer '{name[:80]}' can't be factored ({form})")
        parent_name, _, leaf = name.rpartition(".")
        pair = _build_pair(layer, form, rank).train(layer.training)
        setattr(network.get_submodule(parent_name), leaf, pair)


def is_factorable(layer: nn.Module, form: str) -> bool:
    """Return whether a layer can be split in this form.

    Plain linear layers can be in both forms, plain 2d convolutions of one group in form channel. In form spatial these
    must be larger than 1 in both directions and padded with zeros.
    """
    # By exact type: a subclass may compute something else.
    if type(layer) is nn.Linear:
        return True
    # Padding as text ("same") has no sizes to share between the two.
    if type(layer) is not nn.Conv2d or layer.groups != 1 or isinstance(layer.padding, str):
        return False
    return form == "channel" or (min(layer.kernel_size) > 1 and layer.padding_mode == "zeros")


def _build_pair(layer: nn.Module, form: str, rank: int) -> nn.Sequential:
    """The two layers in place of a factorable one, on its device."""
    # Forked, since building draws initial values, which would move the caller's random numbers.
    with torch.random.fork_rng(devices=[]), torch.device(next(layer.parameters()).device):
        if isinstance(layer, nn.Linear):
            first = nn.Linear(layer.in_features, rank, bias=False)
            return nn.Sequential(first, nn.Linear(rank, layer.out_features, layer.bias is not None))
        assert isinstance(layer, nn.Conv2d)
        if form == "channel":
            return _build_channel_pair(layer, rank)
        return _build_spatial_pair(layer, rank)


def _build_channel_pair(layer: nn.Conv2d, rank: int) -> nn.Sequential:
    settings: Any = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "padding_mode")}
    first = nn.Conv2d(layer.in_channels, rank, _get_two_sizes(layer.kernel_size), bias=False, **settings)
    second = nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None)
    return nn.Sequential(first, second)


def _build_spatial_pair(layer: nn.Conv2d, rank: int) -> nn.Sequential:
    height, width = _get_two_sizes(layer.kernel_size)
    stride_y, stride_x = _get_two_sizes(layer.stride)
    padding_y, padding_x = _get_two_sizes(layer.padding)
    dilation_y, dilation_x = _get_two_sizes(layer.dilation)
    first = nn.Conv2d(
        layer.in_channels,
        rank,
        kernel_size=(height, 1),
        stride=(stride_y, 1),
        padding=(padding_y, 0),
        dilation=(dilation_y, 1),
        bias=False,
    )
    second = nn.Conv2d(
        rank,
        layer.out_channels,
        kernel_size=(1, width),
        stride=(1, stride_x),
        padding=(0, padding_x),
        dilation=(1, dilation_x),
        bias=layer.bias is not None,
    )
    return nn.Sequential(first, second)


def _get_two_sizes(sizes: Any) -> tuple[int, int]:
    """A size by height and width; PyTorch's type for it is that of any number of dimensions."""
    return int(sizes[0]), int(sizes[1])
