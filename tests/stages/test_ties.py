"""Tensors of several names: whatever the method, the file's network has the tie, and answers as the trained one did."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from convarium import lookup
from convarium.architectures import factory
from convarium.compose.points import compose_points
from convarium.conformance.tensor_comparison import compute_logits
from convarium.cost.layers import list_layers
from convarium.cvm import container
from convarium.measurement.quality import measure_file
from convarium.planning.plan import Node
from convarium.planning.validate import validate_points
from stages.stage_harness import SimulatedKill, StageHarness, plan_command_nodes

TIED = (
    "PARAMETER", "MODULE", "LIST", "THREE", "BIASES", "BUFFERS", "NORM", "LINEAR", "TRANSPOSED", "ROOT", "EARLY",
    "WORDS",
)  # fmt: skip
KEPT = {
    "dense": ("none",),
    "coded": ("[magnitude,kmeans,huffman]", "compression.magnitude.epochs=0", "compression.kmeans.epochs=1"),
    "kd": ("kd", "compression.kd.epochs=1"),
    "gradual": (
        "global_gradual", "compression.global_gradual.rounds=1", "compression.global_gradual.sparsity=0.98",
        "compression.global_gradual.epochs=1",
    ),
}  # fmt: skip
CUT = {
    "filter_l1": ("filter_l1", "compression.filter_l1.epochs=1"),
    "budget": ("filter_l1", "compression.filter_l1.epochs=0", "budget.macs=0.999"),
    "small_dense": ("small_dense", "compression.small_dense.epochs=1"),
    "svd": ("svd", "compression.svd.epochs=1"),
}
ARCHITECTURE = """source: own
name: '{}'
in_chans: null
num_classes: null
img_size: null
stem: native
weights: null
kwargs: {{}}
"""
Made = tuple[Path, Tensor]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> StageHarness:
    return StageHarness(tmp_path_factory.mktemp("ties"))


@pytest.fixture
def line(write: Callable[[str, str], Path]) -> Iterator[Callable[..., tuple[str, ...]]]:
    """The command line of a network of `tied_networks` and a method; `tied_networks` may be read from files."""

    def lined(network: str, method: str = "none", *overrides: str) -> tuple[str, ...]:
        write("conf/architecture/tied.yaml", ARCHITECTURE.format(f"tied_networks:{network}"))
        data = ("dataset=digits", "dataset.train_size=60", "recipe.epochs=1", "recipe.batch_size=30")
        return "architecture=tied", *data, f"compression={method}", *overrides

    with lookup.allow_packages(("tied_networks",)):
        yield lined


def refused(line: tuple[str, ...]) -> str | None:
    """The one line by which validation refuses a command's only point."""
    (reason,) = validate_points(compose_points(line).check_points()).values() or [None]
    assert reason is None or "\n" not in reason
    return reason


def chain(line: tuple[str, ...]) -> list[Node]:
    return [node for node in plan_command_nodes(*line) if node.stage in ("train", "compress")]


def made(line: tuple[str, ...], bench: StageHarness) -> Made:
    """Make a point's network; its file, and the logits of the network that was written."""
    answers: list[Tensor] = []
    write = container.write_cvm

    def watched(path: Any, network: nn.Module, header: Mapping[str, Any], coders: Any) -> None:
        answers.append(compute_logits(network, tuple(header["input"]["shape"])))
        write(path, network, header, coders)

    *before, last = chain(line)
    for node in before:
        if not bench.network_path(node).exists():
            bench.run_stage(node)
    with mock.patch.object(container, "write_cvm", watched):
        bench.run_stage(last)
    return bench.network_path(last), answers[-1]


def ties(network: nn.Module) -> list[list[str]]:
    """The names in the state dict that lie in one memory."""
    found: dict[int, list[str]] = defaultdict(list)
    for name, tensor in network.state_dict().items():
        found[tensor.data_ptr()].append(name)
    return sorted(names for names in found.values() if len(names) > 1)


def opened(path: Path) -> tuple[container.CompressedFile, nn.Module]:
    file = container.read_cvm(path)
    return file, container.materialise_network(file)


@pytest.mark.parametrize("method", [*KEPT, *CUT])
@pytest.mark.parametrize("network", TIED)
def test_a_tie_is_kept_and_stored_once_or_a_cut_is_refused(
    network: str, method: str, bench: StageHarness, line: Callable[..., tuple[str, ...]]
) -> None:
    asked = line(network, *(KEPT | CUT)[method])
    if method in CUT and (reason := refused(asked)):
        assert "nothing can be cut" in reason
        assert "layers that share a tensor stay whole" in reason
        return
    assert refused(asked) is None
    path, trained = made(asked, bench)
    file, found = opened(path)
    tied = ties(factory.build_architecture(file.header["architecture"]))
    assert tied
    assert ties(found) == tied
    assert set(file.sites) == found.state_dict().keys() - {name for names in tied for name in sorted(names)[1:]}
    assert torch.equal(compute_logits(found, tuple(file.header["input"]["shape"])), trained)


@pytest.mark.parametrize("network", ["PARAMETER", "MODULE", "BUFFERS", "WORDS"])
def test_it_is_counted_once(network: str, bench: StageHarness, line: Callable[..., tuple[str, ...]]) -> None:
    asked = line(network, *KEPT["coded"])
    path, _ = made(asked, bench)
    _, found = opened(path)
    measured = measure_file(str(path), str(bench.network_path(chain(asked)[0])), *digits(asked))
    distinct = {parameter.data_ptr(): parameter for parameter in found.parameters()}.values()
    assert measured["metrics"]["parameters"] == sum(one.numel() for one in distinct)
    assert measured["metrics"]["nonzeros"] == sum(int(one.count_nonzero()) for one in distinct)
    assert sum(measured["bytes"].values()) == path.stat().st_size
    assert sum(layer.parameters for layer in list_layers(found, (1, 8, 8))) == measured["metrics"]["parameters"]


