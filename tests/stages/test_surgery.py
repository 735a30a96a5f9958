"""Methods that change a network's structure, through the stages: from a command line to the file and back."""

from pathlib import Path

import pytest
import torch

from convarium.compression.file import container
from convarium.errors import UserError
from stages.in_process import Bench, Killed, nodes

DATA = ("dataset=digits", "dataset.train_size=64", "recipe.epochs=1")
NETWORKS = {
    "lenet5": ("architecture=lenet5", "dataset.img_size=28"),
    "residual": ("architecture=timm", "architecture.name=test_resnet", "dataset.img_size=32"),
    "depthwise": ("architecture=timm", "architecture.name=lcnet_035", "dataset.img_size=32"),
}
METHODS = {
    "filter_l1": ("compression=filter_l1", "compression.filter_l1.epochs=1"),
    "svd": ("compression=svd", "compression.svd.epochs=1"),
    "small_dense": ("compression=small_dense", "compression.small_dense.epochs=1"),
    "chain": (
        "compression=[magnitude,filter_l1,kmeans,huffman]", "compression.magnitude.epochs=0",
        "compression.filter_l1.rounds=2", "compression.filter_l1.epochs=0", "compression.kmeans.epochs=0",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    torch.set_num_threads(1)
    return Bench(tmp_path_factory.mktemp("surgery"))


def sizes(path: Path) -> int:
    return sum(parameter.numel() for parameter in container.load(path).parameters())


CASES = [(network, method) for network in NETWORKS for method in METHODS if network == "lenet5" or method != "chain"]


@pytest.mark.parametrize(("network", "method"), CASES)
def test_the_file_is_a_smaller_network_that_runs(network: str, method: str, bench: Bench) -> None:
    train, *chain, _ = nodes(*NETWORKS[network], *DATA, *METHODS[method])
    for node in (train, *chain):
        if not bench.file(node).exists():
            bench.make(node)
    assert sizes(bench.file(chain[-1])) < 0.85 * sizes(bench.file(train))
    images = torch.randn(3, *container.read(bench.file(train)).header["input"]["shape"])
    assert container.load(bench.file(chain[-1]))(images).isfinite().all()


@pytest.mark.parametrize("method", ["filter_l1", "svd", "small_dense"])
def test_the_same_seed_makes_the_same_file(method: str, bench: Bench) -> None:
    train, node, _ = nodes(*NETWORKS["lenet5"], *DATA, *METHODS[method])
    bench.make(train)
    assert bench.make(node) == bench.make(node)


def test_a_cut_that_is_killed_while_it_retrains_resumes_to_the_same_file(bench: Bench) -> None:
    asked = ("compression=filter_l1", "compression.filter_l1.rounds=2", "compression.filter_l1.epochs=1")
    train, cut, _ = nodes(*NETWORKS["lenet5"], *DATA, *asked)
    bench.make(train)
    whole = bench.make(cut)
    with pytest.raises(Killed):
        bench.killed_at(2).make(cut)
    assert bench.make(cut) == whole


def test_a_stranger_s_surgery_after_which_nothing_fits_is_refused(bench: Bench, tmp_path: Path) -> None:
    train, cut, _ = nodes(*NETWORKS["lenet5"], *DATA, *METHODS["filter_l1"])
    if not bench.file(cut).exists():
        bench.make(train)
        bench.make(cut)
    file = container.read(bench.file(cut))
    layers = {**file.header["surgery"][0]["layers"], "conv2": [7, 25]}
    network = container.network(file)
    conv2 = network.get_submodule("conv2")
    conv2.weight = torch.nn.Parameter(torch.zeros(25, 7, 5, 5))
    surgery = [{"op": "resize", "layers": layers}]
    container.write(tmp_path / "odd.cvm", network, {**file.header, "surgery": surgery}, {})
    with pytest.raises(UserError, match="surgery: the network it makes does not run"):
        container.read(tmp_path / "odd.cvm")
