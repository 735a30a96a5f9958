"""Layers of other sizes: the record of a structural cut, or growth, with nothing in it but the new sizes.

`{"op": "resize", "layers": {"conv1": [1, 10], "fc1": [160, 500]}, "tensors": {"pos_embed": [1, 65, 96]}}`: of each
layer the sizes named in SIZE_ATTRIBUTES, in that order (the last ones may be left out where they stay); `tensors` has
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
MAX_SIZE = 1 << 20
MAX_ENTRIES = 100_000
MAX_DIMENSIONS = 8

Json = Mapping[str, Any]


def check_edit(edit: Json) -> None:
    """Check types and bounds.

    Raises:
        UserError: a key, a name or a size that no resize has.
    """
    if not {"op", "layers"} <= set(edit) <= {"op", "layers", "tensors"}:
        raise UserError("surgery: resize has the keys op, layers and, where needed, tensors")
    for key in ("layers", "tensors"):
        entries = edit.get(key, {})
        if not isinstance(entries, dict) or len(entries) > MAX_ENTRIES:
            raise UserError(f"surgery: {key} of a resize is not a mapping of at most {MAX_ENTRIES} names")
        for name, sizes in entries.items():
            if not isinstance(name, str) or len(name) > 1000 or not _is_size_list(sizes):
                raise UserError(f"surgery: {str(name)[:80]!r}: expected 1 to {MAX_DIMENSIONS} sizes in 1..{MAX_SIZE}")


def apply_edit(network: nn.Module, edit: Json) -> None:
    """Give layers and tensors their new sizes; tensors that change are zero, on their device. Ties stay.

    Raises:
        UserError: no such layer or tensor, or sizes that don't go together.
    """
    replaced: dict[int, tuple[Tensor, Tensor]] = {}
    for name, sizes in edit["layers"].items():
        layer = _get_layer(network, name)
        _set_layer_sizes(layer, name, sizes)
        for leaf, shape in derive_tensor_shapes(layer).items():
            _resize_tensor(layer, leaf, shape, replaced)
    for name, shape in edit.get("tensors", {}).items():
        prefix, _, leaf = name.rpartition(".")
        owner = _get_layer(network, prefix)
        if _find_tensor(owner, leaf) is None:
            raise UserError(f"surgery: the network has no tensor '{name[:80]}'")
        _resize_tensor(owner, leaf, tuple(shape), replaced)


def build_resize_edit(before: nn.Module, after: nn.Module) -> dict[str, Any]:
    """Return the edit that gives a network like `before` the sizes of `after`, which has the same modules."""
    layers: dict[str, list[int]] = {}
    tensors: dict[str, list[int]] = {}
    for (name, old), new in zip(before.named_modules(), after.modules(), strict=True):
        if (sizes := _trim_unchanged_sizes(_get_layer_sizes(old), _get_layer_sizes(new))) is not None:
            layers[name] = sizes
        follow = derive_tensor_shapes(new)
        for leaf, tensor in {**new._parameters, **new._buffers}.items():
            other = _find_tensor(old, leaf)
            if tensor is not None and other is not None and tensor.shape != other.shape and leaf not in follow:
                tensors[f"{name}.{leaf}" if name else leaf] = list(tensor.shape)
    return {"op": "resize", "layers": layers} | ({"tensors": tensors} if tensors else {})


def get_size_attributes(layer: nn.Module) -> tuple[str, ...]:
    """Return the names of the whole numbers that decide the shapes of a layer's tensors; none for other modules."""
    return next((names for kind, names in SIZE_ATTRIBUTES if isinstance(layer, kind)), ())


def derive_tensor_shapes(layer: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes that follow from a layer's sizes, by the tensor's name."""
    sizes = _get_layer_sizes(layer)
    if isinstance(layer, _ConvNd):
        before, after, groups = sizes
        first, second = (before, after // groups) if layer.transposed else (after, before // groups)
        return {"weight": (first, second, *layer.kernel_size), "bias": (after,)}
    if isinstance(layer, nn.Linear):
        return {"weight": (sizes[1], sizes[0]), "bias": (sizes[1],)}
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
    last = max((place for place, (one, other) in enumerate(zip(old, new, strict=True)) if one != other), default=None)
    return None if last is None else new[: last + 1]


def _set_layer_sizes(layer: nn.Module, name: str, sizes: list[int]) -> None:
    names = get_size_attributes(layer)
    if isinstance(layer, nn.LayerNorm):
        if len(sizes) > len(layer.normalized_shape):
            raise UserError(f"surgery: layer '{name[:80]}' is normalised over {len(layer.normalized_shape)} dimensions")
        layer.normalized_shape = (*sizes, *layer.normalized_shape[len(sizes) :])
        return
    if len(sizes) > len(names):
        raise UserError(f"surgery: '{name[:80]}' is not a layer with {len(sizes)} sizes")
    for attribute, size in zip(names, sizes, strict=False):
        setattr(layer, attribute, size)
    groups = getattr(layer, "groups", getattr(layer, "num_groups", 1))
    if any(getattr(layer, attribute) % groups for attribute in names if isinstance(layer, _ConvNd | nn.GroupNorm)):
        raise UserError(f"surgery: the sizes of layer '{name[:80]}' are not multiples of its {groups} groups")


def _resize_tensor(
    owner: nn.Module, leaf: str, shape: tuple[int, ...], replaced: dict[int, tuple[Tensor, Tensor]]
) -> None:
    """Replace a tensor by zeros of `shape`; one that was replaced in another owner is that one's here too."""
    tensor = _find_tensor(owner, leaf)
    if tensor is None or tuple(tensor.shape) == shape:
        return
    zeros, is_buffer = torch.zeros_like(tensor.new_empty(shape)), leaf in owner._buffers
    new = zeros if is_buffer else nn.Parameter(zeros, requires_grad=tensor.requires_grad)
    _, new = replaced.setdefault(id(tensor), (tensor, new))
    if tuple(new.shape) != shape:
        raise UserError(f"surgery: two layers share a tensor that would be of {tuple(new.shape)} and {shape}")
    held: dict[str, Any] = owner._buffers if is_buffer else owner._parameters
    held[leaf] = new


def _find_tensor(owner: nn.Module, leaf: str) -> Tensor | None:
    found: Tensor | None = owner._parameters.get(leaf)
    return owner._buffers.get(leaf) if found is None else found


def _get_layer(network: nn.Module, name: str) -> nn.Module:
    try:
        return network.get_submodule(name)
    except AttributeError:
        raise UserError(f"surgery: the network has no layer '{name[:80]}'") from None


def _is_size_list(value: Any) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_DIMENSIONS:
        return False
    return all(type(size) is int and 1 <= size <= MAX_SIZE for size in value)
