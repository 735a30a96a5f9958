"""Methods that change a network's structure, through the stages: from a command line to the file and back."""

from pathlib import Path

import pytest
import torch

from convarium.cvm import container
from convarium.errors import UserError
from stages.stage_harness import SimulatedKill, StageHarness, plan_command_nodes

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
def bench(tmp_path_factory: pytest.TempPathFactory) -> StageHarness:
    return StageHarness(tmp_path_factory.mktemp("surgery"))


def sizes(path: Path) -> int:
    return sum(parameter.numel() for parameter in container.load_cvm(path).parameters())


CASES = [(network, method) for network in NETWORKS for method in METHODS if network == "lenet5" or method != "chain"]


@pytest.mark.parametrize(("network", "method"), CASES)
def test_the_file_is_a_smaller_network_that_runs(network: str, method: str, bench: StageHarness) -> None:
    train, *chain, _ = plan_command_nodes(*NETWORKS[network], *DATA, *METHODS[method])
    for node in (train, *chain):
        if not bench.network_path(node).exists():
            bench.run_stage(node)
    assert sizes(bench.network_path(chain[-1])) < 0.85 * sizes(bench.network_path(train))
    images = torch.randn(3, *container.read_cvm(bench.network_path(train)).header["input"]["shape"])
    assert container.load_cvm(bench.network_path(chain[-1]))(images).isfinite().all()


@pytest.mark.parametrize("method", ["filter_l1", "svd", "small_dense"])
def test_the_same_seed_makes_the_same_file(method: str, bench: StageHarness) -> None:
    train, node, _ = plan_command_nodes(*NETWORKS["lenet5"], *DATA, *METHODS[method])
    bench.run_stage(train)
    assert bench.run_stage(node) == bench.run_stage(node)


def test_a_cut_that_is_killed_while_it_retrains_resumes_to_the_same_file(bench: StageHarness) -> None:
    asked = ("compression=filter_l1", "compression.filter_l1.rounds=2", "compression.filter_l1.epochs=1")
    train, cut, _ = plan_command_nodes(*NETWORKS["lenet5"], *DATA, *asked)
    bench.run_stage(train)
    whole = bench.run_stage(cut)
    with pytest.raises(SimulatedKill):
        bench.killed_at_checkpoint(2).run_stage(cut)
    assert bench.run_stage(cut) == whole


def test_a_stranger_s_surgery_after_which_nothing_fits_is_refused(bench: StageHarness, tmp_path: Path) -> None:
    train, cut, _ = plan_command_nodes(*NETWORKS["lenet5"], *DATA, *METHODS["filter_l1"])
    if not bench.network_path(cut).exists():
        bench.run_stage(train)
        bench.run_stage(cut)
    file = container.read_cvm(bench.network_path(cut))
    layers = {**file.header["surgery"][0]["layers"], "conv2": [7, 25]}
    network = container.materialise_network(file)
    conv2 = network.get_submodule("conv2")
    conv2.weight = torch.nn.Parameter(torch.zeros(25, 7, 5, 5))
    surgery = [{"op": "resize", "layers": layers}]
    container.write_cvm(tmp_path / "odd.cvm", network, {**file.header, "surgery": surgery}, {})
    with pytest.raises(UserError, match="surgery: the network it makes does not run"):
        container.read_cvm(tmp_path / "odd.cvm")
