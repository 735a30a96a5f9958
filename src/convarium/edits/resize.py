"""The edit of a structural cut, or growth: it gives layers other sizes, and records nothing but these.

`{"op": "resize", "layers": {"conv1": [1, 10], "fc1": [160, 500]}, "tensors": {"pos_embed": [1, 65, 96]}}`: `layers` has
the sizes named in SIZE_ATTRIBUTES, in that order (the last ones may be left out where they don't change); `tensors` has
shapes that don't follow from a layer's sizes (scales, position tables), and is left out where there are none.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from convarium.errors import UserError

SIZE_ATTRIBUTES: tuple[tuple[type[nn.Module], tuple[str, ...]], ...] = (
    (_ConvNd, ("in_channels", "out_channels", "groups")),
    (nn.Linear, ("in_features", "out_features")),
    (_NormBase, ("num_features",)),
    (nn.GroupNorm, ("num_channels", "num_groups")),
    (nn.PReLU, ("num_parameters",)),
    (nn.LayerNorm, ("normalized_shape",)),
)
# Bounds on what a damaged or hostile file can ask for.
MAX_SIZE = 1 << 20
MAX_ENTRIES = 100_000
MAX_DIMENSIONS = 8
MAX_NAME_CHARS = 1000

Json = Mapping[str, Any]


def check_edit(edit: Json) -> None:
    """Check the types and bounds of a record, without a network.

    Raises:
        UserError: a key, name or size is not one of a resize record.
    """
    if not {"op", "layers"} <= set(edit) <= {"op", "layers", "tensors"}:
        raise UserError("surgery: resize has the keys op, layers and, where needed, tensors")
    for key in ("layers", "tensors"):
        entries = edit.get(key, {})
        if not isinstance(entries, dict) or len(entries) > MAX_ENTRIES:
            raise UserError(f"surgery: {key} of a resize is not a mapping of at most {MAX_ENTRIES} names")
        for name, sizes in entries.items():
            # The empty name is the network's own, where it is a single layer.
            is_name = isinstance(name, str) and len(name) <= MAX_NAME_CHARS
            if not is_name or not _is_size_list(sizes):
                raise UserError(f"surgery: {str(name)[:80]!r}: expected 1 to {MAX_DIMENSIONS} sizes in 1..{MAX_SIZE}")


def apply_edit(network: nn.Module, edit: Json) -> None:
    """Give layers and tensors their new sizes; tensors of another shape become zeros on their device, and stay tied.

    Raises:
        UserError: the network has no such layer or tensor, or the sizes don't fit each other.
    """
    replaced: dict[int, tuple[Tensor, Tensor]] = {}
    for name, sizes in edit["layers"].items():
        layer = _get_layer(network, name)
        _set_layer_sizes(layer, name, sizes)
        for leaf, shape in derive_tensor_shapes(layer).items():
            _resize_tensor(layer, leaf, shape, replaced)
    for name, shape in edit.get("tensors", {}).items():
        owner_name, _, leaf = name.rpartition(".")
        owner = _get_layer(network, owner_name)
        if _find_tensor(owner, leaf) is None:
            raise UserError(f"surgery: the network has no tensor '{name[:80]}'")
        _resize_tensor(owner, leaf, tuple(shape), replaced)


def build_resize_edit(before: nn.Module, after: nn.Module) -> dict[str, Any]:
    """Return the edit that gives a network like `before` the sizes of `after`, which has the same modules."""
    layers: dict[str, list[int]] = {}
    tensors: dict[str, list[int]] = {}
    for (name, old_module), new_module in zip(before.named_modules(), after.modules(), strict=True):
        sizes = _trim_unchanged_sizes(_get_layer_sizes(old_module), _get_layer_sizes(new_module))
        if sizes is not None:
            layers[name] = sizes
        for leaf, shape in _find_other_shapes(old_module, new_module).items():
            tensors[f"{name}.{leaf}" if name else leaf] = shape
    edit: dict[str, Any] = {"op": "resize", "layers": layers}
    if tensors:
        edit["tensors"] = tensors
    return edit


def _find_other_shapes(old_module: nn.Module, new_module: nn.Module) -> dict[str, list[int]]:
    """The changed shapes of a module's own tensors that don't follow from its sizes, by the tensor's name."""
    derived_names = derive_tensor_shapes(new_module).keys()
    shapes: dict[str, list[int]] = {}
    for leaf, new_tensor in {**new_module._parameters, **new_module._buffers}.items():
        old_tensor = _find_tensor(old_module, leaf)
        if leaf in derived_names or new_tensor is None or old_tensor is None:
            continue
        if new_tensor.shape != old_tensor.shape:
            shapes[leaf] = list(new_tensor.shape)
    return shapes


