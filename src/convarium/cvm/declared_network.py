"""The network a file's header declares, built without memory, bounded and compared before anything is decoded."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from convarium import edits, representations
from convarium.architectures import factory
from convarium.architectures.blocks.learned_groups import Selecting
from convarium.architectures.unsaved_tensors import find_unsaved_tensors
from convarium.coding.site_streams import DEFAULT_CODER, STORED_DTYPES, find_coder
from convarium.cvm.header import Specs, format_canonical_json
from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.representations.base import Representation
from convarium.representations.dense import Dense
from convarium.representations.filter_layout import DEFAULT_LAYOUT, FilterLayout

MAX_NETWORK_BYTES = 1 << 32
MAX_SPEC_BYTES = 1000


@dataclass(frozen=True)
class ExpectedTensor:
    """What the architecture says of one tensor; its role decides where its bytes are counted.

    Attributes:
        filter_layouts: which of its values are one filter, in each layer that has it.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    trainable: bool
    role: str
    filter_layouts: frozenset[FilterLayout]


def build_declared_network(header: Mapping[str, Any]) -> nn.Module:
    """Build the network, edited, with tensors of the state dict on the meta device wherever that loses nothing.

    torch's random state is left as it was.

    Raises:
        UserError: it can't be built.
    """
    bare = _build_edited_network(header, "meta")
    if not find_unsaved_tensors(bare):
        return bare
    with torch.random.fork_rng(devices=[]):
        return _build_edited_network(header, None)


def list_expected_tensors(header: Mapping[str, Any]) -> dict[str, ExpectedTensor]:
    """What a file with this header must hold, by name; a tied tensor goes by the first of its names.

    Raises:
        UserError: it can't be built, or is larger than any network this version reads.
    """
    bare = _build_edited_network(header, "meta")
    everything = [*bare.parameters(), *bare.buffers()]
    if sum(tensor.numel() * tensor.element_size() for tensor in everything) > MAX_NETWORK_BYTES:
        raise UserError(f"its architecture is larger than {MAX_NETWORK_BYTES >> 30} GiB")
    if header["surgery"]:
        _check_network_runs(bare, header)
    roles, parameters = _find_tensor_roles(bare), dict(bare.named_parameters(remove_duplicate=False))
    layouts = _find_filter_layouts(bare)
    return {
        name: ExpectedTensor(dense.shape, tensor.dtype, name in parameters, roles[name], layouts.get(name, frozenset()))
        for name, (dense, (tensor,)) in parametrization.collect_stored_tensors(bare).items()
    }


def _find_filter_layouts(bare: nn.Module) -> dict[str, frozenset[FilterLayout]]:
    """Return the layouts of every parameter in all layers that it is tied to, by each of its names."""
    found: dict[int, set[FilterLayout]] = {}
    for module in bare.modules():
        for tensor in module.parameters(recurse=False):
            found.setdefault(id(tensor), set()).add(FilterLayout.from_layer(module))
    return {name: frozenset(found[id(one)]) for name, one in bare.named_parameters(remove_duplicate=False)}


def build_empty_representations(
    specs: Specs, expected: Mapping[str, ExpectedTensor]
) -> dict[str, tuple[Representation, str]]:
    """The representation and the coder that a header declares for each tensor, without memory, in the order of names.

    Raises:
        UserError: there are not as many as the architecture has, a representation or a coder is unknown or not for its
            tensor, or all together are larger than what this version reads.
    """
    names = sorted(expected)
    if specs and len(specs) != len(names):
        raise UserError("its sites are not those of its architecture")
    found = {
        name: _build_empty_representation(name, spec, expected[name])
        for name, spec in zip(names, specs or [None] * len(names), strict=True)
    }
    if sum(count_declared_bytes(representation) for representation, _ in found.values()) > MAX_NETWORK_BYTES:
        raise UserError(f"it declares more than {MAX_NETWORK_BYTES >> 30} GiB")
    return found


def count_declared_bytes(representation: Representation) -> int:
    """Bytes of memory that a representation and its materialised tensor take."""
    held = (*representation.stored_tensors, *representation.buffers())
    return 4 * representation.numel + sum(tensor.numel() * tensor.element_size() for tensor in held)


def _build_empty_representation(
    name: str, spec: dict[str, Any] | None, expected: ExpectedTensor
) -> tuple[Representation, str]:
    if len(format_canonical_json(spec)) > MAX_SPEC_BYTES:
        raise UserError(f"site {name}: its representation is too long")
    coder = (spec or {}).get("coder", DEFAULT_CODER)
    try:
        with torch.device("meta"):
            found = representations.build_representation(
                _remove_coder(spec) if spec else {"kind": "dense"}, expected.shape
            )
        codes_values = find_coder(coder).codes_values
    except UserError as error:
        raise UserError(f"site {name}: {error}") from None
    if spec is not None and spec.get("coder") == DEFAULT_CODER:
        raise UserError(f"site {name}: coder fixed is not written out")
    if isinstance(found, Dense):
        if expected.dtype not in STORED_DTYPES or (spec is not None and not codes_values):
            raise UserError(f"site {name}: such values are not coded")
        found.dtype = expected.dtype
    elif isinstance(layout := getattr(found, "filters", DEFAULT_LAYOUT), FilterLayout) and layout not in {
        DEFAULT_LAYOUT,
        *expected.filter_layouts,
    }:
        raise UserError(f"site {name}: its layer has its filters along another axis, or in other groups")
    elif not expected.trainable or expected.dtype != torch.float32:
        raise UserError(f"site {name}: only float32 parameters can be represented")
    return found, coder


def _remove_coder(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key != "coder"}


def count_bytes_by_kind(counted: Counter[str], role: str) -> Counter[str]:
    """Bytes by kind, where all of a batch norm is one kind and values of a bias are another."""
    if role == "batch_norm":
        return Counter({role: counted.total()})
    return Counter({role if kind == "weights" else kind: size for kind, size in counted.items()})


def _build_edited_network(header: Mapping[str, Any], device: str | None) -> nn.Module:
    try:
        return _apply_surgery(factory.build_architecture(header["architecture"], device), header["surgery"])
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"its architecture can't be built: {type(error).__name__}") from None


def _apply_surgery(bare: nn.Module, surgery: list[Any]) -> nn.Module:
    """Apply the surgery."""
    edits.apply_surgery(bare, surgery)
    return bare


def _check_network_runs(bare: nn.Module, header: Mapping[str, Any]) -> None:
    """Refuse a surgery after which the network doesn't take images, or doesn't give a number for each class."""
    try:
        with torch.no_grad():
            output = bare.eval()(torch.empty(2, *header["input"]["shape"], device="meta"))
        fine = tuple(output.shape) == (2, header["architecture"]["num_classes"])
    except Exception:
        fine = False
    if not fine:
        raise UserError("surgery: the network it makes does not run")


def check_selected_inputs(network: nn.Module) -> None:
    """Refuse a decoded network that would fail when images go through.

    Raises:
        UserError: a layer selects inputs that it does not have.
    """
    for name, module in network.named_modules():
        if isinstance(module, Selecting) and not module.has_valid_index:
            raise UserError(f"site {name}.index: it selects inputs that are not among the {module.inputs} of {name}")


def _find_tensor_roles(bare: nn.Module) -> dict[str, str]:
    roles = {}
    for prefix, module in bare.named_modules(remove_duplicate=False):
        for leaf in [*module._parameters, *module._buffers]:
            role = "batch_norm" if isinstance(module, _BatchNorm) else "biases" if leaf == "bias" else "weights"
            roles[f"{prefix}.{leaf}" if prefix else leaf] = role
    return roles
