"""The compressed network as one file, `.cvm`.

"CVM1" · u32 little-endian header length · header (format 2; canonical JSON as arithmetic code) · a blob for each tensor
in the order of names · sha256 of all before.
Deterministic, no pickle, no code; a stranger's file gives a network or a `UserError`, a kind of ValueError.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convarium import lookup
from convarium.coding.site_streams import DEFAULT_CODER, SiteReader, SiteWriter, find_coder
from convarium.cvm import declared_network
from convarium.cvm import header as envelope
from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.representations.base import Representation
from convarium.representations.dense import Dense

BYTE_KINDS = ("weights", "indices", "codebooks", "batch_norm", "biases", "surgery", "header")


@dataclass(frozen=True)
class CompressedFile:
    """A decoded file.

    Attributes:
        header: architecture, task, classes, input, surgery: what `write_cvm` takes.
        sites: the representation of every parameter and buffer by name, Dense where it isn't compressed.
        coders: the coder of each site that names one.
        bytes_by_kind: how many bytes of the file hold what (see BYTE_KINDS); they add up to its size.
        bytes_by_site: the bytes of each site, without the header's part of it.
        allowed_packages: the outside packages that it may name.
    """

    header: dict[str, Any]
    sites: dict[str, Representation]
    coders: dict[str, str]
    bytes_by_kind: dict[str, int]
    bytes_by_site: dict[str, int]
    allowed_packages: tuple[str, ...] = ()


def write_cvm(path: str | Path, network: nn.Module, header: Mapping[str, Any], coders: Mapping[str, str]) -> None:
    """Write `materialise_network` with its representations; the same arguments give the same bytes.

    Args:
        path: the file, replaced at once or not at all.
        network: what `build(header["architecture"])` builds, with representations attached or not.
        header: architecture, task, classes, input {shape, mean, std}, surgery.
        coders: how a represented site is coded ("huffman"), others in fixed width; a coder of values ("xz") takes any.

    Raises:
        UserError: a header or a tensor that a file can't hold.
    """
    specs: envelope.Specs = []
    blobs = bytearray()
    for name, (representation, tensors) in parametrization.collect_stored_tensors(network).items():
        coder = coders.get(name, DEFAULT_CODER)
        plain = isinstance(representation, Dense) and not find_coder(coder).codes_values
        stream = SiteWriter(DEFAULT_CODER if plain else coder)
        representation.encode(tensors, stream)
        specs.append(None if plain else representation.to_spec() | ({"coder": coder} if coder != DEFAULT_CODER else {}))
        blobs += stream.data
    data = envelope.pack_file(header, specs, bytes(blobs))
    partial = Path(f"{path}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_cvm(path: str | Path, allow: Iterable[str] = ()) -> CompressedFile:
    """Read, check and decode a file.

    Args:
        allow: outside packages whose architectures and representations it may name, besides those that are allowed
            already (`convarium.lookup.allow_packages`). Others are never imported.

    Raises:
        UserError: it can't be read, or is foreign, damaged, or not what `write_cvm` writes.
    """
    packages = tuple(allow)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    try:
        with lookup.allow_packages(packages):
            return replace(parse_cvm(memoryview(data)), allowed_packages=packages)
    except UserError as error:
        raise UserError(f"{path} is not a valid .cvm file: {' '.join(str(error).split())}") from None


def parse_cvm(data: memoryview) -> CompressedFile:
    """Decode the bytes of a file (see `read_cvm`)."""
    header, specs, blobs = envelope.unpack_file(data)
    expected = declared_network.list_expected_tensors(header)
    sites = declared_network.build_empty_representations(specs, expected)
    counted: Counter[str] = Counter()
    sizes: dict[str, int] = {}
    for name, (representation, coder) in sites.items():
        stream = SiteReader(blobs, coder)
        _decode_site(name, representation, stream)
        counted += declared_network.count_bytes_by_kind(stream.bytes_by_kind, expected[name].role)
        sizes[name] = stream.bytes_by_kind.total()
        blobs = stream.data
    if blobs:
        raise UserError("bytes are left over")
    counted["surgery"] = _count_surgery_bytes(header, specs)
    counted["header"] = len(data) - counted.total()
    return CompressedFile(
        header,
        {name: representation for name, (representation, _) in sites.items()},
        {name: coder for name, (_, coder) in sites.items() if coder != DEFAULT_CODER},
        {kind: counted[kind] for kind in BYTE_KINDS},
        sizes,
    )


def _count_surgery_bytes(header: Mapping[str, Any], specs: envelope.Specs) -> int:
    """How much longer the surgery makes the header."""
    if not header["surgery"]:
        return 0
    with_it, without = envelope.encode_header(header, specs), envelope.encode_header({**header, "surgery": []}, specs)
    return max(0, len(with_it) - len(without))


def _decode_site(name: str, representation: Representation, stream: SiteReader) -> None:
    try:
        representation.decode(stream)
    except UserError as error:
        raise UserError(f"site {name}: {error}") from None


def materialise_network(file: CompressedFile) -> nn.Module:
    """The plain network in eval mode, every weight materialised: what is measured and exported.

    Raises:
        UserError: its values don't fit together.
    """
    with lookup.allow_packages(file.allowed_packages):
        bare = declared_network.build_declared_network(file.header)
    with torch.no_grad():
        parametrization.replace_tensors(bare, {name: _materialise_weight(found) for name, found in file.sites.items()})
    declared_network.check_selected_inputs(bare)
    return bare.eval()


def _materialise_weight(representation: Representation) -> torch.Tensor:
    dense = representation.materialise()
    return dense.clone() if isinstance(representation, Dense) else dense


def build_parametrized_network(file: CompressedFile) -> nn.Module:
    """The network in train mode with its representations attached, to be trained or compressed further."""
    bare = materialise_network(file).train()
    parametrization.attach_representations(
        bare, {name: deepcopy(found) for name, found in file.sites.items() if not isinstance(found, Dense)}
    )
    return bare


def load_cvm(path: str | Path, allow: Iterable[str] = ()) -> nn.Module:
    """Load a `.cvm` file as a plain network in eval mode; needs no trust in where the file comes from.

    A file may name nouns of outside packages, such as an architecture: `allow` says which of them may be imported.

    Raises:
        ValueError: the file can't be read, or is foreign, damaged or altered; said in one line.
    """
    return materialise_network(read_cvm(path, allow))
