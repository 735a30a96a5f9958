"""Files of networks that are dense, compressed, tied, or built by others' libraries."""

import json
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import convarium
from convarium import edits
from convarium.architectures import factory
from convarium.coding import text_coder
from convarium.cvm import container
from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.representations.binary import Binary
from convarium.representations.filter_layout import DEFAULT_LAYOUT, LAYOUT_KEYS, FilterLayout
from convarium.representations.levels import Levels
from convarium.representations.shared import Shared
from convarium.representations.sparse import Sparse

LENET = {"source": "own", "name": "lenet300_100", "in_chans": 1, "num_classes": 10, "img_size": 12, "stem": "native"}
RESNET = {"source": "own", "name": "resnet20", "in_chans": 3, "num_classes": 10, "img_size": 8, "stem": "native"}


def header(architecture: dict[str, Any]) -> dict[str, Any]:
    channels, size = architecture["in_chans"], architecture["img_size"]
    return {
        "architecture": {"kwargs": {}, **architecture},
        "task": "classification",
        "classes": architecture["num_classes"],
        "input": {"shape": [channels, size, size], "mean": [0.1307] * channels, "std": [0.3081] * channels},
        "surgery": [],
    }


def built(architecture: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    network = factory.build_architecture({"kwargs": {}, **architecture})
    for buffer in network.buffers():
        buffer.copy_(torch.rand(buffer.shape) * 9)
    return network


def compress(network: nn.Module) -> dict[str, str]:
    """Prune and share every weight; return Huffman as the coder of each."""
    for name, weight in list(network.named_parameters()):
        if weight.dim() > 1:
            kept = weight.detach().abs().flatten().topk(weight.numel() // 12 + 1).indices
            values = Shared.from_codebook(
                torch.randn(16).sort().values, torch.randn(len(kept)).mul(3).add(8).long().clamp(0, 15)
            )
            parametrization.attach_representations(network, {name: Sparse.from_positions(kept, weight.shape, values)})
    return dict.fromkeys(parametrization.describe_representations(network), "huffman")


def images(architecture: dict[str, Any]) -> torch.Tensor:
    return torch.randn(3, architecture["in_chans"], architecture["img_size"], architecture["img_size"])


@pytest.mark.parametrize("architecture", [LENET, RESNET], ids=lambda given: given["name"])
def test_a_dense_network_comes_back_bit_for_bit(architecture: dict[str, Any], tmp_path: Path) -> None:
    network = built(architecture)
    container.write_cvm(tmp_path / "net.cvm", network, header(architecture), {})
    again = convarium.load(tmp_path / "net.cvm")
    assert not again.training
    assert list(again.state_dict()) == list(network.state_dict())
    for name, tensor in network.state_dict().items():
        assert again.state_dict()[name].dtype == tensor.dtype
        assert torch.equal(again.state_dict()[name], tensor)


@pytest.mark.parametrize("coder", ["huffman", "fixed", "arithmetic", "xz"])
@pytest.mark.parametrize("architecture", [LENET, RESNET], ids=lambda given: given["name"])
def test_a_compressed_network_comes_back_bit_for_bit(architecture, coder, tmp_path: Path) -> None:
    network = built(architecture)
    coders = dict.fromkeys(compress(network), coder)
    container.write_cvm(tmp_path / "net.cvm", network, header(architecture), coders)
    file = container.read_cvm(tmp_path / "net.cvm")
    plain, parametrized = container.materialise_network(file), container.build_parametrized_network(file)
    assert parametrization.describe_representations(parametrized) == parametrization.describe_representations(network)
    assert not parametrization.collect_representations(plain)
    for site in parametrization.collect_stored_tensors(network):
        assert torch.equal(
            parametrization.materialise_site(plain, site), parametrization.materialise_site(network, site)
        )
        assert torch.equal(
            parametrization.materialise_site(parametrized, site), parametrization.materialise_site(network, site)
        )
    given = images(architecture)
    assert torch.equal(plain(given), network.eval()(given))


def test_the_same_network_gives_the_same_bytes_and_so_does_what_was_read(tmp_path: Path) -> None:
    for name in "ab":
        network = built(RESNET)
        container.write_cvm(tmp_path / name, network, header(RESNET), compress(network))
    file = container.read_cvm(tmp_path / "a")
    container.write_cvm(tmp_path / "c", container.build_parametrized_network(file), file.header, file.coders)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_hosted_network_trains_and_leaves_the_file_alone(tmp_path: Path) -> None:
    network = built(LENET)
    container.write_cvm(tmp_path / "a", network, header(LENET), compress(network))
    file = container.read_cvm(tmp_path / "a")
    parametrized = container.build_parametrized_network(file)
    assert parametrized.training
    parametrized(images(LENET)).square().sum().backward()
    torch.optim.SGD(parametrized.parameters(), lr=0.1).step()
    assert not torch.equal(parametrized.fc1.weight, network.fc1.weight)
    container.write_cvm(tmp_path / "b", container.build_parametrized_network(file), file.header, file.coders)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_bytes_split_by_kind_add_up_to_the_file(tmp_path: Path) -> None:
    network = built(RESNET)
    container.write_cvm(tmp_path / "dense.cvm", network, header(RESNET), {})
    dense = container.read_cvm(tmp_path / "dense.cvm").bytes_by_kind
    assert sum(dense.values()) == (tmp_path / "dense.cvm").stat().st_size
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert dense["batch_norm"] == sum(16 * norm.num_features + 8 for norm in norms)
    assert dense["biases"] == 4 * 10
    assert dense["weights"] == 4 * sum(p.numel() for p in network.parameters() if p.dim() > 1)
    container.write_cvm(tmp_path / "small.cvm", network, header(RESNET), compress(network))
    small = container.read_cvm(tmp_path / "small.cvm").bytes_by_kind
    assert sum(small.values()) == (tmp_path / "small.cvm").stat().st_size
    assert small["codebooks"] == 4 * 16 * len(parametrization.describe_representations(network))
    assert small["indices"] > small["codebooks"]
    assert small["batch_norm"] == dense["batch_norm"]


def test_a_huffman_file_is_smaller_than_one_of_fixed_width(tmp_path: Path) -> None:
    network = built(LENET)
    coders = compress(network)
    container.write_cvm(tmp_path / "fixed", network, header(LENET), {})
    container.write_cvm(tmp_path / "huffman", network, header(LENET), coders)
    assert container.read_cvm(tmp_path / "huffman").coders == coders
    coded, fixed = (container.read_cvm(tmp_path / name).bytes_by_kind for name in ("huffman", "fixed"))
    assert coded["weights"] < 0.98 * fixed["weights"]
    assert coded["indices"] < 0.97 * fixed["indices"]


class Tied(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(16, 16), nn.Linear(16, 16))
        self[2].weight = self[1].weight
        self.register_buffer("scale", torch.full((1,), 3.0), persistent=False)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return super().forward(given) * self.scale


@pytest.fixture
def tied(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    def build(architecture: Any, device: str | None = None) -> nn.Module:
        with torch.device(device or "cpu"):
            return Tied()

    monkeypatch.setattr(factory, "build_architecture", build)
    return {**LENET, "name": "tied", "img_size": 4}


def test_tied_tensors_are_stored_once_and_stay_tied(tied: dict[str, Any], tmp_path: Path) -> None:
    network = Tied()
    container.write_cvm(tmp_path / "net.cvm", network, header(tied), {})
    file = container.read_cvm(tmp_path / "net.cvm")
    assert list(file.sites) == ["1.bias", "1.weight", "2.bias"]
    again = container.materialise_network(file)
    assert again[1].weight is again[2].weight
    parametrization.attach_representations(
        network, {"2.weight": Shared.from_codebook(torch.ones(2), torch.zeros(16, 16, dtype=torch.int64))}
    )
    container.write_cvm(tmp_path / "net.cvm", network, header(tied), {"1.weight": "huffman"})
    again = container.build_parametrized_network(container.read_cvm(tmp_path / "net.cvm"))
    assert list(parametrization.collect_representations(again)) == ["1.weight"]
    assert torch.equal(again[1].weight, again[2].weight)


class Enlarging(nn.Sequential):
    """Transposed convolutions of one group and of two, and one of each channel by itself."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 8, 3), nn.ConvTranspose2d(8, 6, 2), nn.ConvTranspose2d(6, 4, 2, groups=2),
            nn.ConvTranspose2d(4, 4, 2, groups=4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10),
        )  # fmt: skip


@pytest.fixture
def enlarging(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    def build(architecture: Any, device: str | None = None) -> nn.Module:
        with torch.device(device or "cpu"):
            return Enlarging()

    monkeypatch.setattr(factory, "build_architecture", build)
    return {**LENET, "name": "enlarging"}


def quantised(kind: str, filters: Mapping[str, FilterLayout]) -> nn.Module:
    """Give each weight a scale for each of its filters, which lie as `filters` says, else along the first dimension."""
    network = Enlarging()
    for name, weight in list(network.named_parameters()):
        layout = filters.get(name, DEFAULT_LAYOUT)
        scales = torch.rand(layout.count_filters(weight.shape)) + 0.01
        if weight.dim() > 1:
            form = (
                Binary(weight.shape, layout) if kind == "binary" else Levels.quantise(weight, scales, 7, True, layout)
            )
            parametrization.attach_representations(network, {name: form.project(weight)})
    return network


@pytest.mark.parametrize("kind", ["binary", "levels"])
@pytest.mark.parametrize(
    "filters", [{}, {"1.weight": FilterLayout(1), "2.weight": FilterLayout(1, 2)}], ids=["without an axis", "with one"]
)
def test_scales_of_filters_come_back_whether_a_file_names_their_axis_or_not(
    kind: str, filters: dict[str, FilterLayout], enlarging: dict[str, Any], tmp_path: Path
) -> None:
    network = quantised(kind, filters)
    container.write_cvm(tmp_path / "net.cvm", network, header(enlarging), {})
    file = container.read_cvm(tmp_path / "net.cvm")
    again = container.materialise_network(file)
    for name in parametrization.collect_representations(network):
        assert torch.equal(again.get_parameter(name), parametrization.materialise_site(network, name))
    container.write_cvm(tmp_path / "again.cvm", container.build_parametrized_network(file), file.header, file.coders)
    assert (tmp_path / "again.cvm").read_bytes() == (tmp_path / "net.cvm").read_bytes()
    named = {
        name: form.to_spec()
        for name, form in parametrization.collect_representations(network).items()
        if "axis" in form.to_spec()
    }
    assert set(named) == set(filters)


@pytest.mark.parametrize("kind", ["binary", "levels"])
@pytest.mark.parametrize(
    ("site", "told"),
    [
        ("1.weight", {"axis": 0}), ("1.weight", {"axis": 2}), ("1.weight", {"axis": -1}), ("1.weight", {"axis": True}),
        ("1.weight", {"axis": 1.0}), ("1.weight", {"axis": "1"}), ("1.weight", {"axis": None}),
        ("1.weight", {"axis": [1]}), ("1.weight", {"groups": 2}), ("1.weight", {"axis": 1, "groups": 1}),
        ("1.weight", {"axis": 1, "groups": 0}), ("1.weight", {"axis": 1, "groups": 3}),
        ("1.weight", {"axis": 1, "groups": 2}), ("1.weight", {"axis": 1, "groups": 1 << 40}), ("2.weight", {"axis": 1}),
        ("0.weight", {"axis": 1}), ("3.weight", {"axis": 1, "groups": 4}), ("6.weight", {"axis": 1}),
    ],
    ids=str,
)  # fmt: skip
def test_an_axis_that_a_layer_has_not_is_refused(
    kind: str, site: str, told: dict[str, Any], enlarging: dict[str, Any], tmp_path: Path
) -> None:
    filters = {"1.weight": FilterLayout(1), "2.weight": FilterLayout(1, 2)}
    network = quantised(kind, filters)
    form = parametrization.collect_representations(network)[site]
    grid = {key: value for key, value in form.to_spec().items() if key not in LAYOUT_KEYS}
    form.to_spec = lambda: grid | told  # type: ignore[method-assign]
    container.write_cvm(tmp_path / "net.cvm", network, header(enlarging), {})
    with pytest.raises(ValueError, match=f"site {site}: .*(axis|groups|scales)"):
        container.load_cvm(tmp_path / "net.cvm")


def test_tensors_that_no_state_dict_holds_are_built_and_random_state_is_kept(tied, tmp_path: Path) -> None:
    network = Tied()
    container.write_cvm(tmp_path / "net.cvm", network, header(tied), {})
    before = torch.random.get_rng_state()
    again = convarium.load(tmp_path / "net.cvm")
    assert torch.equal(torch.random.get_rng_state(), before)
    given = torch.randn(2, 1, 4, 4)
    assert torch.equal(again(given), network(given))


def test_a_network_of_timm_comes_back(tmp_path: Path) -> None:
    architecture = {**RESNET, "source": "timm", "name": "test_byobnet", "img_size": 32}
    network = built(architecture).eval()
    container.write_cvm(tmp_path / "net.cvm", network, header(architecture), compress(network))
    given = images(architecture)
    assert torch.equal(convarium.load(tmp_path / "net.cvm")(given), network(given))


def test_the_layout_is_the_one_described(tmp_path: Path) -> None:
    container.write_cvm(tmp_path / "net.cvm", built(LENET), header(LENET), {})
    data = (tmp_path / "net.cvm").read_bytes()
    length = int.from_bytes(data[4:8], "little")
    assert data[:4] == b"CVM1"
    assert data[8] == 2
    described = {"architecture": {"kwargs": {}, **LENET}, "mean": [0.1307], "std": [0.3081], "task": "classification"}
    assert json.loads(text_coder.decode_text(memoryview(data)[9 : 8 + length], 1000)) == described
    assert len(data) == 8 + length + 4 * sum(tensor.numel() for tensor in built(LENET).parameters()) + 32
    assert data[-32:] == sha256(data[:-32]).digest()


def test_the_header_says_only_what_does_not_follow(tmp_path: Path) -> None:
    network = built(LENET)
    container.write_cvm(tmp_path / "dense", network, header(LENET), {})
    assert container.read_cvm(tmp_path / "dense").bytes_by_kind["header"] < 40 + 30
    container.write_cvm(tmp_path / "small", network, header(LENET), compress(network))
    assert container.read_cvm(tmp_path / "small").bytes_by_kind["header"] < 40 + 60
    named = header(LENET) | {"classes": [f"class {number}" for number in range(10)]}
    container.write_cvm(tmp_path / "named", network, named, {})
    assert container.read_cvm(tmp_path / "named").header == named


def test_values_are_coded_by_a_coder_of_values_alone(tmp_path: Path) -> None:
    network = built(RESNET)
    every = list(parametrization.collect_stored_tensors(network))
    for coder in ("fixed", "xz", "arithmetic"):
        container.write_cvm(tmp_path / coder, network, header(RESNET), dict.fromkeys(every, coder))
    assert list(container.read_cvm(tmp_path / "xz").coders) == every
    assert not container.read_cvm(tmp_path / "arithmetic").coders
    assert (tmp_path / "xz").stat().st_size < 0.95 * (tmp_path / "fixed").stat().st_size
    assert (tmp_path / "arithmetic").read_bytes() == (tmp_path / "fixed").read_bytes()
    again = container.materialise_network(container.read_cvm(tmp_path / "xz")).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in network.state_dict().items())


def test_an_edited_network_comes_back_and_its_surgery_is_counted(tmp_path: Path) -> None:
    surgery = [{"op": "resize", "layers": {"fc1": [144, 120], "fc2": [120, 100]}}]
    network = built(LENET)
    edits.apply_surgery(network, surgery)
    torch.nn.init.normal_(network.fc1.weight)
    container.write_cvm(tmp_path / "net.cvm", network, header(LENET) | {"surgery": surgery}, {})
    file = container.read_cvm(tmp_path / "net.cvm")
    assert file.header["surgery"] == surgery
    assert 10 < file.bytes_by_kind["surgery"] < 60
    assert sum(file.bytes_by_kind.values()) == (tmp_path / "net.cvm").stat().st_size
    assert torch.equal(container.materialise_network(file).fc1.weight, network.fc1.weight)


@pytest.mark.parametrize(
    "wrong",
    [
        {"surgery": [{"op": "cut"}]},
        {"classes": None},
        {"task": ""},
        {"architecture": {}},
        {"input": {"shape": [1, 12, 12], "mean": [0.1], "std": [0.0]}},
        {"input": {"shape": [1, 12, 13], "mean": [0.1], "std": [0.1]}},
        {"more": 1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_header_that_can_not_be_read_is_not_written(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError):
        container.write_cvm(tmp_path / "net.cvm", built(LENET), header(LENET) | wrong, {})
    assert not list(tmp_path.iterdir())


def test_values_that_a_file_can_not_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="float64"):
        container.write_cvm(tmp_path / "net.cvm", built(LENET).double(), header(LENET), {})
    network = built(LENET)
    coders = dict.fromkeys(compress(network), "zip")
    with pytest.raises(UserError, match="no coder"):
        container.write_cvm(tmp_path / "net.cvm", network, header(LENET), coders)


def test_a_file_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.cvm"):
        with pytest.raises(ValueError, match="can't be read") as caught:
            convarium.load(path)
        assert "\n" not in str(caught.value)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, convarium; print([name for name in ('torch', 'numpy', 'hydra') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
