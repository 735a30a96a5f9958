"""Weights of tied networks from outside: files that hold a tied tensor once, twice, or twice and not the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_model
from torch import nn

from convarium import lookup
from convarium.architectures import factory
from convarium.architectures.weights import Weights, fingerprint_tensors
from convarium.cvm import container
from convarium.errors import UserError
from convarium.weight_files.match_weights import match_weights
from convarium.weight_files.read_weights import read_weights

TIED = ("PARAMETER", "MODULE", "THREE", "BIASES", "BUFFERS", "ROOT", "WORDS")


@pytest.fixture(autouse=True)
def _allowed() -> Iterator[None]:
    with lookup.allow_packages(("tied_networks",)):
        yield


def architecture(name: str) -> dict[str, Any]:
    given = {"source": "own", "name": f"tied_networks:{name}", "in_chans": 1, "num_classes": 10, "img_size": 8}
    return {**given, "stem": "native", "kwargs": {}}


def bare(name: str) -> nn.Module:
    return factory.build_architecture(architecture(name), "meta")


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    return factory.build_architecture(architecture(name))


def written(network: nn.Module, name: str, file: Path) -> None:
    given = {"shape": [1, 8, 8], "mean": [0.5], "std": [0.5]}
    header = {"architecture": architecture(name), "task": "classification", "classes": 10, "surgery": []}
    if file.suffix == ".cvm":
        container.write_cvm(file, network, {**header, "input": given}, {})
    elif file.suffix == ".safetensors":
        save_model(network, str(file))
    else:
        torch.save(network.state_dict(), file)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".cvm"])
@pytest.mark.parametrize("name", TIED)
def test_a_tied_tensor_may_be_in_a_file_once_or_under_each_name(name: str, suffix: str, here: Path) -> None:
    network, file = built(name), here / f"net{suffix}"
    written(network, name, file)
    found = match_weights(read_weights(file), bare(name), file.name)
    assert fingerprint_tensors(found.tensors) == fingerprint_tensors(network.state_dict())
    again = built(name)
    again.load_state_dict(found.tensors)
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(again.eval()(images), network.eval()(images))


@pytest.mark.parametrize("kept", ["a.weight", "b.weight", "c.weight"])
def test_any_of_the_names_will_do(kept: str) -> None:
    network = built("THREE")
    tensors = {key: value for key, value in network.state_dict().items() if not key.endswith(".weight") or key == kept}
    tensors |= {key: value for key, value in network.state_dict().items() if key[0] not in "abc"}
    assert fingerprint_tensors(match_weights(Weights(tensors), bare("THREE"), "net").tensors) == fingerprint_tensors(
        network.state_dict()
    )


@pytest.mark.parametrize(("name", "told"), [("PARAMETER", "a.weight and b.weight"), ("BUFFERS", "na.running_mean and")])
def test_names_of_one_tensor_that_differ_are_refused(name: str, told: str) -> None:
    tensors = built("UNTIED").state_dict()
    tensors["nb.running_mean"] = torch.ones(8)
    with pytest.raises(UserError, match=f"net: {told}.* differ, the network has one tensor for both names"):
        match_weights(Weights(tensors), bare(name), "net")


def test_an_untied_network_takes_what_a_tied_one_has_under_each_name_and_not_what_it_leaves_out(here: Path) -> None:
    tied = built("PARAMETER")
    assert match_weights(Weights(tied.state_dict()), bare("UNTIED"), "net").tensors.keys() == tied.state_dict().keys()
    written(tied, "PARAMETER", here / "net.safetensors")
    with pytest.raises(UserError, match=r"1 missing \(b\.weight\)"):
        match_weights(read_weights(here / "net.safetensors"), bare("UNTIED"), "net")


def test_a_file_of_other_names_that_holds_a_tied_tensor_once_is_taken_by_order() -> None:
    tensors = {f"_{key}": value for key, value in built("PARAMETER").state_dict().items() if key != "b.weight"}
    found = match_weights(Weights(tensors), bare("PARAMETER"), "net", by_order=True)
    assert fingerprint_tensors(found.tensors) == fingerprint_tensors(built("PARAMETER").state_dict())


def test_a_tied_classifier_of_other_classes_is_left_out_under_both_names() -> None:
    tensors = built("HEAD").state_dict()
    other = factory.build_architecture({**architecture("HEAD"), "num_classes": 4}, "meta")
    found = match_weights(Weights(tensors), other, "net", new_head=True)
    assert found.fresh_names == ("fc.weight", "fc.bias", "last.weight", "last.bias")
