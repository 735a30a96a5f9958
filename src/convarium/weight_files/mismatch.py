"""What keeps tensors from being a network's state dict, and how it is said in a line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from convarium.config.messages import shorten

MAX_NAMES_LISTED, MAX_NAME_CHARS = 3, 200


@dataclass(frozen=True)
class StateDictMismatch:
    """What keeps tensors from being a state dict: names that are missing, unexpected, of another shape or type."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: Mapping[str, torch.Size]
    types: Mapping[str, torch.dtype]

    @staticmethod
    def compare(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> "StateDictMismatch":
        """Compare names first, then shapes and types of the names that both have."""
        both = [name for name in expected if name in tensors]
        return StateDictMismatch(
            missing=tuple(name for name in expected if name not in tensors),
            unexpected=tuple(name for name in tensors if name not in expected),
            shapes={name: tensors[name].shape for name in both if tensors[name].shape != expected[name].shape},
            types={name: tensors[name].dtype for name in both if _is_other_type(tensors[name], expected[name])},
        )

    @property
    def names(self) -> list[str]:
        """All names, those of the network first."""
        return list(dict.fromkeys((*self.missing, *self.shapes, *self.types, *self.unexpected)))

    def is_head_only(self, expected: Mapping[str, Tensor]) -> bool:
        """Whether all that does not fit is the classifier: it is for other classes (one number of them), or missing."""
        names = [name for name in expected if name in self.missing or name in self.shapes]
        if not names or self.unexpected or self.types or names != list(expected)[-len(names) :]:
            return False
        differs_in_classes = all(shape[1:] == expected[name].shape[1:] for name, shape in self.shapes.items())
        class_counts = {shape[:1] for shape in self.shapes.values()}
        expected_counts = {expected[name].shape[:1] for name in names}
        return differs_in_classes and len(class_counts) <= 1 and len(expected_counts) == 1

    def describe(self, expected: Mapping[str, Tensor]) -> str:
        """Return the kinds of trouble, the first names of each."""
        shapes = [
            f"{name} is {format_shape(shape)}, the network has {format_shape(expected[name].shape)}"
            for name, shape in self.shapes.items()
        ]
        types = [
            f"{name} is {format_dtype(dtype)}, not {format_dtype(expected[name].dtype)}"
            for name, dtype in self.types.items()
        ]
        kinds = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": shapes,
            "of another type": types,
        }
        return "; ".join(f"{len(names)} {kind} ({format_first_names(names)})" for kind, names in kinds.items() if names)


def format_shape(shape: Sequence[int]) -> str:
    """Return the sizes of a tensor, such as 64x3x7x7."""
    return "x".join(map(str, shape)) or "one number"


def format_dtype(dtype: torch.dtype) -> str:
    """Return the name of a type, such as float32."""
    return str(dtype).removeprefix("torch.")


def format_first_names(names: Sequence[str]) -> str:
    """Return the first names of several, as a part of a line."""
    listed = ", ".join(shorten(name, MAX_NAME_CHARS) for name in names[:MAX_NAMES_LISTED])
    return f"{listed}, …" if len(names) > MAX_NAMES_LISTED else listed


def _is_other_type(tensor: Tensor, wanted: Tensor) -> bool:
    return tensor.is_floating_point() != wanted.is_floating_point() or tensor.is_complex()
