"""The ISO coder's operating point: the fewest bytes within the max_drop loss."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from convarium.compression.external_coders import nncodec
from convarium.compression.external_coders.iso_control import select_operating_point

Accuracy = Callable[[nn.Module], float]


class Small(nn.Module):
    """Batch normalisation (a whole number of no axis), a scalar, and a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)
        self.second.weight = self.first.weight
        self.scale = nn.Parameter(torch.tensor(2.5))


def closeness(dense: nn.Module) -> Accuracy:
    """An accuracy that falls as far as the weights move."""
    weight = dense.get_parameter("first.weight").detach().clone()
    return lambda network: 1 - (network.get_parameter("first.weight") - weight).abs().max().item() / 10


@pytest.fixture
def network() -> nn.Module:
    return Small().eval()


def test_it_chooses_the_fewest_bytes_within_the_allowed_loss(stand_in: Path, network: nn.Module) -> None:
    accuracy = closeness(network)
    losses = {qp: select_operating_point(network, accuracy, [qp], 100) for qp in (-24, -20, -16)}
    assert losses[-24].size_bytes > losses[-20].size_bytes > losses[-16].size_bytes
    max_drop = (losses[-20].accuracy_drop_pp + losses[-16].accuracy_drop_pp) / 2
    chosen = select_operating_point(network, accuracy, (-24, -20, -16), max_drop)
    assert (chosen.qp, chosen.is_allowed) == (-20, True)
    assert chosen.bitstream == losses[-20].bitstream


def test_where_nothing_is_allowed_it_says_so_and_takes_the_finest(stand_in: Path, network: nn.Module) -> None:
    chosen = select_operating_point(network, closeness(network), (-24, -20), max_drop=0.0)
    assert (chosen.qp, chosen.is_allowed) == (-24, False)
    assert chosen.accuracy_drop_pp > 0


def test_the_state_is_what_the_stream_holds_and_what_is_kept(stand_in: Path, network: nn.Module) -> None:
    network.get_buffer("norm.num_batches_tracked").fill_(7)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    chosen = select_operating_point(network, closeness(network), (-20,), 100)
    assert list(chosen.state) == list(before)
    held = nncodec.decompress_stream(chosen.bitstream)
    assert "scale" not in held
    assert "norm.num_batches_tracked" not in held
    assert ("first.weight" in held, "second.weight" in held) == (True, False), "a tied tensor is coded once"
    for name, array in held.items():
        assert torch.equal(chosen.state[name], torch.from_numpy(array))
    assert torch.equal(chosen.state["first.weight"], chosen.state["second.weight"])
    assert (float(chosen.state["scale"]), int(chosen.state["norm.num_batches_tracked"])) == (2.5, 7)
    assert chosen.size_bytes == len(chosen.bitstream) + 16
    assert len(chosen.uncoded_bytes) == 16
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), "the network is left as it is"


def test_the_real_coder_makes_a_trained_network_many_times_smaller(real: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 100), nn.BatchNorm1d(100), nn.ReLU(), nn.Linear(100, 10))
    pixels, classes = load_digits(return_X_y=True)
    images, labels = torch.from_numpy(pixels).float() / 16, torch.from_numpy(classes)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    def accuracy(decoded: nn.Module) -> float:
        return (decoded.eval()(images).argmax(1) == labels).float().mean().item()

    dense = accuracy(network)
    chosen = select_operating_point(network, accuracy, max_drop=2.0)
    assert chosen.is_allowed
    assert 4 * sum(parameter.numel() for parameter in network.parameters()) / chosen.size_bytes > 6
    network.load_state_dict(chosen.state)
    assert 100 * (dense - accuracy(network)) == pytest.approx(chosen.accuracy_drop_pp)
