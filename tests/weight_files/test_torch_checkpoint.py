"""Checkpoints as trainings write them: tensors are read, all objects beside are stubs, and nothing of the file runs."""

import argparse
import collections
import enum
import os
import pickle
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from convarium.errors import UserError
from convarium.weight_files.read_weights import read_weights

Tensors = dict[str, Tensor]


class Colour(enum.Enum):
    """An object of a class that only this module has."""

    RED = 1


class SlottedList(list[int]):
    """A list with attributes of its own."""


OBJECTS: dict[str, Callable[[], Any]] = {
    "namespace": lambda: argparse.Namespace(lr=0.1, output=PurePosixPath("runs")),
    "path": lambda: Path("runs/1"),
    "numpy scalar": lambda: np.float64(0.5),
    "array": lambda: np.arange(6).reshape(2, 3),
    "array of objects": lambda: np.array([{}, None], dtype=object),
    "defaultdict": lambda: collections.defaultdict(list, {"loss": [0.1]}),
    "deque": lambda: collections.deque([1, 2], maxlen=3),
    "counter": lambda: collections.Counter("aab"),
    "enum": lambda: Colour.RED,
    "list with attributes": lambda: SlottedList([1, 2]),
    "omegaconf": lambda: OmegaConf.create({"model": {"depth": [1, 2]}}),
    "set": lambda: {1, 2},
    "frozenset": lambda: frozenset([(1, 2)]),
    "complex": lambda: 1j,
    "fraction": lambda: Fraction(1, 2),
    "slice": lambda: slice(1, 2),
    "bytes": lambda: (b"ab", bytearray(b"cd")),
    "partial": lambda: partial(int, base=2),
    "function": lambda: os.path.join,
    "class": lambda: argparse.ArgumentParser,
    "layer": lambda: nn.Linear(2, 2),
    "random state": lambda: (np.random.RandomState(0).get_state(), torch.get_rng_state()),
    "schedule": lambda: torch.optim.lr_scheduler.StepLR(torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1), 1),
    "torch": lambda: (torch.Size([1]), torch.device("cpu"), torch.float16),
    "loop": lambda: _make_loop(),
}  # fmt: skip


