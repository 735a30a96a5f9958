"""Files of small networks: one for each way to hold a weight, decoded to plain ones before anything is exported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convarium.architectures import library
from convarium.compression import edits, host
from convarium.compression.file import container
from convarium.compression.representations.base import Representation
from convarium.compression.representations.binary import Binary
from convarium.compression.representations.levels import Levels
from convarium.compression.representations.shared import Shared
from convarium.compression.representations.sparse import Sparse

LENET: dict[str, Any] = {
    "source": "own", "name": "lenet300_100", "in_chans": 1, "num_classes": 10, "img_size": 8, "stem": "native",
    "kwargs": {},
}  # fmt: skip
FACTORED = [{"op": "factor", "form": "channel", "ranks": {"fc1": 7}}]
CUT = [{"op": "resize", "layers": {"fc1": [64, 9], "fc2": [9, 100]}}]
SURGERY = {"factored": FACTORED, "cut": CUT}


def sparse(weight: Tensor) -> Representation:
    kept = weight.abs().flatten().topk(weight.numel() // 10).indices
    return Sparse.of(kept, weight.shape, Shared.of(torch.randn(8), torch.randint(0, 8, (len(kept),))))


HELD: dict[str, Callable[[Tensor], Representation]] = {
    "sparse of shared": sparse,
    "shared": lambda weight: Shared.of(torch.randn(8), torch.randint(0, 8, weight.shape)),
    "levels": lambda weight: Levels.of(weight, torch.tensor([0.02]), 3),
    "binary": lambda weight: Binary(weight.shape).fit(weight),
}
KINDS = ("dense", *HELD, *SURGERY)


def header(architecture: dict[str, Any], surgery: list[Any] | None = None) -> dict[str, Any]:
    channels, side = architecture["in_chans"], architecture["img_size"]
    given = {"shape": [channels, side, side], "mean": [0.25] * channels, "std": [0.5] * channels}
    names = [f"class {number}" for number in range(architecture["num_classes"])]
    return {
        "architecture": architecture, "task": "classification", "classes": names, "input": given,
        "surgery": surgery or [],
    }  # fmt: skip


def written(path: Path, kind: str = "dense", architecture: dict[str, Any] = LENET) -> Path:
    """Write the file of a network whose first weight is held as `kind` says."""
    torch.manual_seed(0)
    surgery = SURGERY.get(kind, [])
    network = library.build(architecture)
    edits.apply(network, surgery)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.data = torch.rand(tensor.shape) - 0.3 * (tensor.dim() > 1)
    if kind in HELD:
        host.attach(network, {"fc1.weight": HELD[kind](network.get_parameter("fc1.weight").detach())})
    container.write(path, network, header(architecture, surgery), {})
    return path


def plain(path: Path) -> nn.Module:
    return container.network(container.read(path))


@pytest.fixture
def images() -> Tensor:
    """Some images for LENET."""
    torch.manual_seed(1)
    return torch.rand(33, 1, 8, 8)
