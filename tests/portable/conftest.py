"""Files of small networks: one for each way to hold a weight, decoded to plain ones before anything is exported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convarium import edits
from convarium.architectures import factory
from convarium.cvm import container
from convarium.representations import parametrization
from convarium.representations.base import Representation
from convarium.representations.binary import Binary
from convarium.representations.levels import Levels
from convarium.representations.shared import Shared
from convarium.representations.sparse import Sparse

LENET: dict[str, Any] = {
    "source": "own", "name": "lenet300_100", "in_chans": 1, "num_classes": 10, "img_size": 8, "stem": "native",
    "kwargs": {},
}  # fmt: skip
FACTOR_SURGERY = [{"op": "factor", "form": "channel", "ranks": {"fc1": 7}}]
RESIZE_SURGERY = [{"op": "resize", "layers": {"fc1": [64, 9], "fc2": [9, 100]}}]
SURGERY_BY_KIND = {"factored": FACTOR_SURGERY, "cut": RESIZE_SURGERY}


def project_to_sparse(weight: Tensor) -> Representation:
    kept = weight.abs().flatten().topk(weight.numel() // 10).indices
    return Sparse.from_positions(
        kept, weight.shape, Shared.from_codebook(torch.randn(8), torch.randint(0, 8, (len(kept),)))
    )


PROJECT_BY_KIND: dict[str, Callable[[Tensor], Representation]] = {
    "sparse of shared": project_to_sparse,
    "shared": lambda weight: Shared.from_codebook(torch.randn(8), torch.randint(0, 8, weight.shape)),
    "levels": lambda weight: Levels.quantise(weight, torch.tensor([0.02]), 3),
    "binary": lambda weight: Binary(weight.shape).project(weight),
}
KINDS = ("dense", *PROJECT_BY_KIND, *SURGERY_BY_KIND)


def build_header(architecture: dict[str, Any], surgery: list[Any] | None = None) -> dict[str, Any]:
    channels, side = architecture["in_chans"], architecture["img_size"]
    given = {"shape": [channels, side, side], "mean": [0.25] * channels, "std": [0.5] * channels}
    names = [f"class {number}" for number in range(architecture["num_classes"])]
    return {
        "architecture": architecture, "task": "classification", "classes": names, "input": given,
        "surgery": surgery or [],
    }  # fmt: skip


def write_network_file(path: Path, kind: str = "dense", architecture: dict[str, Any] = LENET) -> Path:
    """Write the file of a network whose first weight is held as `kind` says."""
    torch.manual_seed(0)
    surgery = SURGERY_BY_KIND.get(kind, [])
    network = factory.build_architecture(architecture)
    edits.apply_surgery(network, surgery)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.data = torch.rand(tensor.shape) - 0.3 * (tensor.dim() > 1)
    if kind in PROJECT_BY_KIND:
        parametrization.attach_representations(
            network, {"fc1.weight": PROJECT_BY_KIND[kind](network.get_parameter("fc1.weight").detach())}
        )
    container.write_cvm(path, network, build_header(architecture, surgery), {})
    return path


def decode_network(path: Path) -> nn.Module:
    return container.materialise_network(container.read_cvm(path))


@pytest.fixture
def images() -> Tensor:
    """Some images for LENET."""
    torch.manual_seed(1)
    return torch.rand(33, 1, 8, 8)
