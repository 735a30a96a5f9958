"""Files of strangers: whatever the bytes, a `ValueError` in one line or a valid network, soon and in bounded memory."""

import json
import random
import resource
import time
from collections.abc import Callable
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from convarium.architectures import factory
from convarium.coding import text_coder
from convarium.coding.site_streams import SiteWriter
from convarium.coding.varint import encode_varint
from convarium.cvm import container, declared_network
from convarium.cvm.header import MAX_HEADER_BYTES, format_canonical_json
from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.representations.binary import Binary
from convarium.representations.levels import Levels
from convarium.representations.shared import Shared
from convarium.representations.sparse import Sparse

SECONDS = 5.0
CHANGES = 60


def header(name: str, size: int, **kwargs: Any) -> dict[str, Any]:
    architecture = {"source": "own", "name": name, "in_chans": 1, "num_classes": 10, "img_size": size, "stem": "native"}
    return {
        "architecture": {**architecture, "kwargs": kwargs},
        "task": "classification",
        "classes": 10,
        "input": {"shape": [1, size, size], "mean": [0.1307], "std": [0.3081]},
        "surgery": [],
    }


@pytest.fixture(scope="module", params=["fixed", "huffman", "arithmetic", "xz"])
def honest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A LeNet-5 with every kind of representation, by each coder."""
    return made(request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same by one coder: what a header may say does not depend on it."""
    return made("arithmetic", tmp_path_factory)


def made(coder: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch.manual_seed(0)
    given = header("lenet5", 16)
    network = factory.build_architecture(given["architecture"])
    chosen = {}
    for name, weight in network.named_parameters():
        if name == "conv2.bias":
            chosen[name] = Levels.quantise(weight, torch.tensor([0.1]), 3)
        elif name == "conv1.bias":
            chosen[name] = Binary(weight.shape).project(weight)
        elif weight.dim() == 1:
            chosen[name] = Shared.from_codebook(torch.randn(3), torch.randint(0, 3, weight.shape))
        else:
            kept = torch.randperm(weight.numel())[: weight.numel() // 50 + 2]
            values = Shared.from_codebook(torch.randn(11), torch.randn(len(kept)).mul(2).add(5).long().clamp(0, 10))
            levels = Levels.quantise(torch.randn(len(kept)), torch.tensor([0.1]), 3, zeros=False)
            inner = levels if "fc1" in name else values
            chosen[name] = (
                Sparse.from_dense(kept, weight) if "conv1" in name else Sparse.from_positions(kept, weight.shape, inner)
            )
    parametrization.attach_representations(network, chosen)
    path = tmp_path_factory.mktemp("honest") / "net.cvm"
    container.write_cvm(path, network, given, dict.fromkeys(parametrization.describe_representations(network), coder))
    return path.read_bytes()


def sealed(data: bytes) -> bytes:
    """The same bytes with the digest of what comes before it."""
    return data[:-32] + sha256(data[:-32]).digest()


def loaded(data: bytes) -> nn.Module | None:
    """The network, if there is one; fails for any other end, or one that took too long."""
    begin = time.monotonic()
    try:
        network = container.materialise_network(container.parse_cvm(memoryview(data)))
    except UserError:
        network = None
    assert time.monotonic() - begin < SECONDS
    return network


def assert_valid(network: nn.Module) -> None:
    """Everything is there, and gives an answer of the right shape."""
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 16, 16)).shape == (1, 10)


def test_the_honest_file_is_a_network(honest: bytes) -> None:
    network = loaded(honest)
    assert network is not None
    assert_valid(network)
    assert sealed(honest) == honest


def test_every_truncation_is_refused(honest: bytes) -> None:
    for end in range(len(honest)):
        assert loaded(honest[:end]) is None


