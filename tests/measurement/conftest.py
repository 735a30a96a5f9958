"""A small network in a file, dense and sparse, and digits to measure it on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from convarium.architectures import factory
from convarium.cvm import container
from convarium.representations import parametrization
from convarium.representations.sparse import Sparse
from convarium.workers.fresh_process import run_in_fresh_process
from convarium.workers.runtime import Parent, Runtime

ARCHITECTURE = {
    "source": "own", "name": "mlp", "in_chans": 1, "num_classes": 10, "img_size": 8, "stem": "native",
    "kwargs": {"hidden": [32], "activation": "relu"},
}  # fmt: skip
HEADER = {
    "architecture": ARCHITECTURE, "task": "classification", "classes": 10, "surgery": [],
    "input": {"shape": [1, 8, 8], "mean": [0.30513625], "std": [0.37596626]},
}  # fmt: skip
DIGITS_CONFIG = {
    "name": "digits", "channels": 1, "classes": 10, "native_size": 8, "img_size": 8, "train_size": None,
    "images": {"train": 1297, "validation": 200, "test": 300}, "mean": [0.30513625], "std": [0.37596626],
    "fingerprint": "03d55907d291540a",
}  # fmt: skip


@pytest.fixture
def digits() -> dict[str, Any]:
    return dict(DIGITS_CONFIG)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return factory.build_architecture(ARCHITECTURE)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a network into a folder of its own; returns the file."""

    def make(name: str, network: nn.Module, **header: Any) -> Path:
        (tmp_path / name).mkdir()
        container.write_cvm(tmp_path / name / "network.cvm", network, HEADER | header, {})
        return tmp_path / name / "network.cvm"

    return make


@pytest.fixture
def dense_file(write: Callable[..., Path], network: nn.Module) -> Path:
    return write("dense", network)


@pytest.fixture
def sparse_network() -> nn.Module:
    torch.manual_seed(0)
    bare = factory.build_architecture(ARCHITECTURE)
    name, weight = next((n, p) for n, p in bare.named_parameters() if p.dim() == 2)
    largest = weight.detach().abs().flatten().topk(100).indices
    parametrization.attach_representations(bare, {name: Sparse.from_dense(largest, weight.detach())})
    return bare


@pytest.fixture
def sparse_file(write: Callable[..., Path], sparse_network: nn.Module) -> Path:
    return write("sparse", sparse_network)


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(
        folder=tmp_path, checkpoint_folder=tmp_path, threads=1, accelerator="cpu", data_root=None,
        report=lambda **figures: None, check_lease=lambda: None, run_fresh=run_in_fresh_process,
    )  # fmt: skip


@pytest.fixture
def parents(sparse_file: Path, dense_file: Path) -> tuple[Parent, ...]:
    return tuple(Parent("0" * 12, path.parent, {}) for path in (sparse_file, dense_file))


@pytest.fixture
def task() -> dict[str, str]:
    return {"name": "classification"}
