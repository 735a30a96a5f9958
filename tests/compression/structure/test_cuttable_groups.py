"""Which channels can be cut together, and that cutting is what zeroing would be."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium import edits
from convarium.architectures import factory
from convarium.compression.structure import cuttable_groups
from convarium.compression.structure.channel_groups import ChannelGroup
from convarium.compression.structure.channel_removal import (
    UncuttableGroup,
    cut_channels,
    expand_to_blocks,
    plan_removals,
    zero_channels,
)
from convarium.compression.structure.splittable_layers import find_splittable_layers
from convarium.edits import resize
from convarium.errors import UserError

SHAPE = (3, 16, 16)


class Residual(nn.Module):
    """Two layers make the same channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.inner = nn.Sequential(nn.Conv2d(8, 12, 1), nn.BatchNorm2d(12), nn.ReLU())
        self.outer = nn.Conv2d(12, 8, 1)
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        return self.head((features + self.outer(self.inner(features))).mean((2, 3)))


class Shuffled(nn.Module):
    """A channel shuffle, which no tracer of shapes sees through."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = functional.channel_shuffle(self.first(images).relu(), 2)
        return self.head(self.second(features).relu().mean((2, 3)))


class Split(nn.Module):
    """A split of fixed sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 8, 3), nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        one, other = self.first(images).split([4, 4], dim=1)
        return self.head((one * other).mean((2, 3)))


def timm(name: str, size: int) -> nn.Module:
    described: dict[str, Any] = {"source": "timm", "name": name, "in_chans": 3, "num_classes": 10, "img_size": size}
    torch.manual_seed(0)
    return factory.build_architecture(described | {"stem": "native", "kwargs": {}}).eval()


def find_groups(network: nn.Module, shape: tuple[int, ...] = SHAPE) -> dict[str, ChannelGroup]:
    return {group.name: group for group in cuttable_groups.find_cuttable_groups(network.eval(), shape)}


def test_layers_that_make_the_same_channels_are_one_group_and_the_head_is_none() -> None:
    groups = find_groups(Residual())
    assert set(groups) == {"stem", "inner.0"}
    owners = {(member.owner, member.side) for member in groups["stem"].members}
    assert owners == {("stem", "out"), ("inner.0", "in"), ("outer", "out"), ("head", "in")}


def test_cutting_channels_that_are_zero_and_feed_zeros_leaves_the_logits() -> None:
    torch.manual_seed(0)
    network, groups = Residual().eval(), find_groups(Residual())
    removals = plan_removals(network, groups.values(), {"stem": [1, 5], "inner.0": [0, 2, 11]})
    zero = zero_channels(network, removals)
    cut, values = cut_channels(zero, removals)
    fresh = Residual().eval()
    edits.apply_surgery(fresh, [resize.build_resize_edit(network, cut)])
    fresh.load_state_dict(cut.state_dict())
    images = torch.randn(4, *SHAPE)
    assert (cut(images) - zero(images)).abs().max() < 1e-4
    assert torch.equal(fresh(images), cut(images))
    assert values["outer.weight"].shape == (6, 9, 1, 1)


@pytest.mark.parametrize(
    ("network", "left_whole"),
    [(Shuffled(), {"first"}), (Split(), {"first"})],
    ids=["channels shuffled", "fixed split"],
)
def test_what_a_tracer_gets_wrong_is_left_whole(network: nn.Module, left_whole: set[str]) -> None:
    assert not left_whole & set(find_groups(network))


