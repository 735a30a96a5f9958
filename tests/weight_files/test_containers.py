"""Shards, folders, and files that hold no state dict: each is read, or refused in one line that says what to save."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from convarium.errors import UserError
from convarium.weight_files.read_weights import read_weights

TENSORS = {"a.weight": torch.ones(3, 2), "b.weight": torch.zeros(2, 3)}
SAVE = r"torch\.save\(model\.state_dict\(\), 'weights\.pth'\)"


def refused(path: str, key: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        read_weights(path, key)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def shards(here: Path) -> Path:
    """A folder of two shards and their index."""
    (here / "model").mkdir()
    files = {name: f"model-0000{place}-of-00002.safetensors" for place, name in enumerate(TENSORS, 1)}
    for name, file in files.items():
        save_file({name: TENSORS[name]}, here / "model" / file)
    (here / "model/model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    return here / "model"


@pytest.mark.parametrize("given", ["", "model.safetensors.index.json", "model-00002-of-00002.safetensors"])
def test_shards_are_read_by_their_folder_their_index_or_one_of_them(shards: Path, given: str) -> None:
    weights = read_weights(shards / given)
    assert sorted(weights.tensors) == sorted(TENSORS)
    assert weights.notes == ("read from 2 shards",)


def test_shards_need_no_index(shards: Path) -> None:
    (shards / "model.safetensors.index.json").unlink()
    assert sorted(read_weights(shards).tensors) == sorted(TENSORS)


def test_a_shard_that_is_missing_is_named(shards: Path) -> None:
    (shards / "model-00002-of-00002.safetensors").unlink()
    assert "names 2 files; missing: model-00002-of-00002.safetensors" in refused("model")
    first = "model/model-00001-of-00002.safetensors"
    assert "is one of 2 files; missing: model-00002-of-00002.safetensors" in refused(first)


def test_a_fold_of_a_cross_validation_is_no_shard(here: Path) -> None:
    for place in (1, 2):
        torch.save(TENSORS, f"fold-{place}-of-2.pth")
    assert read_weights("fold-1-of-2.pth").notes == ()


def test_an_index_names_no_file_elsewhere(shards: Path) -> None:
    index = shards / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    assert "which does not lie beside it" in refused("model")
    index.write_text("[]")
    assert "is not an index of shards" in refused("model")


def test_a_folder_of_hugging_face_tells_the_network_and_its_normalisation(here: Path) -> None:
    (here / "hf").mkdir()
    save_file(TENSORS, here / "hf/model.safetensors")
    config = {
        "architecture": "resnet18.a1_in1k",
        "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    }
    (here / "hf/config.json").write_text(json.dumps(config))
    weights = read_weights("hf")
    assert weights.model == ("timm", "resnet18.a1_in1k")
    assert (weights.mean, weights.std) == ((0.5,) * 3, (0.25,) * 3)
    shutil.move(here / "hf/model.safetensors", here / "hf/two.safetensors")
    torch.save(TENSORS, here / "hf/pytorch_model.bin")
    assert read_weights("hf").tensors.keys() == TENSORS.keys()


def test_a_folder_of_several_files_or_of_none_says_which(here: Path) -> None:
    assert "is a folder without weights" in refused(".")
    for name in ("last.pth", "best.pth"):
        torch.save(TENSORS, name)
    assert "is a folder with 2 weights files (best.pth, last.pth): name one of them" in refused(".")
    (here / ".metadata").touch()
    assert "dcp_to_torch" in refused(".")


FOREIGN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "npz": (lambda path: np.savez(path, a=np.ones(2)), r"arrays of numpy \(.npz\): save them by torch.save\("),
    "npy": (lambda path: np.save(path, np.ones(2)), f"an array of numpy.*{SAVE}"),
    "h5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(9)), f"an HDF5 file.*{SAVE}"),
    "keras": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), f"an HDF5 file.*{SAVE}"),
    "onnx": (lambda path: path.write_bytes(b"\x08\x0a\x12\x07pytorch"), f"an ONNX model.*{SAVE}"),
    "tflite": (lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(9)), f"a TensorFlow Lite model.*{SAVE}"),
    "pb": (lambda path: path.write_bytes(b"\x0a\x05model\xff"), f"a TensorFlow model.*{SAVE}"),
    "lfs.pth": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "txt.pth": (lambda path: path.write_text("weights\nare elsewhere\n"), f"a text \\('weights'\\).*{SAVE}"),
    "page.pth": (lambda path: path.write_text("\n<!DOCTYPE html><html>"), "a web page"),
    "empty.pth": (lambda path: path.write_bytes(b""), r"empty \(0 bytes\)"),
    "gz": (lambda path: path.write_bytes(b"\x1f\x8b\x08"), "compressed by gzip: unpack it"),
    "list": (lambda path: torch.save([torch.ones(2, 2)], path), f"holds no tensors by name but list of 1.*{SAVE}"),
    "tensor": (lambda path: torch.save(torch.ones(2, 2), path), f"but Tensor.*{SAVE}"),
    "module": (lambda path: torch.save(nn.Linear(2, 2), path), f"holds a whole torch.*Linear, whose code.*{SAVE}"),
    "in a dict": (lambda path: torch.save({"model": nn.Linear(2, 2)}, path), f"holds a whole torch.*Linear.*{SAVE}"),
    "optimiser": (
        lambda path: torch.save({"state": {0: {"exp_avg": torch.ones(2, 2)}}, "param_groups": []}, path),
        f"holds the state of an optimiser, no weights.*{SAVE}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_state_dict_says_what_to_save(here: Path, kind: str) -> None:
    write, said = FOREIGN[kind]
    path = here / f"net.{kind}"
    write(path)
    with pytest.raises(UserError, match=said) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)


def test_torchscript_and_zip_archives_are_told_apart(here: Path) -> None:
    import zipfile

    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), "script.pt")
    assert "a TorchScript program: save its tensors by torch.save(torch.jit.load('script.pt').state_dict()" in refused(
        "script.pt"
    )
    with zipfile.ZipFile("net.zip", "w") as archive:
        archive.writestr("net.pth", b"")
    assert "a zip archive of net.pth: unpack it" in refused("net.zip")


def test_a_safetensors_header_that_looks_like_another_format_is_read(here: Path) -> None:
    """Its first bytes are the length of its header: 0x8b1f is also how gzip begins."""
    for length in (0x8B1F, 0x4B50):
        header = json.dumps({"a": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}}).ljust(length).encode()
        Path("net.safetensors").write_bytes(length.to_bytes(8, "little") + header + bytes(4))
        assert list(read_weights("net.safetensors").tensors) == ["a"]


def test_several_state_dicts_in_one_by_prefix_are_chosen_by_from(here: Path) -> None:
    both: dict[str, Tensor] = {
        f"{who}.{name}": tensor for who in ("student", "teacher") for name, tensor in TENSORS.items()
    }
    torch.save(both, "net.pth")
    save_file({name: tensor.clone() for name, tensor in both.items()}, "net.safetensors")
    for file in ("net.pth", "net.safetensors"):
        weights = read_weights(file, "teacher")
        assert sorted(weights.tensors) == sorted(TENSORS)
        assert weights.notes == ("taken from the names that begin with 'teacher.'",)
    torch.save({"state_dict": both, "epoch": 3}, "net.pth")
    for key in ("teacher", "state_dict.teacher"):
        assert sorted(read_weights("net.pth", key).tensors) == sorted(TENSORS)


def test_beside_a_state_dict_lies_what_is_smaller(here: Path) -> None:
    torch.save({"net": TENSORS, "confusion": torch.ones(2, 2), "loss": torch.tensor(0.1)}, "net.pth")
    assert read_weights("net.pth").notes == ("taken from 'net'",)
    torch.save([TENSORS, {"epoch": 1}], "net.pth")
    assert read_weights("net.pth").notes == ("taken from '0'",)


def test_a_dict_for_each_layer_is_joined(here: Path) -> None:
    torch.save(
        {"a": {"weight": torch.ones(3, 2)}, "b": {"c": {"weight": torch.zeros(2, 3), "bias": torch.ones(2)}}}, "n.pth"
    )
    assert sorted(read_weights("n.pth").tensors) == ["a.weight", "b.c.bias", "b.c.weight"]
