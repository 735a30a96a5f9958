"""Weights from outside, fitted to a network by names, shapes and types, and known by their content."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import torch
from torch import Tensor, nn

from convarium.architectures.tied_tensors import (
    TiedNames,
    add_tied_names,
    find_tied_names,
    find_unequal_tied_names,
    remove_tied_names,
)
from convarium.architectures.weight_norm_folding import fold_weight_norm
from convarium.config.messages import shorten
from convarium.errors import UserError

MAX_NAMES_LISTED, MAX_NAME_CHARS = 3, 200
BATCH_COUNTER_NAME = "num_batches_tracked"  # batch norm's counter, which older checkpoints lack
NEW_HEAD_ADVICE = "add --new-head to begin with a fresh classifier"

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """Tensors by name.

    Attributes:
        notes: what had to be done to get at them, in words.
        fresh_names: names of the network's tensors that are not among them.
        mean, std: per channel of pixels in 0..1, by which their images are normalised, where their source tells.
        value_range: the values that are 0 and 1 before, of images of more than 8 bits, where their source tells.
    """

    tensors: Tensors
    notes: tuple[str, ...] = ()
    fresh_names: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    value_range: tuple[float, float] | None = None


def match_weights(
    weights: Weights, network: nn.Module, source: str, *, new_head: bool = False, by_order: bool = False
) -> Weights:
    """Return the weights with the names, shapes and types of `network`'s state dict.

    Args:
        network: the network they are for; it may live on the meta device.
        source: the file, for mistakes.
        new_head: leave out a classifier of other classes, to be `fresh`.
        by_order: go by the order of the tensors where names differ.

    Raises:
        UserError: what is missing, unexpected, or of another shape or type, in one line; a value that is not a number;
            two names that the network ties, with other values.
    """
    expected, tied = network.state_dict(), find_tied_names(network)
    if not any(tensor.is_floating_point() for tensor in weights.tensors.values()):
        raise UserError(f"{source} holds no floating-point tensors: no weights")
    folded = _fold_weights(weights if by_order else _strip_common_prefix(weights, expected), expected)
    renamed = _rename_by_order(folded, expected, tied, source) if by_order else folded
    renamed = _add_batch_counters(replace(renamed, tensors=add_tied_names(renamed.tensors, tied)), expected)
    fit = StateDictMismatch.compare(renamed.tensors, expected)
    if fit.names and new_head and fit.is_head_only(expected):
        kept = {name: tensor for name, tensor in renamed.tensors.items() if name not in fit.names}
        head = f"the classifier ({', '.join(fit.names)}) is fresh"
        renamed = replace(renamed, tensors=kept, fresh_names=tuple(fit.names), notes=(*renamed.notes, head))
    elif fit.names:
        raise UserError(
            f"{source} does not fit: {fit.describe(expected)}{_suggest_fix(fit, weights.tensors, expected)}"
        )
    _check_finite_values(renamed.tensors, source)
    found = _cast_to_expected(renamed, expected)
    if differing := find_unequal_tied_names(found.tensors, tied):
        raise UserError(f"{source}: {' and '.join(differing)} differ, the network has one tensor for both names")
    return found


def _fold_weights(weights: Weights, expected: Mapping[str, Tensor]) -> Weights:
    """Make the weights those of a network without weight normalisation, which ours are."""
    tensors, names = fold_weight_norm(weights.tensors, expected)
    said = (f"weight_norm is folded into {len(names)} weights ({_format_first_names(names)})",) if names else ()
    return replace(weights, tensors=tensors, notes=(*weights.notes, *said))


def fingerprint_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return 16 hexadecimal digits of sha256 over names (sorted), types, shapes and bytes."""
    digest = sha256()
    for name, tensor in sorted(tensors.items()):
        described = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        digest.update(json.dumps(described, separators=(",", ":")).encode() + b"\0")
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


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
        if self.unexpected or self.types or names != list(expected)[-len(names) :]:
            return False
        inner = all(shape[1:] == expected[name].shape[1:] for name, shape in self.shapes.items())
        given = {shape[:1] for shape in self.shapes.values()}
        return inner and len(given) <= 1 and len({expected[name].shape[:1] for name in names}) == 1

    def describe(self, expected: Mapping[str, Tensor]) -> str:
        """The kinds of trouble, the first names of each."""
        shapes = [
            f"{name} is {_format_shape(shape)}, the network has {_format_shape(expected[name].shape)}"
            for name, shape in self.shapes.items()
        ]
        types = [
            f"{name} is {_format_dtype(dtype)}, not {_format_dtype(expected[name].dtype)}"
            for name, dtype in self.types.items()
        ]
        kinds = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": shapes,
            "of another type": types,
        }
        return "; ".join(
            f"{len(names)} {kind} ({_format_first_names(names)})" for kind, names in kinds.items() if names
        )