def get_size_attributes(layer: nn.Module) -> tuple[str, ...]:
    """Return the names of the attributes that decide the shapes of a layer's tensors; none for other modules."""
    for layer_type, attributes in SIZE_ATTRIBUTES:
        if isinstance(layer, layer_type):
            return attributes
    return ()


def derive_tensor_shapes(layer: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes that follow from a layer's sizes, by the tensor's name."""
    sizes = _get_layer_sizes(layer)
    if isinstance(layer, _ConvNd):
        inputs, outputs, groups = sizes
        channels = (inputs, outputs // groups) if layer.transposed else (outputs, inputs // groups)
        return {"weight": (*channels, *layer.kernel_size), "bias": (outputs,)}
    if isinstance(layer, nn.Linear):
        inputs, outputs = sizes
        return {"weight": (outputs, inputs), "bias": (outputs,)}
    if not sizes:
        return {}
    shape = tuple(sizes) if isinstance(layer, nn.LayerNorm) else (sizes[0],)
    return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), shape)


def _get_layer_sizes(layer: nn.Module) -> list[int]:
    if isinstance(layer, nn.LayerNorm):
        return list(layer.normalized_shape)
    return [getattr(layer, name) for name in get_size_attributes(layer)]


def _trim_unchanged_sizes(old: list[int], new: list[int]) -> list[int] | None:
    """Return the new sizes up to the last one that differs; None where none does."""
    size_pairs = enumerate(zip(old, new, strict=True))
    changed_indices = [index for index, (old_size, new_size) in size_pairs if old_size != new_size]
    if not changed_indices:
        return None
    return new[: changed_indices[-1] + 1]


def _set_layer_sizes(layer: nn.Module, name: str, sizes: list[int]) -> None:
    """Set the first attributes of a layer to `sizes`; the others stay.

    Raises:
        UserError: more sizes than the layer has, or channels that its groups don't divide.
    """
    if isinstance(layer, nn.LayerNorm):
        old_shape = layer.normalized_shape
        if len(sizes) > len(old_shape):
            raise UserError(f"surgery: layer '{name[:80]}' is normalised over {len(old_shape)} dimensions")
        layer.normalized_shape = (*sizes, *old_shape[len(sizes) :])
        return
    attributes = get_size_attributes(layer)
    if len(sizes) > len(attributes):
        raise UserError(f"surgery: '{name[:80]}' is not a layer with {len(sizes)} sizes")
    for attribute, size in zip(attributes, sizes, strict=False):
        setattr(layer, attribute, size)
    if not isinstance(layer, _ConvNd | nn.GroupNorm):
        return
    groups = layer.groups if isinstance(layer, _ConvNd) else layer.num_groups
    if any(getattr(layer, attribute) % groups for attribute in attributes):
        raise UserError(f"surgery: the sizes of layer '{name[:80]}' are not multiples of its {groups} groups")


def _resize_tensor(
    owner: nn.Module, leaf: str, shape: tuple[int, ...], replaced: dict[int, tuple[Tensor, Tensor]]
) -> None:
    """Replace a tensor by zeros of `shape`, in all its owners by the same ones.

    Args:
        owner: the module that has the tensor.
        leaf: its name there.
        shape: the new one.
        replaced: old and new tensors by the old one's identity; a replacement is added. The old tensors are in it to
            stay alive: a freed one's identity might be that of a new tensor.

    Raises:
        UserError: the tensor got another shape in another owner.
    """
    tensor = _find_tensor(owner, leaf)
    if tensor is None or tuple(tensor.shape) == shape:
        return
    is_buffer = leaf in owner._buffers
    zeros = torch.zeros_like(tensor.new_empty(shape))
    new_tensor = zeros if is_buffer else nn.Parameter(zeros, requires_grad=tensor.requires_grad)
    _, new_tensor = replaced.setdefault(id(tensor), (tensor, new_tensor))
    if tuple(new_tensor.shape) != shape:
        raise UserError(f"surgery: two layers share a tensor that would be of {tuple(new_tensor.shape)} and {shape}")
    owner_tensors: dict[str, Any] = owner._buffers if is_buffer else owner._parameters
    owner_tensors[leaf] = new_tensor


def _find_tensor(owner: nn.Module, leaf: str) -> Tensor | None:
    """A module's own parameter or buffer of this name, None where it has neither."""
    parameter: Tensor | None = owner._parameters.get(leaf)
    return owner._buffers.get(leaf) if parameter is None else parameter


def _get_layer(network: nn.Module, name: str) -> nn.Module:
    try:
        return network.get_submodule(name)
    except AttributeError:
        raise UserError(f"surgery: the network has no layer '{name[:80]}'") from None


def _is_size_list(value: Any) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_DIMENSIONS:
        return False
    # By exact type: a bool is an int too.
    return all(type(size) is int and 1 <= size <= MAX_SIZE for size in value)
