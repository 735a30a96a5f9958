"""A cut is told in a few sizes, and replayed on a fresh network."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from convarium import edits
from convarium.architectures import factory
from convarium.edits import resize
from convarium.errors import UserError

LENET: dict[str, Any] = {
    "source": "own", "name": "lenet5", "in_chans": 1, "num_classes": 10, "img_size": 28, "stem": "native", "kwargs": {},
}  # fmt: skip
CUT = {"op": "resize", "layers": {"conv1": [1, 10], "conv2": [10, 25], "fc1": [400, 250], "fc2": [250]}}


def lenet(device: str | None = None) -> nn.Module:
    return factory.build_architecture(LENET, device)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_layers_get_their_sizes_on_any_device_and_the_network_runs(device: str) -> None:
    network = lenet(device)
    resize.check_edit(CUT)
    resize.apply_edit(network, CUT)
    assert network(torch.zeros(3, 1, 28, 28, device=device)).shape == (3, 10)
    assert network.get_parameter("conv2.weight").shape == (25, 10, 5, 5)
    assert network.get_parameter("fc1.bias").shape == (250,)
    assert all(parameter.device.type == device for parameter in network.parameters())


def test_the_record_is_what_differs_and_short() -> None:
    cut = lenet()
    resize.apply_edit(cut, CUT)
    record = resize.build_resize_edit(lenet(), cut)
    assert record == CUT
    assert len(json.dumps(record)) < 250


def test_a_layer_may_grow_and_only_what_changes_is_new() -> None:
    network = lenet()
    kept = network.get_parameter("conv1.weight")
    resize.apply_edit(network, {"op": "resize", "layers": {"fc1": [800, 600], "fc2": [600]}})
    assert network.get_parameter("fc2.weight").shape == (10, 600)
    assert network.get_parameter("conv1.weight") is kept


def test_depthwise_convolutions_norms_and_tensors_that_follow_from_nothing() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(8, 1, 1))
            self.net = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.GroupNorm(2, 8))
            self.norm = nn.LayerNorm(8)

    layers = {"net.0": [6, 6, 6], "net.1": [6], "net.2": [6], "norm": [6]}
    edit = {"op": "resize", "layers": layers, "tensors": {"scale": [6, 1, 1]}}
    network = Scaled()
    edits.check_surgery([edit])
    edits.apply_surgery(network, [edit])
    assert network.net(torch.ones(1, 6, 5, 5)).shape == (1, 6, 3, 3)
    assert (network.scale.shape, network.norm.weight.shape) == ((6, 1, 1), (6,))
    assert resize.build_resize_edit(Scaled(), network) == edit


def test_layers_that_share_a_weight_share_the_new_one() -> None:
    network = nn.ModuleDict({"a": nn.Linear(4, 4, bias=False), "b": nn.Linear(4, 4, bias=False)})
    network["b"].weight = network["a"].weight
    resize.apply_edit(network, {"op": "resize", "layers": {"a": [3, 3], "b": [3, 3]}})
    assert network["a"].weight is network["b"].weight
    assert network["a"].weight.shape == (3, 3)


@pytest.mark.parametrize(
    "edit",
    [
        {"op": "resize"},
        {"op": "resize", "layers": []},
        {"op": "resize", "layers": {}, "code": "print()"},
        {"op": "resize", "layers": {"conv1": [1, 0]}},
        {"op": "resize", "layers": {"conv1": [1, 1 << 21]}},
        {"op": "resize", "layers": {"conv1": [1, 10.0]}},
        {"op": "resize", "layers": {"conv1": [True]}},
        {"op": "resize", "layers": {"conv1": []}},
        {"op": "resize", "layers": {"x" * 1001: [1]}},
        {"op": "resize", "layers": {}, "tensors": {"fc1.bias": [2] * 9}},
        {"op": "explode"},
        {"op": "../resize"},
    ],
)
def test_a_stranger_s_record_is_refused(edit: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="surgery"):
        edits.check_surgery([edit])


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ({"conv9": [1]}, "no layer 'conv9'"),
        ({"pool1": [1]}, "is not a layer with 1 sizes"),
        ({"fc1": [1, 2, 3]}, "is not a layer with 3 sizes"),
        ({"conv1": [1, 10, 3]}, "are not multiples of its 3 groups"),
    ],
)
def test_a_record_for_another_network_is_refused(layers: dict[str, list[int]], told: str) -> None:
    with pytest.raises(UserError, match=told):
        resize.apply_edit(lenet("meta"), {"op": "resize", "layers": layers})


def test_a_tensor_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"no tensor 'fc1\.scale'"):
        resize.apply_edit(lenet("meta"), {"op": "resize", "layers": {}, "tensors": {"fc1.scale": [3]}})
