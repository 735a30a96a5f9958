"""Networks with tied tensors in the formats of others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from convarium import lookup
from convarium.architectures import factory
from convarium.architectures.tied_tensors import find_tied_names
from convarium.portable import loaders, onnx_file, safetensors_file, torch_export_file
from convarium.portable.model_card import ModelCard
from portable.conftest import build_header


@pytest.fixture(autouse=True)
def _allowed() -> Iterator[None]:
    with lookup.allow_packages(("tied_networks",)):
        yield


def built(name: str) -> tuple[nn.Module, dict[str, Any]]:
    given = {"source": "own", "name": f"tied_networks:{name}", "in_chans": 1, "num_classes": 10, "img_size": 8}
    architecture = {**given, "stem": "native", "kwargs": {}}
    torch.manual_seed(0)
    return factory.build_architecture(architecture).eval(), build_header(architecture)


@pytest.mark.parametrize("form", ["safetensors", "torch_export", "onnx"])
@pytest.mark.parametrize("name", ["PARAMETER", "BUFFERS"])
def test_what_is_exported_says_what_a_tied_network_says(name: str, form: str, tmp_path: Path) -> None:
    (network, described), path = built(name), tmp_path / "net"
    images = torch.randn(3, 1, 8, 8)
    expected = network(images)
    if form == "safetensors":
        safetensors_file.write_safetensors(network, ModelCard("0123456789ab", form, described), path)
    elif form == "torch_export":
        torch_export_file.write_torch_export(network, (1, 8, 8), ModelCard("0123456789ab", form, described), path)
    else:
        onnx_file.write_onnx(network, (1, 8, 8), path)
    assert torch.allclose(loaders.load_forward(path, 1)(images), expected, atol=1e-5)


def test_a_network_that_is_read_from_safetensors_has_its_ties(tmp_path: Path) -> None:
    network, described = built("MODULE")
    safetensors_file.write_safetensors(network, ModelCard("0123456789ab", "safetensors", described), tmp_path / "net")
    assert find_tied_names(safetensors_file.read_safetensors(tmp_path / "net")) == find_tied_names(network)
