"""Tensors taken by their order where a file's names are others than the network's."""

from collections.abc import Mapping

from torch import Tensor

from convarium.architectures.tied_tensors import TiedNames, remove_tied_names
from convarium.errors import UserError
from convarium.weight_files.mismatch import format_shape
from convarium.weight_files.name_prefixes import UnwrappedNames

BATCH_COUNTER_NAME = "num_batches_tracked"  # batch norm's counter, which older checkpoints lack

Tensors = Mapping[str, Tensor]


def rename_by_order(
    unwrapped: UnwrappedNames, expected: Tensors, tied: TiedNames, source: str, *, new_head: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors by the network's names, and those of the file that are left out.

    Args:
        unwrapped: the file's tensors; those outside the network are taken where only so the order fits: a classifier.
        expected: the network's tensors.
        tied: names of it that stand for one tensor, which the file may hold once.
        source: the file, for mistakes.
        new_head: whether the file's classifier may be left out.

    Raises:
        UserError: the shapes, in order, are not the network's.
    """
    for tensors in (unwrapped.order, unwrapped.tensors):
        renamed = find_order(tensors, expected, tied)
        if renamed is None and new_head:
            renamed = _find_body_order(tensors, expected, tied)
        if renamed is not None:
            taken = {id(tensor) for tensor in renamed.values()}
            held = _remove_counters(unwrapped.order)
            left_out = {name: tensor for name, tensor in held.items() if id(tensor) not in taken}
            return renamed, left_out
    wanted = _remove_counters(expected)
    given = {unwrapped.find_file_name(name): tensor for name, tensor in _remove_counters(unwrapped.tensors).items()}
    raise UserError(
        f"{source} does not fit by order: it holds {len(given)} tensors, the network {len(wanted)}"
        f"{_describe_first_difference(given, wanted)}{_explain_sorted_names(given)}"
    )


def find_order(tensors: Tensors, expected: Tensors, tied: TiedNames) -> dict[str, Tensor] | None:
    """Return the tensors by the network's names if all shapes are equal in order.

    The last layer's may be of other classes. Counters of batches are left aside where one of the two lacks them, second
    names of tied tensors likewise.
    """
    once = remove_tied_names(expected, tied)
    for wanted in (expected, once):
        if _has_same_order(tensors, wanted):
            return dict(zip(wanted, tensors.values(), strict=True))
    given = _remove_counters(tensors)
    for wanted in (_remove_counters(expected), _remove_counters(once)):
        if _has_same_order(given, wanted):
            return dict(zip(wanted, given.values(), strict=True))
    return None


def _find_body_order(tensors: Tensors, expected: Tensors, tied: TiedNames) -> dict[str, Tensor] | None:
    """Return the tensors before the classifier by the network's names, if their shapes are equal in order."""
    wanted = _remove_counters(remove_tied_names(expected, tied))
    given = _remove_counters(tensors)
    classifier = list(wanted)[-1].rpartition(".")[0]
    body = [name for name in wanted if name.rpartition(".")[0] != classifier]
    fits = len(given) >= len(body) > 0 and all(
        tensor.shape == wanted[name].shape for name, tensor in zip(body, given.values(), strict=False)
    )
    return dict(zip(body, given.values(), strict=False)) if fits else None


def _has_same_order(tensors: Tensors, expected: Tensors) -> bool:
    if len(tensors) != len(expected):
        return False
    pairs = [(tensor.shape, wanted.shape) for tensor, wanted in zip(tensors.values(), expected.values(), strict=True)]
    is_body_equal = all(shape == wanted for shape, wanted in pairs[:-2])
    return is_body_equal and all(shape[1:] == wanted[1:] for shape, wanted in pairs[-2:])


def _remove_counters(tensors: Tensors) -> dict[str, Tensor]:
    """Return the tensors without counters: whole numbers that stand alone."""
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not name.endswith(BATCH_COUNTER_NAME) and (tensor.is_floating_point() or tensor.dim() > 0)
    }


def _describe_first_difference(tensors: Tensors, expected: Tensors) -> str:
    for (name, tensor), (other, wanted) in zip(tensors.items(), expected.items(), strict=False):
        if tensor.shape != wanted.shape:
            return f"; first, {name} is {format_shape(tensor.shape)} where {other} is {format_shape(wanted.shape)}"
    return ""


def _explain_sorted_names(tensors: Tensors) -> str:
    """Say why there is no order to go by, where names are in that of the alphabet."""
    if list(tensors) != sorted(tensors):
        return ""
    return "; its names are sorted, as safetensors sorts them: only a file of torch.save keeps the network's order"
