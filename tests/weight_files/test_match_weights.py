"""Weights from outside: what files are read, what fits a network, what they are known by, and every refusal."""

import argparse
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from convarium.architectures import factory
from convarium.architectures.weights import Weights, fingerprint_tensors
from convarium.cvm import container
from convarium.errors import UserError
from convarium.weight_files.match_weights import match_weights
from convarium.weight_files.read_weights import read_weights

MLP: dict[str, Any] = {
    "source": "own", "name": "mlp", "in_chans": 1, "num_classes": 10, "img_size": 8, "stem": "native",
    "kwargs": {"hidden": [16], "activation": "relu"},
}  # fmt: skip
RESNET: dict[str, Any] = {
    "source": "timm", "name": "resnet10t", "in_chans": 3, "num_classes": 10, "img_size": 32, "stem": "native",
    "kwargs": {},
}  # fmt: skip
Tensors = dict[str, Tensor]


class Attack:
    """A pickle that runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


@pytest.fixture
def tensors() -> Tensors:
    """The state dict of a small network."""
    torch.manual_seed(0)
    return factory.build_architecture(MLP).state_dict()


def network(**change: Any) -> nn.Module:
    return factory.build_architecture({**MLP, **change}, "meta")


def fit(tensors: Tensors, bare: nn.Module | None = None, **how: bool) -> Weights:
    return match_weights(Weights(tensors), bare or network(), "net.pth", **how)


def refused(action: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_content_is_one_fingerprint_whatever_the_file(here: Path, tensors: Tensors) -> None:
    header = {
        "architecture": MLP, "task": "classification", "classes": 10, "surgery": [],
        "input": {"shape": [1, 8, 8], "mean": [0.25], "std": [0.5]},
    }  # fmt: skip
    bare = factory.build_architecture(MLP)
    bare.load_state_dict(tensors)
    container.write_cvm("net.cvm", bare, header, {})
    save_file(tensors, "net.safetensors")
    torch.save(tensors, "net.pth")
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in tensors.items()}}, "trainer.ckpt")
    torch.save({"model": tensors}, "old.pt", _use_new_zipfile_serialization=False)
    found = [
        match_weights(read_weights(name), network(), name)
        for name in ("net.cvm", "net.safetensors", "net.pth", "trainer.ckpt", "old.pt")
    ]
    assert {fingerprint_tensors(weights.tensors) for weights in found} == {fingerprint_tensors(tensors)}
    assert found[3].notes == ("taken from 'state_dict'", "'module.' is taken off all names")
    assert (found[0].mean, found[0].std) == ((0.25,), (0.5,))


def test_a_fingerprint_tells_names_shapes_types_and_values_apart_but_no_order() -> None:
    one = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0])}
    others = [
        {"a": torch.tensor([1.0, 2.5]), "b": one["b"]},
        {"c": one["a"], "b": one["b"]},
        {"a": one["a"].reshape(2, 1), "b": one["b"]},
        {"a": one["a"].double(), "b": one["b"]},
    ]
    assert len({fingerprint_tensors(tensors) for tensors in (one, *others)}) == 5
    assert fingerprint_tensors(dict(reversed(one.items()))) == fingerprint_tensors(one)


def test_half_precision_becomes_float32_and_is_said(tensors: Tensors) -> None:
    found = fit({name: tensor.bfloat16() for name, tensor in tensors.items()})
    assert {tensor.dtype for tensor in found.tensors.values()} == {torch.float32}
    assert found.notes == ("bfloat16 became float32",)


def test_a_batch_norm_may_lack_its_counter() -> None:
    torch.manual_seed(0)
    whole = factory.build_architecture(RESNET).state_dict()
    old = {name: tensor for name, tensor in whole.items() if not name.endswith("num_batches_tracked")}
    assert fingerprint_tensors(fit(old, factory.build_architecture(RESNET, "meta")).tensors) == fingerprint_tensors(
        whole
    )


def test_a_classifier_of_other_classes_is_left_out_only_when_asked(tensors: Tensors) -> None:
    bare = network(num_classes=4)
    assert "its classifier is for 10 classes: add --new-head" in refused(lambda: fit(tensors, bare))
    found = fit(tensors, bare, new_head=True)
    assert (sorted(found.tensors), found.fresh_names) == (["fc1.bias", "fc1.weight"], ("fc2.weight", "fc2.bias"))
    assert found.notes == ("the classifier (fc2.weight, fc2.bias) is fresh",)


def test_a_network_without_classifier_can_be_given_one(tensors: Tensors) -> None:
    body = {name: tensor for name, tensor in tensors.items() if name.startswith("fc1")}
    assert "no classifier: add --new-head" in refused(lambda: fit(body))
    assert fit(body, new_head=True).fresh_names == ("fc2.weight", "fc2.bias")


def test_a_new_head_excuses_nothing_else(tensors: Tensors) -> None:
    hidden = network(num_classes=4, kwargs={"hidden": [12], "activation": "relu"})
    assert "fc1.weight is 16x64, the network has 12x64" in refused(lambda: fit(tensors, hidden, new_head=True))


def test_order_stands_in_for_names_only_when_asked(tensors: Tensors) -> None:
    renamed = {name.replace("fc", "layers."): tensor for name, tensor in tensors.items()}
    assert "add --by-order" in refused(lambda: fit(renamed))
    found = fit(renamed, by_order=True)
    assert fingerprint_tensors(found.tensors) == fingerprint_tensors(tensors)
    assert found.notes == ("4 tensors are taken by their order",)
    assert fit(renamed, network(num_classes=4), by_order=True, new_head=True).fresh_names == ("fc2.weight", "fc2.bias")
    ported = {f"_{name}": tensor for name, tensor in factory.build_architecture(RESNET).state_dict().items()}
    assert "add --by-order" in refused(lambda: fit(ported, factory.build_architecture(RESNET, "meta")))
    turned = dict(reversed(renamed.items()))
    assert "first, layers.2.bias is 10 where fc1.weight is 16x64" in refused(lambda: fit(turned, by_order=True))


def test_what_does_not_fit_is_named_by_kind(tensors: Tensors) -> None:
    tensors = {name: tensor for name, tensor in tensors.items() if name != "fc1.bias"}
    tensors |= {"extra": torch.ones(3), "fc2.weight": torch.ones(10, 12), "fc2.bias": torch.ones(10, dtype=torch.int64)}
    said = refused(lambda: fit(tensors))
    assert "net.pth does not fit: 1 missing (fc1.bias); 1 unexpected (extra); " in said
    assert "1 of another shape (fc2.weight is 10x12, the network has 10x16); " in said
    assert "1 of another type (fc2.bias is int64, not float32)" in said


def test_colour_weights_for_grey_images_say_how_to_use_them() -> None:
    colour = factory.build_architecture(RESNET).state_dict()
    grey = factory.build_architecture({**RESNET, "in_chans": 1}, "meta")
    assert "dataset.channels=3 gives grey images three channels" in refused(lambda: fit(colour, grey))


def test_weights_without_numbers_are_refused(tensors: Tensors) -> None:
    assert "holds no floating-point tensors" in refused(lambda: fit({"a": torch.ones(2, dtype=torch.int8)}))
    tensors["fc1.bias"] = tensors["fc1.bias"] / 0
    assert "1 tensors hold values that are not finite numbers (fc1.bias)" in refused(lambda: fit(tensors))


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_checkpoint_that_would_run_code_is_not_run(here: Path, new: bool) -> None:
    torch.save({"a": torch.ones(2), "b": Attack()}, "net.pth", _use_new_zipfile_serialization=new)
    assert f"net.pth would import {os.system.__module__}.system" in refused(lambda: read_weights("net.pth"))
    assert not Path("pwned").exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_plain_pickle_that_would_run_code_is_not_run(here: Path, protocol: int) -> None:
    Path("net.pkl").write_bytes(pickle.dumps({"b": Attack()}, protocol))
    assert f"would import {os.system.__module__}.system" in refused(lambda: read_weights("net.pkl"))
    assert not Path("pwned").exists()


def test_objects_beside_the_tensors_are_neither_read_nor_in_the_way(here: Path, tensors: Tensors) -> None:
    torch.save({"state_dict": tensors, "args": argparse.Namespace(lr=1)}, "net.pth")
    assert fingerprint_tensors(read_weights("net.pth").tensors) == fingerprint_tensors(tensors)


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "can't be read: No such file"),
    "folder": (lambda path: path.mkdir(), "is a folder without weights"),
    "empty": (lambda path: path.write_bytes(b""), "is not a weights file"),
    "text": (lambda path: path.write_text("version https://git-lfs"), "is not a weights file"),
    "zip": (lambda path: path.write_bytes(b"PK\3\4 and so on"), "is not a torch checkpoint of tensors"),
    "list": (lambda path: torch.save([torch.ones(1)], path), "holds no tensors by name but list"),
    "keys": (lambda path: torch.save({"epoch": 1}, path), "holds no tensors by name but the keys epoch"),
    "safetensors": (lambda path: path.write_bytes((99).to_bytes(8, "little") + b"{"), "is not a valid safetensors"),
    "cvm": (lambda path: path.write_bytes(b"CVM1"), "is not a valid .cvm file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_holds_no_weights_is_refused(here: Path, kind: str) -> None:
    make, said = FILES[kind]
    make(here / "net.pth")
    assert said in refused(lambda: read_weights("net.pth"))


Nest = Callable[[Tensors, Tensors], Any]
SEVERAL: dict[str, tuple[Nest, str, str]] = {
    "timm": (lambda own, ema: {"epoch": 3, "state_dict": own, "state_dict_ema": ema}, "state_dict", "state_dict_ema"),
    "the average first": (lambda own, ema: {"model_ema": ema, "model": own}, "model", "model_ema"),
    "nested": (lambda own, ema: {"model": own, "ema": {"module": ema, "updates": 9}}, "model", "ema.module"),
    "deeper": (lambda own, ema: {"net": {"state_dict": own, "ema": ema}}, "net.state_dict", "net.ema"),
    "wrapped twice": (lambda own, ema: {"module": {"model": own}, "ema": ema}, "module.model", "ema"),
    "beside an optimiser": (
        lambda own, ema: {
            "optimizer": {"state": {"buf": own}}, "state_dict": own, "averaged": ema,
            "stats": {"mean": own["fc1.bias"]},
        },
        "state_dict",
        "averaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SEVERAL)
def test_of_several_state_dicts_one_is_taken_and_the_others_are_told(here: Path, tensors: Tensors, kind: str) -> None:
    nest, usual, other = SEVERAL[kind]
    average = {name: tensor / 2 for name, tensor in tensors.items()}
    torch.save(nest(tensors, average), "net.pth")
    found = read_weights("net.pth")
    assert fingerprint_tensors(found.tensors) == fingerprint_tensors(tensors)
    assert found.notes == (f"taken from '{usual}'", f"the file also holds '{other}': --from takes another one")
    chosen = read_weights("net.pth", other)
    assert fingerprint_tensors(chosen.tensors) == fingerprint_tensors(average)
    assert chosen.notes[0] == f"taken from '{other}'"
    assert f"'{usual}'" in chosen.notes[1]
    said = refused(lambda: read_weights("net.pth", "swa"))
    assert said.startswith("--from swa: net.pth holds no tensors there but at ")
    assert {usual, other} == set(said.partition(" at ")[2].partition(":")[0].split(", "))


def test_a_key_may_leave_out_what_lies_below_it(here: Path, tensors: Tensors) -> None:
    torch.save({"model": tensors, "ema": {"module": {name: -one for name, one in tensors.items()}}}, "net.pth")
    assert read_weights("net.pth", "ema").notes[0] == "taken from 'ema.module'"


def test_of_none_that_is_usual_the_only_one_is_taken_and_of_several_none(here: Path, tensors: Tensors) -> None:
    torch.save({"params_ema": tensors, "step": 3}, "one.pth")
    assert read_weights("one.pth").notes == ("taken from 'params_ema'",)
    torch.save({"params": tensors, "params_ema": tensors}, "two.pth")
    said = refused(lambda: read_weights("two.pth"))
    assert said == "two.pth holds no tensors by name but at params, params_ema: choose one by --from KEY"


def test_a_key_where_there_is_nothing_to_choose_is_refused(here: Path, tensors: Tensors) -> None:
    torch.save(tensors, "net.pth")
    assert refused(lambda: read_weights("net.pth", "model")).endswith("but at its top: leave --from out")
    save_file(tensors, "net.safetensors")
    assert "--from model chooses among the state dicts of a torch checkpoint" in refused(
        lambda: read_weights("net.safetensors", "model")
    )


def test_own_networks_have_no_pretrained_weights() -> None:
    assert "architecture mlp has no pretrained weights" in refused(lambda: factory.fetch_pretrained(MLP))


@pytest.mark.parametrize("source", ["timm", "torchvision"])
def test_pretrained_weights_that_can_t_be_fetched_are_one_line(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> Any:
        raise OSError("no network here")

    monkeypatch.setattr("timm.create_model", unreachable)
    monkeypatch.setattr("torchvision.models.get_model", unreachable)
    said = refused(lambda: factory.fetch_pretrained({"source": source, "name": "resnet18"}))
    assert f"the pretrained weights of resnet18 can't be had from {source}: no network here" in said


@pytest.mark.parametrize(
    ("source", "name", "mean"),
    [("torchvision", "resnet18", 0.485), ("torchvision", "googlenet", 0.5), ("timm", "tf_efficientnet_lite0", 0.5)],
)
def test_pretrained_weights_bring_their_normalisation(
    source: str, name: str, mean: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is the libraries' but the fetching."""
    bare = factory.build_architecture(
        {**RESNET, "source": source, "name": name, "num_classes": 1000, "img_size": 64}, "meta"
    )
    timm_s, torchvision_s = timm.create_model, models.get_model
    as_loaded = {"transform_input": True, "init_weights": False} if name == "googlenet" else {}
    monkeypatch.setattr("timm.create_model", lambda name, pretrained: timm_s(name))
    monkeypatch.setattr(
        "torchvision.models.get_model", lambda name, weights, **how: torchvision_s(name, **as_loaded, **how)
    )
    found = factory.fetch_pretrained({"source": source, "name": name})
    assert found.mean is not None
    assert found.mean[0] == pytest.approx(mean)
    assert match_weights(found, bare, "pretrained").fresh_names == ()