@pytest.mark.parametrize("name", ["lcnet_035", "regnetx_002", "test_resnet"])
def test_depthwise_grouped_and_residual_networks_are_cut_and_replayed_bit_for_bit(name: str) -> None:
    network = timm(name, 32)
    groups = find_groups(network, (3, 32, 32))
    choice = {key: expand_to_blocks(group, range(group.size // group.blocks // 3)) for key, group in groups.items()}
    cut, _ = cut_channels(network, plan_removals(network, groups.values(), choice))
    fresh = timm(name, 32)
    edits.apply_surgery(fresh, [resize.build_resize_edit(network, cut)])
    fresh.load_state_dict(cut.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(fresh(images), cut(images))
    assert sum(map(torch.numel, cut.parameters())) < 0.6 * sum(map(torch.numel, network.parameters()))


def own(name: str, **layers: str) -> nn.Module:
    described: dict[str, Any] = {"source": "own", "name": name, "in_chans": 3, "num_classes": 10, "img_size": 16}
    torch.manual_seed(0)
    return factory.build_architecture(described | {"stem": "native", "kwargs": {}} | layers).eval()


def stirred(network: nn.Module) -> nn.Module:
    """Make every vector random and positive, so that nothing is hidden behind a zero."""
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.is_floating_point() and tensor.dim() == 1:
                tensor.uniform_(0.5, 1.5)
    return network


@pytest.mark.parametrize(
    "layers",
    [{"activation": "swish"}, {"activation": "prelu"}, {"norm": "none"}, {"pooling": "trainable"}],
    ids=str,
)
@pytest.mark.parametrize("name", ["resnet20", "wrn_16_1"])
def test_whatever_layers_a_user_chooses_a_cut_network_computes_what_the_zeroed_one_does(
    name: str, layers: dict[str, str]
) -> None:
    groups = find_groups(own(name, **layers))
    network = stirred(own(name, **layers).double())
    images = torch.randn(2, *SHAPE, dtype=torch.float64)
    choice = {key: expand_to_blocks(group, range(1, group.size // group.blocks, 3)) for key, group in groups.items()}
    removals = plan_removals(network, groups.values(), choice)
    cut, zero = cut_channels(network, removals)[0](images), zero_channels(network, removals)(images)
    assert groups
    assert (cut - zero).abs().max() < 1e-9 * zero.abs().max()


@pytest.mark.parametrize(("norm", "left_whole"), [("layer", {"conv1"}), ("group", {"conv1"}), ("batch", {"conv1"})])
def test_a_norm_over_channels_does_not_hide_a_shortcut_that_pads_them(norm: str, left_whole: set[str]) -> None:
    groups = find_groups(own("resnet20", norm=norm, activation="swish"))
    assert "stage1.0.conv1" in groups
    assert not left_whole & set(groups)


def test_a_network_that_the_tracer_does_not_see_through_is_refused_in_words() -> None:
    with pytest.raises(UserError, match="its channels can't be followed from layer to layer"):
        find_groups(own("resnet20", activation="maxout"))


def test_a_tracer_that_does_not_know_which_channels_keeps_them_all() -> None:
    assert find_groups(own("pyramidnet_110_48", activation="maxout"))
    assert not find_groups(own("densenet_40_12", activation="maxout"))


@pytest.mark.parametrize("slopes", [1, 8])
def test_a_rectifier_with_one_slope_for_all_channels_is_cut_as_one_with_a_slope_for_each(slopes: int) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.PReLU(slopes), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(864, 10))
    groups = find_groups(network)
    cut, _ = cut_channels(network, plan_removals(network, groups.values(), {"0": [1, 5]}))
    zero = zero_channels(network, plan_removals(network, groups.values(), {"0": [1, 5]}))
    assert set(groups) == {"0", "2"}
    assert cut[1].weight.numel() == max(1, slopes - 2)  # type: ignore[index]
    images = torch.randn(2, *SHAPE)
    assert torch.allclose(cut(images), zero(images), atol=1e-6)


class Weighed(nn.Module):
    """Its channels are features, or shares of one another: the same layers under another pass."""

    def __init__(self, shares: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 10)
        self.shares = shares

    def forward(self, images: Tensor) -> Tensor:
        features = self.first(images)
        features = features.softmax(1) if self.shares else features.relu()
        return self.head(self.second(features).relu().mean((2, 3)))


class Doubled(Weighed):
    """The same again, told apart by its code alone."""

    __qualname__ = "Weighed"

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.second(self.first(images).softmax(1)).relu().mean((2, 3)))


def test_what_was_found_of_one_network_is_not_taken_for_another_of_the_same_layers() -> None:
    plain, shares, other = Weighed(False).eval(), Weighed(True).eval(), Doubled(False).eval()
    other._get_name = lambda: "Weighed"  # type: ignore[method-assign]
    assert repr(plain) == repr(shares) == repr(other)
    names = [
        {group.name for group in cuttable_groups.find_cuttable_groups(network, SHAPE)}
        for network in (plain, shares, other)
    ]
    assert names == [{"first", "second"}, {"second"}, {"second"}]


def test_attention_heads_stay_and_the_rest_of_a_transformer_is_cut() -> None:
    groups = find_groups(timm("test_vit", 160), (3, 160, 160))
    assert {"patch_embed.proj", "blocks.0.mlp.fc1"} <= set(groups)
    assert not any("qkv" in name for name in groups)


def test_a_layer_never_loses_its_last_channel() -> None:
    network = Residual()
    with pytest.raises(UncuttableGroup, match="would lose all of its 12"):
        plan_removals(network, find_groups(network).values(), {"inner.0": range(12)})


def test_groups_of_a_convolution_lose_the_same_places() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1, groups=2), nn.Flatten(), nn.Linear(8 * 256, 10))
    group = find_groups(network)["0"]
    assert (group.blocks, expand_to_blocks(group, [1])) == (2, [1, 5])
    with pytest.raises(UncuttableGroup, match="other channels in one of its 2 groups"):
        plan_removals(network, [group], {"0": [1]})


def test_a_layer_whose_weight_the_network_reads_itself_is_not_split() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.head = nn.Linear(8, 8), nn.Linear(8, 10)

        def forward(self, images: Tensor) -> Tensor:
            features = functional.linear(images.mean((1, 2)), self.read.weight, self.read.bias)
            return self.head(features)

    assert find_splittable_layers(Reads(), ["read", "head"], "channel", (3, 8, 8)) == ["head"]
