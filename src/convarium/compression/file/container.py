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

from convarium import names
from convarium.compression import host
from convarium.compression.file import header as envelope
from convarium.compression.file import skeleton
from convarium.compression.file.streams import FIXED, Reader, Writer, find_coder
from convarium.compression.representations.base import Representation
from convarium.compression.representations.dense import Dense
from convarium.errors import UserError

KINDS = ("weights", "indices", "codebooks", "batch_norm", "biases", "surgery", "header")


@dataclass(frozen=True)
class File:
    """A decoded file.

    Attributes:
        header: architecture, task, classes, input, surgery: what `write` takes.
        sites: the representation of every parameter and buffer by name, Dense where it isn't compressed.
        coders: the coder of each site that names one.
        bytes: how many bytes of the file hold what (see KINDS); they add up to its size.
        sizes: the bytes of each site, without the header's part of it.
        allow: the outside packages that it may name.
    """

    header: dict[str, Any]
    sites: dict[str, Representation]
    coders: dict[str, str]
    bytes: dict[str, int]
    sizes: dict[str, int]
    allow: tuple[str, ...] = ()


def write(path: str | Path, network: nn.Module, header: Mapping[str, Any], coders: Mapping[str, str]) -> None:
    """Write `network` with its representations; the same arguments give the same bytes.

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
    for name, (representation, tensors) in host.stored(network).items():
        coder = coders.get(name, FIXED)
        plain = isinstance(representation, Dense) and not find_coder(coder).codes_values
        stream = Writer(FIXED if plain else coder)
        representation.encode(tensors, stream)
        specs.append(None if plain else representation.spec() | ({"coder": coder} if coder != FIXED else {}))
        blobs += stream.data
    data = envelope.wrap(header, specs, bytes(blobs))
    partial = Path(f"{path}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: str | Path, allow: Iterable[str] = ()) -> File:
    """Read, check and decode a file.

    Args:
        allow: outside packages whose architectures and representations it may name, besides those that are allowed
            already (`convarium.names.allowing`). Others are never imported.

    Raises:
        UserError: it can't be read, or is foreign, damaged, or not what `write` writes.
    """
    packages = tuple(allow)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    try:
        with names.allowing(packages):
            return replace(parse(memoryview(data)), allow=packages)
    except UserError as error:
        raise UserError(f"{path} is not a valid .cvm file: {' '.join(str(error).split())}") from None


def parse(data: memoryview) -> File:
    """Decode the bytes of a file (see `read`)."""
    header, specs, blobs = envelope.unwrap(data)
    expected = skeleton.expected(header)
    sites = skeleton.unfitted(specs, expected)
    counted: Counter[str] = Counter()
    sizes: dict[str, int] = {}
    for name, (representation, coder) in sites.items():
        stream = Reader(blobs, coder)
        _decode(name, representation, stream)
        counted += skeleton.by_kind(stream.bytes, expected[name].role)
        sizes[name] = stream.bytes.total()
        blobs = stream.data
    if blobs:
        raise UserError("bytes are left over")
    counted["surgery"] = _surgery_bytes(header, specs)
    counted["header"] = len(data) - counted.total()
    return File(
        header,
        {name: representation for name, (representation, _) in sites.items()},
        {name: coder for name, (_, coder) in sites.items() if coder != FIXED},
        {kind: counted[kind] for kind in KINDS},
        sizes,
    )


def _surgery_bytes(header: Mapping[str, Any], specs: envelope.Specs) -> int:
    """How much longer the surgery makes the header."""
    if not header["surgery"]:
        return 0
    with_it, without = envelope.coded_header(header, specs), envelope.coded_header({**header, "surgery": []}, specs)
    return max(0, len(with_it) - len(without))


def _decode(name: str, representation: Representation, stream: Reader) -> None:
    try:
        representation.decode(stream)
    except UserError as error:
        raise UserError(f"site {name}: {error}") from None


def network(file: File) -> nn.Module:
    """The plain network in eval mode, every weight materialised: what is measured and exported.

    Raises:
        UserError: its values don't fit together.
    """
    with names.allowing(file.allow):
        bare = skeleton.build(file.header)
    with torch.no_grad():
        host.put(bare, {name: _materialised(found) for name, found in file.sites.items()})
    skeleton.check_places(bare)
    return bare.eval()


def _materialised(representation: Representation) -> torch.Tensor:
    dense = representation.materialised()
    return dense.clone() if isinstance(representation, Dense) else dense


def hosted(file: File) -> nn.Module:
    """The network in train mode with its representations attached, to be trained or compressed further."""
    bare = network(file).train()
    host.attach(bare, {name: deepcopy(found) for name, found in file.sites.items() if not isinstance(found, Dense)})
    return bare


def load(path: str | Path, allow: Iterable[str] = ()) -> nn.Module:
    """Load a `.cvm` file as a plain network in eval mode; needs no trust in where the file comes from.

    A file may name nouns of outside packages, such as an architecture: `allow` says which of them may be imported.

    Raises:
        ValueError: the file can't be read, or is foreign, damaged or altered; said in one line.
    """
    return network(read(path, allow))
