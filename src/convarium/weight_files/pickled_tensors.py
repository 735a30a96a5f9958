"""Tensors in a pickle: rebuilt from a storage, a place in it and strides; odd ones are described instead."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

STORAGE_TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "QInt8Storage": torch.int8,
    "QUInt8Storage": torch.uint8,
    "QInt32Storage": torch.int32,
    "UntypedStorage": torch.uint8,
}


@dataclass(frozen=True)
class Storage:
    """The numbers that tensors are views of.

    Attributes:
        data: the bytes, uint8, one dimension.
        dtype: how they are read where a tensor does not say so itself.
    """

    data: Tensor
    dtype: torch.dtype


@dataclass(frozen=True)
class OddTensor:
    """A tensor that does not hold a number for each place.

    Attributes:
        description: what it is, and how a plain one is made of it.
    """

    description: str


def _build_tensor(storage: Any, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any) -> Any:
    return _view_storage(storage, storage.dtype, offset, size, stride) if isinstance(storage, Storage) else storage


def _build_typed_tensor(
    storage: Any,
    offset: int,
    size: Sequence[int],
    stride: Sequence[int],
    requires_grad: bool,
    hooks: Any,
    dtype: Any,
    *_: Any,
) -> Any:
    return _view_storage(storage, dtype, offset, size, stride) if isinstance(storage, Storage) else storage


def _view_storage(
    storage: Storage, dtype: torch.dtype, offset: int, size: Sequence[int], stride: Sequence[int]
) -> Tensor:
    # as_strided refuses a view that leaves its storage.
    return storage.data.view(dtype).as_strided(tuple(size), tuple(stride), offset)


def _take_data(data: Any = None, *_: Any) -> Any:
    """Return the tensor of a parameter."""
    return data


def _build_subclass_tensor(build: Any, kind: Any, arguments: Sequence[Any], *_: Any) -> Any:
    """Return the tensor in one of a subclass, or in one with attributes of its own."""
    return build(*arguments) if isinstance(build, Builder) else OddTensor(f"a {getattr(kind, 'origin', 'tensor')}")


def _describe_sparse(layout: Any, *_: Any) -> OddTensor:
    name = str(layout).removeprefix("torch.")
    return OddTensor(f"stored as {name}: tensor.to_dense() is plain")


def _describe_quantised(*_: Any) -> OddTensor:
    return OddTensor("quantised: tensor.dequantize() is plain")


def _describe_nested(*_: Any) -> OddTensor:
    return OddTensor("a nested tensor, of rows of several lengths")


def _describe_meta(*_: Any) -> OddTensor:
    return OddTensor("on the meta device and has no values")


def _describe_wrapped(kind: Any = None, *_: Any) -> OddTensor:
    return OddTensor(f"a {getattr(kind, 'origin', 'tensor of another class')}")


class Builder:
    """A function that a pickle may call; nothing that the pickle says can change it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call it."""
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        """Ignore what a pickle would set."""


TENSOR_BUILDERS = {
    ("torch._utils", "_rebuild_tensor"): Builder(_build_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Builder(_build_tensor),
    ("torch._utils", "_rebuild_tensor_v3"): Builder(_build_typed_tensor),
    ("torch._utils", "_rebuild_parameter"): Builder(_take_data),
    ("torch._utils", "_rebuild_parameter_with_state"): Builder(_take_data),
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): Builder(_take_data),
    ("torch._utils", "_rebuild_sparse_tensor"): Builder(_describe_sparse),
    ("torch._utils", "_rebuild_sparse_csr_tensor"): Builder(_describe_sparse),
    ("torch._utils", "_rebuild_qtensor"): Builder(_describe_quantised),
    ("torch._utils", "_rebuild_nested_tensor"): Builder(_describe_nested),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): Builder(_describe_meta),
    ("torch._utils", "_rebuild_wrapper_subclass"): Builder(_describe_wrapped),
    ("torch._tensor", "_rebuild_from_type_v2"): Builder(_build_subclass_tensor),
    ("torch._tensor", "_rebuild_from_type"): Builder(_build_subclass_tensor),
    ("torch.nn.parameter", "Parameter"): Builder(_take_data),
    ("torch.nn", "Parameter"): Builder(_take_data),
    ("torch.serialization", "_get_layout"): Builder(str),
}
