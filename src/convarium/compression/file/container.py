"""The compressed network as one file, `.cvm`.

"CVM1" · u32 little-endian header length · header (canonical JSON) · a blob per site · sha256 of all before.
Deterministic, no pickle, no code; a stranger's file gives a network or a `UserError`, a kind of ValueError.
"""

import os
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convarium.compression import host
from convarium.compression.file import header as envelope
from convarium.compression.file import skeleton
from convarium.compression.file.streams import FIXED, Reader, Writer
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
    """

    header: dict[str, Any]
    sites: dict[str, Representation]
    coders: dict[str, str]
    bytes: dict[str, int]


def write(path: str | Path, network: nn.Module, header: Mapping[str, Any], coders: Mapping[str, str]) -> None:
    """Write `network` with its representations; the same arguments give the same bytes.

    Args:
        path: the file, replaced at once or not at all.
        network: what `build(header["architecture"])` builds, with representations attached or not.
        header: architecture, task, classes, input {shape, mean, std}, surgery.
        coders: how the whole numbers of a represented site are coded ("huffman"); others in fixed width.

    Raises:
        UserError: a header or a tensor that a file can't hold.
    """
    sites, blobs = [], bytearray()
    for name, (representation, tensors) in host.stored(network).items():
        coder = coders.get(name, FIXED) if not isinstance(representation, Dense) else FIXED
        stream = Writer(coder)
        representation.encode(tensors, stream)
        spec = representation.spec() | ({"coder": coder} if coder != FIXED else {})
        place = {"offset": len(blobs), "length": len(stream.data)}
        sites.append({"name": name, "shape": list(representation.shape), "representation": spec} | place)
        blobs += stream.data
    data = envelope.wrap({**header, "format": envelope.FORMAT, "sites": sites}, bytes(blobs))
    partial = Path(f"{path}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: str | Path) -> File:
    """Read, check and decode a file.

    Raises:
        UserError: it can't be read, or is foreign, damaged, or not what `write` writes.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    try:
        return parse(memoryview(data))
    except UserError as error:
        raise UserError(f"{path} is no valid .cvm file: {' '.join(str(error).split())}") from None


def parse(data: memoryview) -> File:
    """Decode the bytes of a file (see `read`)."""
    header, blobs = envelope.unwrap(data)
    given = {key: header[key] for key in envelope.GIVEN}
    expected = skeleton.expected(given)
    sites = skeleton.unfitted(header["sites"], expected)
    coders: dict[str, str] = {}
    counted: Counter[str] = Counter()
    for site in header["sites"]:
        name, coder = site["name"], site["representation"].get("coder", FIXED)
        stream = Reader(blobs[site["offset"] : site["offset"] + site["length"]], coder)
        _decode(name, sites[name], stream)
        counted += skeleton.by_kind(stream.bytes, expected[name].role)
        coders |= {name: coder} if coder != FIXED else {}
    counted["surgery"] = len(envelope.canonical(header["surgery"])) if header["surgery"] else 0
    counted["header"] = len(data) - counted.total()
    return File(given, sites, coders, {kind: counted[kind] for kind in KINDS})


def _decode(name: str, representation: Representation, stream: Reader) -> None:
    try:
        representation.decode(stream)
        if stream.data:
            raise UserError("bytes are left over")
    except UserError as error:
        raise UserError(f"site {name}: {error}") from None


def network(file: File) -> nn.Module:
    """The plain network in eval mode, every weight materialised: what is measured and exported."""
    bare = skeleton.build(file.header)
    with torch.no_grad():
        host.put(bare, {name: _materialised(found) for name, found in file.sites.items()})
    return bare.eval()


def _materialised(representation: Representation) -> torch.Tensor:
    dense = representation.materialised()
    return dense.clone() if isinstance(representation, Dense) else dense


def hosted(file: File) -> nn.Module:
    """The network in train mode with its representations attached, to be trained or compressed further."""
    bare = network(file).train()
    host.attach(bare, {name: deepcopy(found) for name, found in file.sites.items() if not isinstance(found, Dense)})
    return bare


def load(path: str | Path) -> nn.Module:
    """Load a `.cvm` file as a plain network in eval mode; needs no trust in where the file comes from.

    Raises:
        ValueError: the file can't be read, or is foreign, damaged or altered; said in one line.
    """
    return network(read(path))
