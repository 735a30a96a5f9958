"""The network that a file's header declares: built without memory, bounded and checked before anything is decoded."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from convarium import edits, representations
from convarium.architectures import factory
from convarium.architectures.blocks.learned_groups import SelectingLayer
from convarium.architectures.unsaved_tensors import find_unsaved_tensors
from convarium.coding.site_streams import DEFAULT_CODER, STORED_DTYPES, find_coder
from convarium.cvm.header import SiteSpecs, format_canonical_json
from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.representations.base import Representation
from convarium.representations.dense import Dense
from convarium.representations.filter_layout import DEFAULT_LAYOUT, FilterLayout

# A small file may declare anything: without bounds it would take all memory before its first blob is read.
MAX_NETWORK_BYTES = 1 << 32
MAX_SPEC_BYTES = 1000


@dataclass(frozen=True)
class ExpectedTensor:
    """One tensor of the file as the architecture defines it.

    Attributes:
        trainable: whether it is a parameter, not a buffer.
        role: the kind its values are counted as: "weights", "biases" or "batch_norm".
        filter_layouts: the layouts of its filters in all layers that own it; empty for buffers.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    trainable: bool
    role: str
    filter_layouts: frozenset[FilterLayout]


def build_declared_network(header: Mapping[str, Any]) -> nn.Module:
    """Build the network with its surgery applied, on the meta device unless that would lose tensors.

    Tensors that no state dict holds are in no file either: they need a real build. torch's random state stays as it is.

    Raises:
        UserError: it can't be built.
    """
    bare = _build_edited_network(header, "meta")
    if not find_unsaved_tensors(bare):
        return bare
    with torch.random.fork_rng(devices=[]):
        return _build_edited_network(header, None)


def list_expected_tensors(header: Mapping[str, Any]) -> dict[str, ExpectedTensor]:
    """Return every tensor that a file with this header must hold, by name; a tied tensor goes by its first name.

    Raises:
        UserError: the network can't be built, doesn't run, or is larger than any that this version reads.
    """
    bare = _build_edited_network(header, "meta")
    if _count_memory_bytes([*bare.parameters(), *bare.buffers()]) > MAX_NETWORK_BYTES:
        raise UserError(f"its architecture is larger than {MAX_NETWORK_BYTES >> 30} GiB")
    if header["surgery"]:
        _check_network_runs(bare, header)
    roles = _find_tensor_roles(bare)
    layouts = _find_filter_layouts(bare)
    expected = {}
    for name, (dense, (tensor,)) in parametrization.collect_stored_tensors(bare).items():
        expected[name] = ExpectedTensor(
            shape=dense.shape,
            dtype=tensor.dtype,
            trainable=name in layouts,
            role=roles[name],
            filter_layouts=layouts.get(name, frozenset()),
        )
    return expected


def _find_filter_layouts(bare: nn.Module) -> dict[str, frozenset[FilterLayout]]:
    """Return the layouts of every parameter in all layers that own it, by each of its names."""
    layouts_by_tensor: dict[int, set[FilterLayout]] = {}
    for module in bare.modules():
        for parameter in module.parameters(recurse=False):
            layouts_by_tensor.setdefault(id(parameter), set()).add(FilterLayout.from_layer(module))
    return {
        name: frozenset(layouts_by_tensor[id(parameter)])
        for name, parameter in bare.named_parameters(remove_duplicate=False)
    }


def build_empty_representations(
    specs: SiteSpecs, expected: Mapping[str, ExpectedTensor]
) -> dict[str, tuple[Representation, str]]:
    """Return the representation and the coder that a header declares for each tensor, in the order of names.

    The representations are on the meta device, without memory.

    Raises:
        UserError: another number of tensors than the architecture has, a representation or a coder that is unknown or
            not for its tensor, or more bytes in all than this version reads.
    """
    names = sorted(expected)
    if not specs:  # a header without sites: every tensor is plain
        specs = [None] * len(names)
    if len(specs) != len(names):
        raise UserError("its sites are not those of its architecture")
    sites = {}
    for name, spec in zip(names, specs, strict=True):
        sites[name] = _build_empty_representation(name, spec, expected[name])
    declared_bytes = sum(count_declared_bytes(representation) for representation, _ in sites.values())
    if declared_bytes > MAX_NETWORK_BYTES:
        raise UserError(f"it declares more than {MAX_NETWORK_BYTES >> 30} GiB")
    return sites


