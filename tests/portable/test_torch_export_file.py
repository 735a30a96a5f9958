"""Programs of torch.export: any number of images, a card inside, the same bytes each time."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from convarium.errors import UserError
from convarium.portable import torch_export_file
from convarium.portable.file_format import read_metadata
from convarium.portable.model_card import ModelCard, parse_model_card
from portable.conftest import LENET, build_header, decode_network, write_network_file
from portable.test_onnx_file import Reluctant

CARD = ModelCard("0123456789ab", "torch_export", build_header(LENET))


def test_it_says_what_the_network_says_and_what_it_is(tmp_path: Path, images: Tensor) -> None:
    path, network = tmp_path / "net.pt2", decode_network(write_network_file(tmp_path / "net.cvm"))
    torch_export_file.write_torch_export(network, (1, 8, 8), CARD, path)
    loaded = torch_export_file.load_torch_export(path)
    for batch in (1, 2, 33):
        assert torch.equal(loaded(images[:batch]), network(images[:batch]))
    assert parse_model_card(read_metadata(path), "") == CARD
    assert b".py" not in path.read_bytes()
    first = path.read_bytes()
    torch_export_file.write_torch_export(network, (1, 8, 8), CARD, path)
    assert path.read_bytes() == first


def test_what_can_t_be_traced_and_what_can_t_be_loaded_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    with pytest.raises(UserError, match=r"^torch\.export can't trace this network: [^\n]*data-dependent[^\n]*$"):
        torch_export_file.write_torch_export(Reluctant(), (1, 8, 8), CARD, path)
    assert not path.exists()
    torch.save({}, path)
    with pytest.raises(UserError, match=r"torch\.export can't load it: [^\n]*$"):
        torch_export_file.load_torch_export(path)
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match="is not a valid torch_export file"):
        read_metadata(path)