def test_every_truncation_is_refused_though_its_digest_is_right(honest: bytes) -> None:
    for end in {*range(0, 60, 2), *range(60, len(honest), 1 + len(honest) // 40)} - {len(honest) - 32}:
        cut = honest[:end]
        assert loaded(cut + sha256(cut).digest()) is None


def changed(honest: bytes, seed: int) -> bytes:
    """One to three bytes changed anywhere."""
    drawn, data = random.Random(seed), bytearray(honest)
    for _ in range(drawn.choice([1, 1, 2, 3])):
        data[drawn.randrange(len(data))] ^= drawn.randrange(1, 256)
    return bytes(data)


def test_random_changes_are_refused(honest: bytes) -> None:
    for seed in range(CHANGES):
        assert loaded(changed(honest, seed)) is None


def test_random_changes_with_the_right_digest_are_refused_or_harmless(honest: bytes) -> None:
    networks = [network for seed in range(CHANGES) if (network := loaded(sealed(changed(honest, seed)))) is not None]
    for network in networks[:25]:
        assert_valid(network)
    assert len(networks) < CHANGES


def test_changes_of_the_blobs_alone(honest: bytes) -> None:
    begin = 8 + int.from_bytes(honest[4:8], "little")
    for seed in range(CHANGES):
        drawn, data = random.Random(seed), bytearray(honest)
        data[drawn.randrange(begin, len(data) - 32)] = drawn.choice([0, 1, 127, 128, 255, drawn.randrange(256)])
        loaded(sealed(bytes(data)))


def with_header(honest: bytes, change: Callable[[Any], Any]) -> bytes:
    """The file with a header that was changed as JSON, in canonical form, with the right length and digest."""
    length = int.from_bytes(honest[4:8], "little")
    text = change(json.loads(text_coder.decode_text(memoryview(honest)[9 : 8 + length], MAX_HEADER_BYTES)))
    text = text if isinstance(text, bytes) else format_canonical_json(text)
    return sealed(honest[:4] + headed(text) + honest[8 + length :])


def headed(text: bytes) -> bytes:
    """The length of a header and the header."""
    coded = b"\2" + text_coder.encode_text(text)
    return len(coded).to_bytes(4, "little") + coded


def replaced(header: Any, path: tuple[Any, ...], value: Any) -> Any:
    place = header
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return header


PLACES: list[tuple[Any, ...]] = [
    ("architecture",),
    ("architecture", "source"),
    ("architecture", "name"),
    ("architecture", "in_chans"),
    ("architecture", "num_classes"),
    ("architecture", "img_size"),
    ("architecture", "stem"),
    ("architecture", "kwargs"),
    ("architecture", "_target_"),
    ("architecture", "pretrained"),
    ("classes",),
    ("format",),
    ("input",),
    ("mean",),
    ("std",),
    ("sites",),
    ("sites", 1),
    ("sites", 1, "kind"),
    ("sites", 1, "coder"),
    ("sites", 1, "shape"),
    ("sites", 3, "nonzeros"),
    ("sites", 3, "inner"),
    ("sites", 3, "inner", "size"),
    ("surgery",),
    ("task",),
]
VALUES = [
    None,
    True,
    -1,
    10**40,
    1.5,
    "",
    "os.system",
    "hf-hub:x\ny",
    "../x",
    [],
    [[]],
    {},
    {"kind": "sparse"},
    [2**62] * 4,
]


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_another_type_or_size_anywhere_in_the_header_is_refused(coded: bytes, path: tuple[Any, ...]) -> None:
    for value in VALUES:
        data = with_header(coded, lambda header, value=value: replaced(header, path, value))
        network = loaded(data)
        assert network is None or data == coded or path == ("task",)


def nested(depth: int) -> Any:
    inner: Any = {"kind": "dense"}
    for _ in range(depth):
        inner = {"kind": "sparse", "nonzeros": 2, "inner": inner}
    return inner


@pytest.mark.parametrize(
    "change",
    [
        lambda header: b"[" * 20_000,
        lambda header: b'{"a":' * 10_000,
        lambda header: b"\xff\xfe",
        lambda header: format_canonical_json(header).replace(b"10", b"NaN", 1),
        lambda header: format_canonical_json(header).replace(b"0.1307", b"1e999"),
        lambda header: format_canonical_json(header).replace(b"10", b"1" * 5000, 1),
        lambda header: format_canonical_json(header).replace(b'"num_classes":10', b'"num_classes":10,"num_classes":10'),
        lambda header: {**header, "classes": 10},
        lambda header: {**header, "surgery": []},
        lambda header: {**header, "sites": [0] * len(header["sites"])},
        lambda header: format_canonical_json(header).replace(b":", b": "),
        lambda header: format_canonical_json(header).replace(b"lenet5", b"\\ud800"),
        lambda header: format_canonical_json(header) + b" " * 5000,
        lambda header: replaced(header, ("sites", 3, "inner"), nested(20)),
        lambda header: replaced(header, ("sites", 3), nested(900)),
        lambda header: replaced(header, ("sites",), header["sites"][::-1]),
        lambda header: replaced(header, ("sites",), header["sites"] * 2),
        lambda header: replaced(header, ("architecture", "kwargs"), {"pretrained": True}),
    ],
)
def test_headers_made_to_hurt_are_refused(coded: bytes, change: Callable[[Any], Any]) -> None:
    assert loaded(with_header(coded, change)) is None


def test_an_error_is_one_line_and_names_the_file(coded: bytes, tmp_path: Path) -> None:
    path = tmp_path / "strange.cvm"
    name = "x\n\n\x1b[31m" * 50
    path.write_bytes(with_header(coded, lambda header: replaced(header, ("architecture", "name"), name)))
    with pytest.raises(ValueError, match=r"strange\.cvm") as caught:
        container.read_cvm(path)
    assert str(caught.value).isprintable()


def test_a_network_larger_than_the_limit_is_refused_before_memory_is_taken() -> None:
    given = header("mlp", 4096, hidden=[65536])
    with pytest.raises(UserError, match="larger than"):
        declared_network.list_expected_tensors(given)


def bomb(given: dict[str, Any], represent: Callable[[tuple[int, ...], SiteWriter], dict[str, Any]]) -> bytes:
    """A file whose weights are all what `represent` declares and writes; biases are dense."""
    sites, blobs = [], b""
    for _, expected in sorted(declared_network.list_expected_tensors(given).items()):
        writer = SiteWriter()
        spec: Any = 0
        if len(expected.shape) > 1:
            spec = represent(expected.shape, writer)
        else:
            writer.write_values("weights", torch.zeros(expected.shape))
        sites.append(spec)
        blobs += writer.data
    own = {"mean": given["input"]["mean"], "std": given["input"]["std"], "task": given["task"], "sites": sites}
    text = format_canonical_json({"architecture": given["architecture"], **own})
    return sealed(b"CVM1" + headed(text) + blobs + b"\0" * 32)


def one_entry(shape: tuple[int, ...], writer: SiteWriter) -> dict[str, Any]:
    Shared(shape, 1).encode((torch.zeros(1),), writer)
    return {"kind": "shared", "size": 1}


def nothing_kept(shape: tuple[int, ...], writer: SiteWriter) -> dict[str, Any]:
    return {"kind": "sparse", "nonzeros": 0, "inner": {"kind": "dense"}}


def last_kept_in_a_bitmap(shape: tuple[int, ...], writer: SiteWriter) -> dict[str, Any]:
    size = shape[0] * shape[1]
    writer.data += b"\x01" + encode_varint(size - 1) + b"\xff" * (size // 8 - 1) + b"\xfe" + b"\0" * 4
    return {"kind": "sparse", "nonzeros": 1, "inner": {"kind": "dense"}}


def all_kept(shape: tuple[int, ...], writer: SiteWriter) -> dict[str, Any]:
    size = shape[0] * shape[1]
    writer.data += b"\x01\x00" + b"\0" * (size // 8) + b"\0" * 4
    return {"kind": "sparse", "nonzeros": size, "inner": {"kind": "shared", "size": 1}}


def _load_and_measure(data: bytes, results: Any) -> None:
    torch.set_num_threads(1)
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network = container.materialise_network(container.parse_cvm(memoryview(data)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    results.put((time.monotonic() - begin, peak * 1024, int(network.fc1.weight.count_nonzero())))


@pytest.mark.parametrize("represent", [one_entry, nothing_kept, last_kept_in_a_bitmap, all_kept])
def test_a_small_file_of_a_large_network_takes_at_most_twice_what_it_declares(represent) -> None:
    given = header("mlp", 128, hidden=[1024])
    data = bomb(given, represent)
    declared = sum(map(declared_network.count_declared_bytes, container.parse_cvm(memoryview(data)).sites.values()))
    assert len(data) < declared / 20
    context = get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=_load_and_measure, args=(data, results))
    process.start()
    process.join(60)
    seconds, peak, _ = results.get()
    assert seconds < SECONDS
    assert peak <= 2 * declared


def test_a_layer_that_selects_inputs_which_are_not_there_is_refused_before_images_go_through(tmp_path: Path) -> None:
    given = header("condensenet_cifar", 16, depths=[1, 1], growths=[8, 8], form="grouped")
    network = factory.build_architecture(given["architecture"])
    network.get_buffer("fc.index")[0] = 32
    container.write_cvm(tmp_path / "odd.cvm", network, given, {})
    with pytest.raises(UserError, match=r"site fc.index: it selects inputs that are not among the 32 of fc"):
        container.load_cvm(tmp_path / "odd.cvm")