def count_declared_bytes(representation: Representation) -> int:
    """Return the bytes of memory that a representation and its materialised tensor (as float32) take."""
    tensors = [*representation.stored_tensors, *representation.buffers()]
    return 4 * representation.numel + _count_memory_bytes(tensors)


def _count_memory_bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _build_empty_representation(
    name: str, spec: dict[str, Any] | None, expected: ExpectedTensor
) -> tuple[Representation, str]:
    if len(format_canonical_json(spec)) > MAX_SPEC_BYTES:
        raise UserError(f"site {name}: its representation is too long")
    representation_spec = {"kind": "dense"} if spec is None else dict(spec)
    has_coder = "coder" in representation_spec
    coder = representation_spec.pop("coder", DEFAULT_CODER)
    try:
        with torch.device("meta"):
            representation = representations.build_representation(representation_spec, expected.shape)
        codes_values = find_coder(coder).codes_values
    except UserError as error:
        raise UserError(f"site {name}: {error}") from None
    if has_coder and coder == DEFAULT_CODER:  # a second form of the same file
        raise UserError(f"site {name}: coder fixed is not written out")
    if isinstance(representation, Dense):
        if expected.dtype not in STORED_DTYPES or (spec is not None and not codes_values):
            raise UserError(f"site {name}: such values are not coded")
        representation.dtype = expected.dtype
    else:
        _check_representation_fits(name, representation, expected)
    return representation, coder


def _check_representation_fits(name: str, representation: Representation, expected: ExpectedTensor) -> None:
    # An outside package's representation may have an attribute `filters` of its own.
    layout = getattr(representation, "filters", DEFAULT_LAYOUT)
    if isinstance(layout, FilterLayout) and layout not in {DEFAULT_LAYOUT, *expected.filter_layouts}:
        raise UserError(f"site {name}: its layer has its filters along another axis, or in other groups")
    if not expected.trainable or expected.dtype != torch.float32:
        raise UserError(f"site {name}: only float32 parameters can be represented")


def count_bytes_by_kind(bytes_by_kind: Counter[str], role: str) -> Counter[str]:
    """Return a site's bytes by kind: a batch norm's all count as "batch_norm", a bias's values as "biases"."""
    if role == "batch_norm":
        return Counter({role: bytes_by_kind.total()})
    return Counter({role if kind == "weights" else kind: size for kind, size in bytes_by_kind.items()})


def _build_edited_network(header: Mapping[str, Any], device: str | None) -> nn.Module:
    try:
        network = factory.build_architecture(header["architecture"], device)
        edits.apply_surgery(network, header["surgery"])
    except UserError:
        raise
    except Exception as error:  # a library's constructor may fail in any way at a file's arguments
        raise UserError(f"its architecture can't be built: {type(error).__name__}") from None
    return network


def _check_network_runs(bare: nn.Module, header: Mapping[str, Any]) -> None:
    """Refuse a surgery after which the network doesn't take images, or doesn't give a number for each class."""
    expected_shape = (2, header["architecture"]["num_classes"])
    try:
        with torch.no_grad():
            output = bare.eval()(torch.empty(2, *header["input"]["shape"], device="meta"))
        is_runnable = tuple(output.shape) == expected_shape
    except Exception:  # layers that don't fit together fail by any exception of torch or of the network's own code
        is_runnable = False
    if not is_runnable:
        raise UserError("surgery: the network it makes does not run")


def check_selected_inputs(network: nn.Module) -> None:
    """Refuse a decoded network in which a layer selects inputs that it doesn't have.

    The index is a stored tensor: it is known only after decoding, unlike all else that is checked here.

    Raises:
        UserError: an index lies outside of a layer's inputs.
    """
    for name, module in network.named_modules():
        if isinstance(module, SelectingLayer) and not module.has_valid_index:
            raise UserError(f"site {name}.index: it selects inputs that are not among the {module.inputs} of {name}")


def _find_tensor_roles(bare: nn.Module) -> dict[str, str]:
    roles = {}
    for prefix, module in bare.named_modules(remove_duplicate=False):
        for leaf in [*module._parameters, *module._buffers]:
            name = f"{prefix}.{leaf}" if prefix else leaf
            if isinstance(module, _BatchNorm):
                roles[name] = "batch_norm"
            else:
                roles[name] = "biases" if leaf == "bias" else "weights"
    return roles