def digits(asked: tuple[str, ...]) -> tuple[Any, ...]:
    config = compose_points(asked).check_points()[0].config
    return config["dataset"], config["task"], None


@pytest.mark.parametrize("network", ["WORDS", "ROOT", "EARLY"])
def test_a_later_step_finds_what_an_earlier_one_did_to_a_layer_that_comes_second_by_name(
    network: str, bench: StageHarness, line: Callable[..., tuple[str, ...]]
) -> None:
    """Found: k-means unpruned them, because the representation went by the embedding's name; nor were they coded."""
    pruned, _ = opened(made(line(network, "magnitude", "compression.magnitude.epochs=0"), bench)[0])
    coded, _ = opened(made(line(network, *KEPT["coded"]), bench)[0])
    kinds = {name: form.kind for name, form in pruned.sites.items() if form.kind != "dense"}
    assert {name: coded.sites[name].to_spec()["kind"] for name in kinds} == dict.fromkeys(kinds, "sparse")
    assert {name: coded.sites[name].to_spec()["nonzeros"] for name in kinds} == {
        name: pruned.sites[name].to_spec()["nonzeros"] for name in kinds
    }
    assert coded.coders == dict.fromkeys(kinds, "huffman")


@pytest.mark.parametrize("network", ["WORDS", "BUFFERS", "THREE"])
def test_a_tied_network_that_is_killed_while_it_trains_resumes_to_the_same_file(
    network: str, bench: StageHarness, line: Callable[..., tuple[str, ...]]
) -> None:
    train, step = chain(line(network, "magnitude", "compression.magnitude.epochs=2"))
    whole = [bench.run_stage(node) for node in (train, step)]
    for node, expected in zip((train, step), whole, strict=True):
        with pytest.raises(SimulatedKill):
            bench.killed_at_checkpoint(node.stage_config.get("recipe", {}).get("epochs", 1)).run_stage(node)
        assert bench.run_stage(node) == expected


@pytest.mark.parametrize(("network", "where"), [("VIEW", "u.weight and v.weight"), ("BUFFER_OF_A_PARAMETER", "kernel")])
def test_tensors_that_share_memory_only_are_refused(
    network: str, where: str, line: Callable[..., tuple[str, ...]]
) -> None:
    reason = refused(line(network))
    assert reason is not None
    assert where in reason
    assert "lie in the same memory but are not one parameter" in reason


@pytest.mark.parametrize("network", ["LISTED", "CLOSED"])
def test_a_parameter_that_is_read_by_another_way_than_by_its_name_is_refused(
    network: str, line: Callable[..., tuple[str, ...]]
) -> None:
    """Found: trained, then measured with a decoder that no file had filled."""
    reason = refused(line(network))
    assert reason is not None
    assert "reads encoder.weight by another way than by its name" in reason


@pytest.mark.parametrize("network", ["MIRROR", "READER"])
def test_what_reads_its_parameters_by_name_goes_through_a_file(
    network: str, bench: StageHarness, line: Callable[..., tuple[str, ...]]
) -> None:
    path, trained = made(line(network, *KEPT["coded"]), bench)
    assert refused(line(network, *KEPT["coded"])) is None
    assert torch.equal(compute_logits(opened(path)[1], (1, 8, 8)), trained)


def test_parts_of_one_memory_that_do_not_overlap_are_no_tie(line: Callable[..., tuple[str, ...]]) -> None:
    assert refused(line("HALVES")) is None


def test_a_layer_that_is_called_by_another_way_too_is_not_split(
    bench: StageHarness, line: Callable[..., tuple[str, ...]]
) -> None:
    path, trained = made(line("HIDDEN_MODULE", *CUT["svd"]), bench)
    file, found = opened(path)
    assert "a.weight" in file.sites
    assert torch.equal(compute_logits(found, (1, 8, 8)), trained)


def test_a_step_that_names_tied_layers_only_is_refused(line: Callable[..., tuple[str, ...]]) -> None:
    reason = refused(line("PARAMETER", "svd", "compression.svd.sites=[a*]"))
    assert reason is not None
    assert reason.endswith("those that share a tensor or have two names stay whole")
    assert refused(line("PARAMETER", "filter_l1", "compression.filter_l1.sites=[a*]")) is not None


@pytest.mark.parametrize("method", ["filter_l1", "svd"])
def test_a_network_is_not_taken_for_an_untied_one_that_looks_the_same(
    method: str, bench: StageHarness, line: Callable[..., tuple[str, ...]]
) -> None:
    """Found: groups of channels are kept by the printed network and its sizes, which do not show a tie."""
    for network in ("UNTIED", "PARAMETER", "UNTIED"):
        path, trained = made(line(network, *CUT[method]), bench)
        file, found = opened(path)
        assert ties(found) == ties(factory.build_architecture(file.header["architecture"]))
        assert torch.equal(compute_logits(found, (1, 8, 8)), trained)


def test_kd_needs_no_channel_that_can_be_cut_where_it_cuts_none(line: Callable[..., tuple[str, ...]]) -> None:
    assert refused(line("WORDS", "kd")) is None
    assert refused(line("WORDS", "kd", "compression.kd.channels_removed=0.5")) is not None
    assert refused(line("WORDS", "kd", "budget.macs=0.5")) is not None
