"""The network a file's header declares, built without memory, bounded and compared before anything is decoded."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from convarium.architectures import library
from convarium.compression import host, representations
from convarium.compression.file.header import canonical
from convarium.compression.file.streams import TYPES
from convarium.compression.representations.base import Representation
from convarium.compression.representations.dense import Dense
from convarium.errors import UserError

LARGEST = 1 << 32
LONGEST_SPEC = 1000


@dataclass(frozen=True)
class Expected:
    """What the architecture says of one tensor; its role decides where its bytes are counted."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    trainable: bool
    role: str


def build(header: Mapping[str, Any]) -> nn.Module:
    """Build the network, edited, with tensors of the state dict on the meta device wherever that loses nothing.

    torch's random state is left as it was.

    Raises:
        UserError: it can't be built.
    """
    bare = _build(header, "meta")
    if not _forgotten(bare):
        return bare
    with torch.random.fork_rng(devices=[]):
        return _build(header, None)


def expected(header: Mapping[str, Any]) -> dict[str, Expected]:
    """What a file with this header must hold, by name; a tied tensor goes by the first of its names.

    Raises:
        UserError: it can't be built, or is larger than any network this version reads.
    """
    bare = _build(header, "meta")
    everything = [*bare.parameters(), *bare.buffers()]
    if sum(tensor.numel() * tensor.element_size() for tensor in everything) > LARGEST:
        raise UserError(f"its architecture is larger than {LARGEST >> 30} GiB")
    roles, parameters = _roles(bare), dict(bare.named_parameters(remove_duplicate=False))
    return {
        name: Expected(dense.shape, tensor.dtype, name in parameters, roles[name])
        for name, (dense, (tensor,)) in host.stored(bare).items()
    }


def unfitted(sites: list[dict[str, Any]], expected: Mapping[str, Expected]) -> dict[str, Representation]:
    """The representations a header declares for its sites, without memory.

    Raises:
        UserError: names and shapes are not the architecture's, a representation is unknown or not for its tensor, or
            all together are larger than what this version reads.
    """
    if [site["name"] for site in sites] != sorted(expected):
        raise UserError("its sites are not those of its architecture")
    found = {site["name"]: _unfitted(site, expected[site["name"]]) for site in sites}
    if sum(map(declared, found.values())) > LARGEST:
        raise UserError(f"it declares more than {LARGEST >> 30} GiB")
    return found


def declared(representation: Representation) -> int:
    """Bytes of memory that a representation and its materialised tensor take."""
    dense = representation.numel * (8 if isinstance(representation, Dense) else 4)
    return dense + sum(buffer.numel() * buffer.element_size() for buffer in representation.buffers())


def _unfitted(site: Mapping[str, Any], expected: Expected) -> Representation:
    if tuple(site["shape"]) != expected.shape:
        raise UserError(f"site {site['name']}: shape is not the architecture's")
    if len(canonical(site["representation"])) > LONGEST_SPEC:
        raise UserError(f"site {site['name']}: its representation is too long")
    spec = {key: value for key, value in site["representation"].items() if key != "coder"}
    try:
        with torch.device("meta"):
            found = representations.from_spec(spec, expected.shape)
    except UserError as error:
        raise UserError(f"site {site['name']}: {error}") from None
    if isinstance(found, Dense):
        if "coder" in site["representation"] or expected.dtype not in TYPES:
            raise UserError(f"site {site['name']}: such values are not coded")
        found.dtype = expected.dtype
        return found
    if site["representation"].get("coder") == "fixed":
        raise UserError(f"site {site['name']}: coder fixed is not written out")
    if not expected.trainable or expected.dtype != torch.float32:
        raise UserError(f"site {site['name']}: only float32 parameters can be represented")
    return found


def by_kind(counted: Counter[str], role: str) -> Counter[str]:
    """Bytes by kind, where all of a batch norm is one kind and values of a bias are another."""
    if role == "batch_norm":
        return Counter({role: counted.total()})
    return Counter({role if kind == "weights" else kind: size for kind, size in counted.items()})


def _build(header: Mapping[str, Any], device: str | None) -> nn.Module:
    try:
        return _edited(library.build(header["architecture"], device), header["surgery"])
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"its architecture can't be built: {type(error).__name__}") from None


def _edited(bare: nn.Module, surgery: list[Any]) -> nn.Module:
    """Apply the surgery; edits go here."""
    if surgery:
        raise UserError("surgery: this version knows no edits")
    return bare


def _forgotten(bare: nn.Module) -> bool:
    """Whether a network on the meta device has tensors that no state dict brings back."""
    kept = {id(tensor) for tensor in bare.state_dict(keep_vars=True).values()}
    held: list[Any] = list(bare.buffers())
    for value in (value for module in bare.modules() for value in vars(module).values()):
        held += value if isinstance(value, list | tuple) else [value]
    return any(isinstance(tensor, Tensor) and id(tensor) not in kept for tensor in held)


def _roles(bare: nn.Module) -> dict[str, str]:
    roles = {}
    for prefix, module in bare.named_modules(remove_duplicate=False):
        for leaf in [*module._parameters, *module._buffers]:
            role = "batch_norm" if isinstance(module, _BatchNorm) else "biases" if leaf == "bias" else "weights"
            roles[f"{prefix}.{leaf}" if prefix else leaf] = role
    return roles
