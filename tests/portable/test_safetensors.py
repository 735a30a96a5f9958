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
from convarium.portable import safetensors
from convarium.portable.card import Card
from convarium.portable.content import texts
from portable.conftest import KINDS, LENET, SURGERY, header, plain, written


def exported(folder: Path, kind: str = "dense") -> Path:
    network = plain(written(folder / "net.cvm", kind))
    card = Card("0123456789ab", "safetensors", header(LENET, SURGERY.get(kind)))
    safetensors.write(network, card, folder / "net.safetensors")
    return folder / "net.safetensors"


@pytest.mark.parametrize("kind", KINDS)
def test_however_a_weight_was_held_its_values_come_back_bit_for_bit(kind: str, tmp_path: Path) -> None:
    again = convarium.load(exported(tmp_path, kind))
    assert not again.training
    for name, tensor in plain(tmp_path / "net.cvm").state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_others_find_a_state_dict_and_read_mean_and_classes_from_the_header(tmp_path: Path) -> None:
    path = exported(tmp_path)
    assert sorted(load_file(path)) == sorted(plain(tmp_path / "net.cvm").state_dict())
    with safe_open(path, "pt") as file:
        said = file.metadata()
    assert (said["format"], said["signature"], json.loads(said["mean"])) == ("pt", "0123456789ab", [0.25])
    assert json.loads(said["architecture"]) == LENET
    assert json.loads(said["classes"])[3] == "class 3"
    assert str(tmp_path) not in str(said)


def changed(path: Path, tensors: dict[str, Tensor], **said: str) -> Path:
    save_file({**load_file(path), **tensors}, path, metadata={**texts(path), **said})
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
    with pytest.raises(UserError, match="no sound safetensors file"):
        convarium.load(path)


def test_without_the_reader_of_such_files_the_line_names_it_and_not_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.safetensors").write_bytes((8).to_bytes(8, "little") + b"{}      ")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(UserError, match="to read safetensors files safetensors must be installed"):
        texts(tmp_path / "net.safetensors")