def _suggest_fix(fit: StateDictMismatch, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Say what would make them fit, where it is known."""
    if fit.is_head_only(expected):
        own = f"its classifier is for {next(iter(fit.shapes.values()))[0]} classes" if fit.shapes else "no classifier"
        return f"; {own}: {NEW_HEAD_ADVICE}"
    if fit.missing and _has_same_order(tensors, expected):
        return "; their order and shapes are the network's: add --by-order to go by it"
    channels = [name for name, shape in fit.shapes.items() if len(shape) > 1 and shape[1] == 3]
    if channels and expected[channels[0]].shape[1] == 1:
        return "; dataset.channels=3 gives grey images three channels"
    return "; is it this architecture.name and these architecture.kwargs?"


def _strip_common_prefix(weights: Weights, expected: Mapping[str, Tensor]) -> Weights:
    """Take off what all names begin with ("module.") where no name of the network begins so."""
    tensors, said = weights.tensors, list(weights.notes)
    while (prefix := _find_common_prefix(tensors)) and not any(name.startswith(prefix) for name in expected):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        said.append(f"'{prefix}' is taken off all names")
    return replace(weights, tensors=tensors, notes=tuple(said))


def _find_common_prefix(tensors: Mapping[str, Tensor]) -> str:
    heads = {name.partition(".")[0] for name in tensors}
    return f"{heads.pop()}." if len(heads) == 1 and all("." in name for name in tensors) else ""


def _rename_by_order(weights: Weights, expected: Mapping[str, Tensor], tied: TiedNames, where: str) -> Weights:
    if len(weights.tensors) != len(expected):
        expected = remove_tied_names(expected, tied)
    if not _has_same_order(weights.tensors, expected):
        raise UserError(
            f"{where} does not fit by order: it holds {len(weights.tensors)} tensors, the network {len(expected)}"
            f"{_describe_first_difference(weights.tensors, expected)}"
        )
    tensors = dict(zip(expected, weights.tensors.values(), strict=True))
    return replace(weights, tensors=tensors, notes=(*weights.notes, f"{len(tensors)} tensors are taken by their order"))


def _has_same_order(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    """Whether all shapes are equal in order; the last layer's may be of other classes."""
    pairs = [(tensor.shape, wanted.shape) for tensor, wanted in zip(tensors.values(), expected.values(), strict=False)]
    body = all(shape == wanted for shape, wanted in pairs[:-2])
    return len(tensors) == len(expected) and body and all(shape[1:] == wanted[1:] for shape, wanted in pairs[-2:])


def _describe_first_difference(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    for (name, tensor), (other, wanted) in zip(tensors.items(), expected.items(), strict=False):
        if tensor.shape != wanted.shape:
            return f"; first, {name} is {_format_shape(tensor.shape)} where {other} is {_format_shape(wanted.shape)}"
    return ""


def _add_batch_counters(weights: Weights, expected: Mapping[str, Tensor]) -> Weights:
    """Let a batch norm that counts no batches begin at 0; nothing in evaluation depends on it."""
    absent = [name for name in expected if name.endswith(BATCH_COUNTER_NAME) and name not in weights.tensors]
    counters = {name: torch.zeros((), dtype=expected[name].dtype) for name in absent}
    return replace(weights, tensors={**weights.tensors, **counters})


def _check_finite_values(tensors: Mapping[str, Tensor], where: str) -> None:
    bad = [name for name, tensor in tensors.items() if not bool(_to_computable(tensor).isfinite().all())]
    if bad:
        raise UserError(
            f"{where}: {len(bad)} tensors hold values that are not finite numbers ({_format_first_names(bad)})"
        )


def _to_computable(tensor: Tensor) -> Tensor:
    """Return a tensor that torch counts with: types of a byte it only stores."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor


def _cast_to_expected(weights: Weights, expected: Mapping[str, Tensor]) -> Weights:
    kinds = sorted({_format_dtype(tensor.dtype) for tensor in weights.tensors.values() if tensor.is_floating_point()})
    tensors = {name: tensor.to(expected[name].dtype).contiguous() for name, tensor in weights.tensors.items()}
    said = () if kinds == ["float32"] else (f"{' and '.join(kinds)} became float32",)
    return replace(weights, tensors=tensors, notes=(*weights.notes, *said))


def _is_other_type(tensor: Tensor, wanted: Tensor) -> bool:
    return tensor.is_floating_point() != wanted.is_floating_point() or tensor.is_complex()


def _format_shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _format_dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _format_first_names(names: Sequence[str]) -> str:
    return ", ".join(shorten(name, MAX_NAME_CHARS) for name in names[:MAX_NAMES_LISTED]) + (
        ", …" if len(names) > MAX_NAMES_LISTED else ""
    )
