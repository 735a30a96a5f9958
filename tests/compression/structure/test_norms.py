"""Channels are cut behind norms of every kind, also those that have no tensors of their own."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from convarium import edits
from convarium.compression.structure import channel_removal, cuttable_groups
from convarium.edits import resize

SHAPE = (1, 6, 6)
WIDTH = 8


class Last(nn.Module):
    """A norm over the last dimension, of channels that are moved there."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


NORMS = {
    "instance": lambda: nn.InstanceNorm2d(WIDTH),
    "instance, affine": lambda: nn.InstanceNorm2d(WIDTH, affine=True),
    "instance, tracking": lambda: nn.InstanceNorm2d(WIDTH, track_running_stats=True),
    "batch, not affine": lambda: nn.BatchNorm2d(WIDTH, affine=False),
    "batch, without statistics": lambda: nn.BatchNorm2d(WIDTH, track_running_stats=False),
    "batch, neither": lambda: nn.BatchNorm2d(WIDTH, affine=False, track_running_stats=False),
    "group": lambda: nn.GroupNorm(2, WIDTH),
    "group, not affine": lambda: nn.GroupNorm(2, WIDTH, affine=False),
    "one group, not affine": lambda: nn.GroupNorm(1, WIDTH, affine=False),
    "layer": lambda: Last(nn.LayerNorm(WIDTH)),
    "layer, not affine": lambda: Last(nn.LayerNorm(WIDTH, elementwise_affine=False)),
    "layer over all": lambda: nn.LayerNorm([WIDTH, 6, 6]),
    "layer over all, not affine": lambda: nn.LayerNorm([WIDTH, 6, 6], elementwise_affine=False),
}
WHOLE = {
    "layer over positions": lambda: nn.LayerNorm([6, 6]),
    "layer over positions, not affine": lambda: nn.LayerNorm([6, 6], elementwise_affine=False),
    "layer over as many positions as channels": lambda: nn.LayerNorm([6]),
    "root mean square": lambda: Last(nn.RMSNorm(WIDTH)),
    "root mean square, not affine": lambda: Last(nn.RMSNorm(WIDTH, elementwise_affine=False)),
    "neighbouring channels": lambda: nn.LocalResponseNorm(3),
}


def built(norm: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    behind = (nn.ReLU(), nn.Conv2d(WIDTH, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 16, 10))
    return nn.Sequential(nn.Conv2d(SHAPE[0], WIDTH, 3, padding=1), norm, *behind).eval()


@pytest.mark.parametrize("kind", NORMS)
def test_a_norm_gets_as_many_channels_as_are_left(kind: str) -> None:
    network = built(NORMS[kind]())
    (group,) = (group for group in cuttable_groups.find_cuttable_groups(network, SHAPE) if group.name == "0")
    removals = channel_removal.plan_removals(network, [group], {"0": channel_removal.expand_to_blocks(group, [1])})
    narrow, _ = channel_removal.cut_channels(network, removals)
    again = built(NORMS[kind]())
    edits.apply_surgery(again, [resize.build_resize_edit(network, narrow)])
    remaining_channels = WIDTH - group.blocks
    for cut in (narrow, again):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert cut(torch.randn(2, *SHAPE)).shape == (2, 10)
        norm = cut[1].norm if isinstance(cut[1], Last) else cut[1]  # type: ignore[index]
        assert resize._get_layer_sizes(norm)[0] == remaining_channels
    assert channel_removal.zero_channels(network, removals)(torch.randn(2, *SHAPE)).shape == (2, 10)


@pytest.mark.parametrize("kind", WHOLE)
def test_channels_that_can_t_be_cut_stay_and_others_go(kind: str) -> None:
    network = built(WHOLE[kind]())
    assert [group.name for group in cuttable_groups.find_cuttable_groups(network, SHAPE)] == ["3"]
