"""The compressed network as one file, `.cvm`.

"CVM1" · u32 little-endian header length · header (format 2; canonical JSON as arithmetic code) · a blob for each tensor
in the order of names · sha256 of everything before it.
Deterministic, no pickle, no code; a file from an untrusted source gives a network or a `UserError`, a ValueError.
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
from convarium.cvm.header import SiteSpecs, encode_header, pack_file, unpack_file
from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.representations.base import Representation
from convarium.representations.dense import Dense

BYTE_KINDS = ("weights", "indices", "codebooks", "batch_norm", "biases", "surgery", "header")


@dataclass(frozen=True)
class CompressedFile:
    """A decoded file.

    Attributes:
        header: architecture, task, classes, input, surgery: the header that `write_cvm` takes.
        sites: the representation of every parameter and buffer by name, Dense where it isn't compressed.
        coders: the coder of each site that names one other than the default.
        bytes_by_kind: the bytes of each of BYTE_KINDS; they add up to the size of the file.
        bytes_by_site: the bytes of each site's blob; what the header says of it is not included.
        allowed_packages: the outside packages that the file may name.
    """

    header: dict[str, Any]
    sites: dict[str, Representation]
    coders: dict[str, str]
    bytes_by_kind: dict[str, int]
    bytes_by_site: dict[str, int]
    allowed_packages: tuple[str, ...] = ()


def write_cvm(path: str | Path, network: nn.Module, header: Mapping[str, Any], coders: Mapping[str, str]) -> None:
    """Write a network with its representations; the same arguments give the same bytes.

    Args:
        path: the file, replaced at once or not at all.
        network: what `build_declared_network(header)` builds, with representations attached or not.
        header: architecture, task, classes, input {shape, mean, std}, surgery.
        coders: the coder of each site by name ("huffman"), fixed width for others. A plain tensor takes only a coder
            of values ("xz"), else it is stored as it is.

    Raises:
        UserError: a header or a tensor that a file can't hold.
    """
    specs: SiteSpecs = []
    blobs = bytearray()
    for name, (representation, tensors) in parametrization.collect_stored_tensors(network).items():
        coder = coders.get(name, DEFAULT_CODER)
        is_plain = isinstance(representation, Dense) and not find_coder(coder).codes_values
        stream = SiteWriter(DEFAULT_CODER if is_plain else coder)
        representation.encode(tensors, stream)
        specs.append(None if is_plain else _describe_site(representation, coder))
        blobs += stream.data
    data = pack_file(header, specs, bytes(blobs))
    # Written aside and renamed: a killed process leaves no half file; the process id keeps two writers apart.
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _describe_site(representation: Representation, coder: str) -> dict[str, Any]:
    """Return the header's entry for a site; the default coder is never written out, so that a file has one form."""
    spec = representation.to_spec()
    if coder == DEFAULT_CODER:
        return spec
    return spec | {"coder": coder}


def read_cvm(path: str | Path, allow: Iterable[str] = ()) -> CompressedFile:
    """Read, check and decode a file.

    Args:
        allow: outside packages from which the file may name architectures, representations and coders, besides those
            that are allowed already (`convarium.lookup.allow_packages`). Others are never imported.

    Raises:
        UserError: it can't be read, is not a `.cvm` file, is damaged, or is not what `write_cvm` writes.
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
        # A name from the file may hold line breaks; a mistake is told in one line.
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a valid .cvm file: {reason}") from None


def parse_cvm(data: memoryview) -> CompressedFile:
    """Decode the bytes of a file (see `read_cvm`)."""
    header, specs, blobs = unpack_file(data)
    expected = declared_network.list_expected_tensors(header)
    declared_sites = declared_network.build_empty_representations(specs, expected)
    bytes_by_kind: Counter[str] = Counter()
    bytes_by_site: dict[str, int] = {}
    for name, (representation, coder) in declared_sites.items():
        stream = SiteReader(blobs, coder)
        try:
            representation.decode(stream)
        except UserError as error:
            raise UserError(f"site {name}: {error}") from None
        bytes_by_kind += declared_network.count_bytes_by_kind(stream.bytes_by_kind, expected[name].role)
        bytes_by_site[name] = stream.bytes_by_kind.total()
        blobs = stream.data
    if blobs:
        raise UserError("bytes are left over")
    bytes_by_kind["surgery"] = _count_surgery_bytes(header, specs)
    bytes_by_kind["header"] = len(data) - bytes_by_kind.total()
    return CompressedFile(
        header=header,
        sites={name: representation for name, (representation, _) in declared_sites.items()},
        coders={name: coder for name, (_, coder) in declared_sites.items() if coder != DEFAULT_CODER},
        bytes_by_kind={kind: bytes_by_kind[kind] for kind in BYTE_KINDS},
        bytes_by_site=bytes_by_site,
    )


def _count_surgery_bytes(header: Mapping[str, Any], specs: SiteSpecs) -> int:
    """Return by how many bytes the surgery makes the coded header longer."""
    if not header["surgery"]:
        return 0
    with_surgery = encode_header(header, specs)
    without_surgery = encode_header({**header, "surgery": []}, specs)
    # The code is adaptive: what follows a surgery may get shorter by it.
    return max(0, len(with_surgery) - len(without_surgery))


def materialise_network(file: CompressedFile) -> nn.Module:
    """Return the plain network in eval mode, every weight materialised: what is measured and exported.

    Raises:
        UserError: its values don't fit together.
    """
    with lookup.allow_packages(file.allowed_packages):
        bare = declared_network.build_declared_network(file.header)
    with torch.no_grad():
        values = {name: _materialise_weight(representation) for name, representation in file.sites.items()}
        parametrization.replace_tensors(bare, values)
    declared_network.check_selected_inputs(bare)
    return bare.eval()


def _materialise_weight(representation: Representation) -> torch.Tensor:
    dense = representation.materialise()
    # A Dense gives a view of its own values, which training the network would then change in the file.
    return dense.clone() if isinstance(representation, Dense) else dense


def build_parametrized_network(file: CompressedFile) -> nn.Module:
    """Return the network in train mode with its representations attached, to be trained or compressed further."""
    bare = materialise_network(file).train()
    # Copies: an attached representation gives its tensors away, and the file must stay as it was read.
    attached = {
        name: deepcopy(representation)
        for name, representation in file.sites.items()
        if not isinstance(representation, Dense)
    }
    parametrization.attach_representations(bare, attached)
    return bare


def load_cvm(path: str | Path, allow: Iterable[str] = ()) -> nn.Module:
    """Load a `.cvm` file as a plain network in eval mode; safe for files from untrusted sources.

    A file may name an architecture, a representation or a coder of an outside package: `allow` lists the packages that
    may be imported for it.

    Raises:
        ValueError: the file can't be read, is not a `.cvm` file, or is damaged; the message is one line.
    """
    return materialise_network(read_cvm(path, allow))
