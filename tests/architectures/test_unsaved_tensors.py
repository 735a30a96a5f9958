"""Tensors that no state dict holds go wherever their network goes, and are there again when it is loaded."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch

from convarium.architectures import factory
from convarium.architectures.unsaved_tensors import copy_to_meta, find_unsaved_tensors, move_network
from convarium.compression.structure import cuttable_groups, splittable_layers
from convarium.cost.layers import list_layers
from convarium.cost.macs import count_macs
from convarium.cvm import container
from convarium.lookup import allow_packages
from convarium.portable import onnx_file, onnx_session, torch_export_file
from convarium.portable.model_card import ModelCard
from odd_networks import CONSTANTS, WIDTH, build_odd_header, describe_odd_network

SHAPE = (1, 8, 8)
MACS = 64 * 9 * (WIDTH + WIDTH * 12) + 12 * 10
every = pytest.mark.parametrize("name", CONSTANTS)


def built(name: str, device: str | None = None) -> torch.nn.Module:
    with allow_packages(["odd_networks"]):
        return factory.build_architecture(describe_odd_network(name), device).eval()


def images() -> torch.Tensor:
    return torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))


@every
def test_a_network_is_tried_and_counted_without_memory(name: str) -> None:
    work = 64 * WIDTH * WIDTH if name == "MATRIX" else 0
    network = built(name)
    assert all(tensor.is_meta for tensor in find_unsaved_tensors(built(name, "meta")).values())
    assert count_macs(network, SHAPE) == sum(layer.macs for layer in list_layers(network, SHAPE)) == MACS + work
    assert not any(tensor.is_meta for tensor in find_unsaved_tensors(network).values())


@every
def test_in_double_precision_it_computes_what_it_did(name: str) -> None:
    network = built(name)
    before = network(images())
    double = move_network(deepcopy(network), dtype=torch.float64)
    assert double(images().double()).dtype == torch.float64
    assert torch.allclose(double(images().double()).float(), before, atol=1e-5)
    assert torch.equal(network(images()), before)


@every
def test_its_channels_can_be_cut_and_its_layers_split(name: str) -> None:
    network = built(name)
    assert "conv2" in [group.name for group in cuttable_groups.find_cuttable_groups(network, SHAPE)]
    assert splittable_layers.find_splittable_layers(network, ["conv1", "conv2"], "channel", SHAPE) == ["conv1", "conv2"]


@every
def test_its_file_brings_every_bit_back(name: str, tmp_path: Path) -> None:
    network, path = built(name), tmp_path / "net.cvm"
    container.write_cvm(path, network, build_odd_header(name), {})
    assert torch.equal(container.load_cvm(path, ["odd_networks"])(images()), network(images()))


@every
def test_other_formats_hold_it_too(name: str, tmp_path: Path) -> None:
    network = built(name)
    wanted = network(images())
    onnx_file.write_onnx(network, SHAPE, tmp_path / "net.onnx")
    found = torch.from_numpy(onnx_session.load_onnx_runner(tmp_path / "net.onnx", 1)(images().numpy()))
    assert torch.allclose(found, wanted, atol=1e-5)
    torch_export_file.write_torch_export(
        network, SHAPE, ModelCard("0" * 12, "torch_export", build_odd_header(name)), tmp_path / "net.pt2"
    )
    assert torch.allclose(torch_export_file.load_torch_export(tmp_path / "net.pt2")(images()), wanted, atol=1e-5)


def test_what_is_shared_stays_shared() -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
            self.other.weight = self.one.weight
            self.taps = [self.one.weight, torch.ones(4)]
            self.again = tuple(self.taps)

    meta = copy_to_meta(Tied())
    assert meta.one.weight is meta.other.weight is meta.taps[0] is meta.again[0]  # type: ignore[union-attr, index]
    assert meta.taps[1] is meta.again[1]  # type: ignore[index]
    assert list(find_unsaved_tensors(meta)) == ["taps[1]"]


def test_what_is_there_already_is_left_as_it_is() -> None:
    network = built("FROZEN")
    held = dict(vars(network))
    tensors = [*network.parameters(), *find_unsaved_tensors(network).values()]
    assert move_network(network, "cpu", torch.float32) is network
    assert [*network.parameters(), *find_unsaved_tensors(network).values()] == tensors
    assert all(vars(network)[key] is value for key, value in held.items())


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("PLAIN", ["held"]),
        ("TUPLE", ["held[0]", "held[1][0]"]),
        ("DICT", ["held['mean']['deep']"]),
        ("FROZEN", ["held.mean", "held.further['a'][0]"]),
        ("BUFFER", ["held.held"]),
    ],
)
def test_each_is_found_where_it_is(name: str, places: list[str]) -> None:
    assert list(find_unsaved_tensors(built(name))) == places
