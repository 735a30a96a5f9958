"""Every network of the catalogue that a file names is the paper's: parameters and MACs, counted without memory."""

import re
from typing import Any

import pytest
import yaml
from torch import nn

from convarium.architectures import library
from convarium.catalogue.rows import Row, rows
from convarium.config.places import folders
from convarium.measurement.macs import macs

FILE = re.compile(r"architecture=(\w+/\w+)")
NOT_CLASSIFIERS = ("fully_connected",)
NETWORKS = [row for row in rows() if row.kind == "architectures" and row.config and row.id not in NOT_CLASSIFIERS]


def described(row: Row) -> dict[str, Any]:
    """The architecture of a row, complete, for the images and classes of its paper."""
    (name,) = FILE.findall(row.config or "")
    (file,) = (path for root in folders("conf") if (path := root / "architecture" / f"{name}.yaml").is_file())
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    cifar, mnist = "CIFAR" in row.name, row.id.startswith("lenet5") or "MNIST" in row.name
    shape = {
        "in_chans": 1 if mnist else 3,
        "num_classes": 10 if cifar or mnist else 1000,
        "img_size": row.input or (32 if cifar else 28 if mnist else 224),
    }
    if row.id.startswith("d3net"):  # the paper's classes are those of Cityscapes, one for every pixel
        found["kwargs"], shape["num_classes"] = {"head": "pixels"}, 19
    return {key: found[key] for key in ("source", "name", "stem", "kwargs")} | shape


def counted(network: nn.Module, row: Row) -> int:
    """Trained or not; of T2T-ViT also the fixed tables, which its authors keep as parameters."""
    fixed = sum(one.numel() for one in network.buffers()) if row.id.startswith("t2t") else 0
    return sum(one.numel() for one in network.parameters()) + fixed


@pytest.mark.parametrize("row", NETWORKS, ids=lambda row: str(row.id))
def test_a_network_is_the_paper_s(row: Row) -> None:
    found = described(row)
    network = library.build(found, "meta")
    if row.parameters is not None:
        assert counted(network, row) == row.parameters
    if row.macs is not None:
        assert macs(network, [found["in_chans"], found["img_size"], found["img_size"]]) == row.macs


def test_most_of_the_review_s_classifiers_are_there() -> None:
    assert len(NETWORKS) > 100
    assert sum(row.parameters is not None for row in NETWORKS) > 95