class Attack:
    """A pickle that runs a command where it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call = call
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


def _make_loop() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["self"] = [loop]
    return loop


@pytest.fixture
def tensors() -> Tensors:
    torch.manual_seed(0)
    return {"a.weight": torch.randn(3, 2), "a.bias": torch.randn(3)}


def check_same(path: str, tensors: Tensors, key: str | None = None) -> None:
    found = read_weights(path, key).tensors
    assert list(found) == list(tensors)
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize(("is_zip", "protocol"), [(True, 2), (True, 4), (False, 2)])
def test_an_object_beside_the_tensors_is_in_nobodys_way(
    here: Path, tensors: Tensors, kind: str, is_zip: bool, protocol: int
) -> None:
    content = {"before": OBJECTS[kind](), "state_dict": tensors, "after": OBJECTS[kind]()}
    torch.save(content, "net.pth", _use_new_zipfile_serialization=is_zip, pickle_protocol=protocol)
    check_same("net.pth", tensors)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_arrays_is_read_in_every_protocol(here: Path, tensors: Tensors, protocol: int) -> None:
    arrays = {name: np.asfortranarray(tensor.numpy()).astype(">f4") for name, tensor in tensors.items()}
    Path("net.pkl").write_bytes(pickle.dumps(arrays, protocol))
    check_same("net.pkl", tensors)


def test_arrays_and_parameters_in_a_checkpoint_are_tensors(here: Path, tensors: Tensors) -> None:
    torch.save({"net": {"a.weight": nn.Parameter(tensors["a.weight"]), "a.bias": tensors["a.bias"].numpy()}}, "net.pth")
    check_same("net.pth", tensors)


def test_views_and_strides_are_kept(here: Path, tensors: Tensors) -> None:
    memory = torch.arange(24.0)
    views = {"a.weight": memory[2:14].view(3, 4).t()[1:], "b.weight": memory[:1].expand(2, 2), "c": torch.empty(0, 3)}
    for is_zip in (True, False):
        torch.save(views, "net.pth", _use_new_zipfile_serialization=is_zip)
        check_same("net.pth", views)


@pytest.mark.parametrize("call", [os.system, os.remove, eval, exec, __import__])
@pytest.mark.parametrize("is_zip", [True, False])
def test_what_would_run_code_is_named_and_does_not_run(here: Path, call: Callable[..., Any], is_zip: bool) -> None:
    Path("victim").touch()
    text = "victim" if call is os.remove else "open('pwned', 'w')" if call in (eval, exec) else "touch pwned"
    torch.save({"a": torch.ones(2, 2), "b": Attack(call, text)}, "net.pth", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(UserError, match=rf"would import \w+\.{call.__name__} to be read, and is refused"):
        read_weights("net.pth")
    assert Path("victim").exists()
    assert not Path("pwned").exists()


def test_what_no_list_names_does_not_run_either(here: Path, tensors: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(argparse, "ArgumentParser", called.append)
    Path("sneaky.py").write_text("open('pwned', 'w')")
    monkeypatch.syspath_prepend(str(here))
    pickled = b"cargparse\nArgumentParser\n(S'x'\ntRcsneaky\nrun\n(tR."
    Path("net.pkl").write_bytes(b"\x80\x02" + pickled)
    with pytest.raises(UserError, match="holds no tensors by name but an object of"):
        read_weights("net.pkl")
    assert not called
    assert not Path("pwned").exists()


def test_a_pickle_can_change_none_of_our_functions(here: Path) -> None:
    """BUILD sets attributes of what it is given: here the defaults of what makes tensors."""
    pickled = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(N}X\x0c\x00\x00\x00__defaults__(K\x01tst\x86b."
    Path("net.pkl").write_bytes(pickled)
    with pytest.raises(UserError):
        read_weights("net.pkl")
    torch.save({"a": torch.eye(2)}, "net.pth")
    assert torch.equal(read_weights("net.pth").tensors["a"], torch.eye(2))


@pytest.mark.parametrize("name", ["set", "_dynamo", "float32", "OrderedDict"])
def test_attributes_can_be_set_on_nothing_of_ours(here: Path, name: str) -> None:
    module = {"set": "builtins", "OrderedDict": "collections"}.get(name, "torch")
    pickled = f"\x80\x02c{module}\n{name}\n}}X\x05\x00\x00\x00shapeK\x01sb.".encode("latin1")
    Path("net.pkl").write_bytes(pickled)
    with pytest.raises(UserError):
        read_weights("net.pkl")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [(b"K\x02K\x03\x86", b"K\x02K\x09\x86"), (b"K\x02K\x03\x86", b"NK\x03\x86"), (b"f8", b"zz"), (b"f8", b"O8")],
)
def test_an_array_that_contradicts_itself_is_one_line(here: Path, right: bytes, wrong: bytes) -> None:
    data = pickle.dumps({"a.weight": np.ones((2, 3)), "b.weight": np.ones((4, 4))}, 2)
    assert right in data
    Path("net.pkl").write_bytes(data.replace(right, wrong))
    with pytest.raises(UserError, match=r"\.weight is an array (that is cut off|without numbers); save plain tensors"):
        read_weights("net.pkl")


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_checkpoint_that_is_cut_off_is_one_line(here: Path, tensors: Tensors, is_zip: bool, share: float) -> None:
    torch.save({"net": tensors}, "net.pth", _use_new_zipfile_serialization=is_zip)
    data = Path("net.pth").read_bytes()
    Path("cut.pth").write_bytes(data[: int(share * len(data))])
    with pytest.raises(UserError, match=r"cut.pth (is not a torch checkpoint of tensors, or is cut off|holds no)"):
        read_weights("cut.pth")


def test_a_tensor_that_leaves_its_storage_is_refused(here: Path) -> None:
    torch.save({"a": torch.ones(2, 3)}, "net.pth")
    data = Path("net.pth").read_bytes()
    Path("net.pth").write_bytes(data.replace(b"K\x02K\x03\x86", b"K\x02K\x7f\x86"))
    with pytest.raises(UserError, match=r"net.pth is not a torch checkpoint of tensors, or is cut off"):
        read_weights("net.pth")


def test_containers_in_each_other_without_end_are_one_line(here: Path) -> None:
    Path("net.pkl").write_bytes(b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".")
    with pytest.raises(UserError, match="holds no tensors by name but list of 1"):
        read_weights("net.pkl")


def test_a_tensor_of_a_class_of_its_own_is_named(here: Path) -> None:
    torch.save({"a.weight": nn.parameter.UninitializedParameter(), "b.weight": torch.ones(2, 2)}, "net.pth")
    with pytest.raises(UserError, match=r"a\.weight is a torch\.nn\.parameter\.UninitializedParameter; save plain"):
        read_weights("net.pth")


def test_containers_in_each_other_many_times_are_searched_once(here: Path, tensors: Tensors) -> None:
    inner: Any = {"net": tensors}
    for _ in range(40):
        inner = {"left": inner, "right": [inner, inner]}
    torch.save({"state_dict": tensors, "tangle": inner}, "net.pth")
    check_same("net.pth", tensors)
