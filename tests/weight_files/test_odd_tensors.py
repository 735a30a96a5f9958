"""Checkpoints of tensors that hold no number for each place, and of strangers' names: one short line."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from convarium.errors import UserError
from convarium.weight_files.match_weights import match_weights
from convarium.weight_files.read_weights import read_weights

ODD: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "coo": (lambda w: w.to_sparse(), "is stored as sparse_coo: tensor.to_dense"),
    "csr": (lambda w: w.to_sparse_csr(), "is stored as sparse_csr"),
    "csc": (lambda w: w.to_sparse_csc(), "is stored as sparse_csc"),
    "bsr": (lambda w: w.to_sparse_bsr((2, 2)), "is stored as sparse_bsr"),
    "quantised": (lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8), "is quantised: tensor.dequantize"),
    "nested": (lambda w: torch.nested.nested_tensor([w[0], w[1]]), "is a nested tensor"),
    "meta": (lambda w: w.to("meta"), "is on the meta device and has no values"),
    "complex": (lambda w: w.to(torch.complex64), "is complex64, not float32"),
    "bool": (lambda w: w > 0, "is bool, not float32"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_tensor_without_a_number_for_each_place(tmp_path: Path, kind: str, wrapped: bool) -> None:
    network = torch.nn.Linear(4, 4)
    make, expected = ODD[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = network.state_dict() | {"weight": make(network.weight.detach())}
        torch.save({"state_dict": found} if wrapped else found, tmp_path / "odd.pt")
    with pytest.raises(UserError, match=f"odd.pt.*weight {expected}") as caught:
        match_weights(read_weights(tmp_path / "odd.pt"), network, str(tmp_path / "odd.pt"))
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_floats_of_a_byte_are_taken(tmp_path: Path) -> None:
    network = torch.nn.Linear(4, 4)
    torch.save(
        {name: tensor.to(torch.float8_e4m3fn) for name, tensor in network.state_dict().items()}, tmp_path / "8.pt"
    )
    found = match_weights(read_weights(tmp_path / "8.pt"), network, "8.pt")
    assert found.notes == ("float8_e4m3fn became float32",)
    assert torch.allclose(found.tensors["weight"], network.weight, atol=0.05)


@pytest.mark.parametrize("name", ["x" * 5000, "a\nb", "\x1b[31mred"])
def test_a_name_of_a_stranger_stays_within_a_line(tmp_path: Path, name: str) -> None:
    network = torch.nn.Linear(4, 4)
    for content in (network.state_dict() | {name: torch.zeros(4, 4)}, {name: 1}):
        torch.save(content, tmp_path / "odd.pt")
        with pytest.raises(UserError) as caught:
            match_weights(read_weights(tmp_path / "odd.pt"), network, "odd.pt", by_order=True)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 600
    torch.save(network.state_dict() | {name: torch.zeros(1)}, tmp_path / "odd.pt")
    (note,) = match_weights(read_weights(tmp_path / "odd.pt"), network, "odd.pt").notes
    assert note.startswith("1 tensor beside the network is left out")
    assert note.isprintable()
    assert len(note) < 600
