"""safetensors: the state dict under its own names, and in the header's metadata what it is the state of."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import convarium
from convarium.errors import UserError
from convarium.portable import safetensors_file
from convarium.portable.file_format import read_metadata
from convarium.portable.model_card import ModelCard
from portable.conftest import KINDS, LENET, SURGERY_BY_KIND, build_header, decode_network, write_network_file


def exported(folder: Path, kind: str = "dense") -> Path:
    network = decode_network(write_network_file(folder / "net.cvm", kind))
    card = ModelCard("0123456789ab", "safetensors", build_header(LENET, SURGERY_BY_KIND.get(kind)))
    safetensors_file.write_safetensors(network, card, folder / "net.safetensors")
    return folder / "net.safetensors"


@pytest.mark.parametrize("kind", KINDS)
def test_however_a_weight_was_held_its_values_come_back_bit_for_bit(kind: str, tmp_path: Path) -> None:
    again = convarium.load(exported(tmp_path, kind))
    assert not again.training
    for name, tensor in decode_network(tmp_path / "net.cvm").state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_others_find_a_state_dict_and_read_mean_and_classes_from_the_header(tmp_path: Path) -> None:
    path = exported(tmp_path)
    assert sorted(load_file(path)) == sorted(decode_network(tmp_path / "net.cvm").state_dict())
    with safe_open(path, "pt") as file:
        said = file.metadata()
    assert (said["format"], said["signature"], json.loads(said["mean"])) == ("pt", "0123456789ab", [0.25])
    assert json.loads(said["architecture"]) == LENET
    assert json.loads(said["classes"])[3] == "class 3"
    assert str(tmp_path) not in str(said)


def changed(path: Path, tensors: dict[str, Tensor], **said: str) -> Path:
    save_file({**load_file(path), **tensors}, path, metadata={**read_metadata(path), **said})
    return path


def test_what_is_not_a_network_of_ours_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match="doesn't say which network it is"):
        convarium.load(path)
    with pytest.raises(UserError, match=r"its tensor fc1\.bias is missing or of another shape"):
        convarium.load(changed(exported(tmp_path), {"fc1.bias": torch.zeros(2)}))
    with pytest.raises(UserError, match="own has no such network"):
        convarium.load(changed(exported(tmp_path), {}, architecture=json.dumps({**LENET, "name": "lenet9"})))
    with pytest.raises(UserError, match="package os is not allowed here"):
        convarium.load(changed(exported(tmp_path), {}, architecture=json.dumps({**LENET, "name": "os:system"})))
    with pytest.raises(UserError, match="its description of itself can't be read"):
        convarium.load(changed(exported(tmp_path), {}, shape="[1,"))
    path.write_bytes(exported(tmp_path).read_bytes()[:-9])
    with pytest.raises(UserError, match="is not a valid safetensors file"):
        convarium.load(path)


def test_without_the_reader_of_such_files_the_line_names_it_and_not_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.safetensors").write_bytes((8).to_bytes(8, "little") + b"{}      ")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(UserError, match="to read safetensors files safetensors must be installed"):
        read_metadata(tmp_path / "net.safetensors")
