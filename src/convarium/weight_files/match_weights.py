"""Weights from outside, fitted to a network by names, or by order, shapes and types."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from convarium.architectures.tied_tensors import (
    TiedNames,
    add_tied_names,
    find_tied_names,
    find_unequal_tied_names,
)
from convarium.architectures.weight_norm_folding import fold_weight_norm
from convarium.architectures.weights import Weights
from convarium.errors import UserError
from convarium.weight_files.mismatch import StateDictMismatch, format_dtype, format_first_names, format_shape
from convarium.weight_files.name_prefixes import UnwrappedNames, unwrap_names
from convarium.weight_files.tensor_order import BATCH_COUNTER_NAME, find_order, rename_by_order

PROFILER_COUNTERS = ("total_ops", "total_params")  # which thop registers in every module
# Tables that some versions of a network save and others compute.
COMPUTED_TABLES = ("relative_position_index", "relative_coords_table", "attn_mask", "position_ids")
TRAINING_HEAD_PREFIX = "aux"  # of classifiers beside the last one, for training only, in lower case
NEW_HEAD_ADVICE = "add --new-head to begin with a fresh classifier"
OTHER_ARCHITECTURE_ADVICE = "is it this architecture.name and these architecture.kwargs?"

Tensors = Mapping[str, Tensor]


class MisfitError(UserError):
    """Weights do not fit a network, by their names or shapes.

    Attributes:
        trouble: what does not fit.
        advice: what would make it fit, None where that is not known.
    """

    def __init__(self, source: str, trouble: str, advice: str | None) -> None:
        super().__init__(f"{source} does not fit: {trouble}; {advice or OTHER_ARCHITECTURE_ADVICE}")
        self.trouble = trouble
        self.advice = advice


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
        MisfitError: what is missing, unexpected, or of another shape or type, in one line.
        UserError: no weights, or a value that is not a number; two names that the network ties, with other values.
    """
    expected, tied = network.state_dict(), find_tied_names(network)
    if not any(tensor.is_floating_point() for tensor in weights.tensors.values()):
        raise UserError(f"{source} holds no floating-point tensors: no weights")
    unwrapped, folded_names = _fold_weight_norm(
        unwrap_names(_select_no_counters(weights.tensors), expected, source), expected
    )
    if by_order and not _has_all_names(unwrapped.tensors, expected):
        tensors, outside = rename_by_order(unwrapped, expected, tied, source, new_head=new_head)
        name_notes = [f"{len(tensors)} tensors are taken by their order"]
    else:
        tensors, outside, name_notes = unwrapped.tensors, unwrapped.outside, list(unwrapped.notes)
    tensors = _add_batch_counters(add_tied_names(tensors, tied), expected)
    tensors, beside = _separate_extras(tensors, expected, new_head)
    fit = StateDictMismatch.compare(tensors, expected)
    if fit.names and not (new_head and fit.is_head_only(expected)):
        raise MisfitError(source, *_explain_misfit(fit, unwrapped, expected, tied))
    tensors = {name: tensor for name, tensor in tensors.items() if name not in fit.names}
    _check_values(tensors, tied, source)
    left_out = _select_profiler_counters(weights.tensors) | outside | beside
    notes = (
        *weights.notes,
        *_describe_folding(folded_names),
        *name_notes,
        *_describe_fresh(fit.names),
        *_describe_left_out(left_out),
        *_describe_casting(tensors),
    )
    cast = {name: tensor.to(expected[name].dtype).contiguous() for name, tensor in tensors.items()}
    return replace(weights, tensors=cast, fresh_names=tuple(fit.names), notes=notes)


def reset_batch_counters(weights: Weights) -> Weights:
    """Return the weights with counters of batches at 0, as if the file lacked them: they are the same network."""
    tensors = {
        name: torch.zeros_like(tensor) if name.endswith(BATCH_COUNTER_NAME) else tensor
        for name, tensor in weights.tensors.items()
    }
    return replace(weights, tensors=tensors)


def _is_profiler_counter(name: str) -> bool:
    return name.rpartition(".")[2] in PROFILER_COUNTERS


def _select_no_counters(tensors: Tensors) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not _is_profiler_counter(name)}


def _select_profiler_counters(tensors: Tensors) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if _is_profiler_counter(name)}


def _fold_weight_norm(unwrapped: UnwrappedNames, expected: Tensors) -> tuple[UnwrappedNames, list[str]]:
    """Make the weights those of a network without weight normalisation, which ours are."""
    tensors, names = fold_weight_norm(unwrapped.tensors, expected)
    if not names:
        return unwrapped, []
    order, _ = fold_weight_norm(unwrapped.order, expected)
    return replace(unwrapped, tensors=tensors, order=order), names


def _describe_folding(names: list[str]) -> list[str]:
    if not names:
        return []
    return [f"weight_norm is folded into {len(names)} weights ({format_first_names(names)})"]


def _describe_fresh(names: list[str]) -> list[str]:
    return [f"the classifier ({', '.join(names)}) is fresh"] if names else []


def _describe_left_out(tensors: Tensors) -> list[str]:
    if not tensors:
        return []
    count = "1 tensor beside the network is" if len(tensors) == 1 else f"{len(tensors)} tensors beside the network are"
    return [f"{count} left out ({format_first_names(list(tensors))})"]


def _describe_casting(tensors: Tensors) -> list[str]:
    kinds = sorted({format_dtype(tensor.dtype) for tensor in tensors.values() if tensor.is_floating_point()})
    return [] if kinds == ["float32"] else [f"{' and '.join(kinds)} became float32"]


def _has_all_names(tensors: Tensors, expected: Tensors) -> bool:
    """Whether names are the network's already, so that their order says less."""
    return all(name in tensors for name in expected if not name.endswith(BATCH_COUNTER_NAME))


def _separate_extras(
    tensors: Tensors, expected: Tensors, new_head: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the network's tensors, and those beside it that are no part of one, where it is there but for its head."""
    unexpected = [name for name in tensors if name not in expected]
    missing = {name for name in expected if name not in tensors}
    head = set(_list_head_names(expected))
    if not missing <= head:
        return dict(tensors), {}
    parts = {name.partition(".")[0] for name in expected}
    extras = {name for name in unexpected if _is_beside_network(name, tensors[name], parts)}
    if new_head and missing:
        # Their classifier has another name than ours; ours is fresh.
        extras |= {name for name in unexpected if name.partition(".")[0] not in parts}
    kept = {name: tensor for name, tensor in tensors.items() if name not in extras}
    return kept, {name: tensors[name] for name in tensors if name in extras}


def _list_head_names(expected: Tensors) -> list[str]:
    """Return the names of the last layer's tensors."""
    layer = list(expected)[-1].rpartition(".")[0]
    return [name for name in expected if name.rpartition(".")[0] == layer]


def _is_beside_network(name: str, tensor: Tensor, parts: set[str]) -> bool:
    """Whether a tensor is no layer's weight: one more layer would mean that it is another network."""
    if not tensor.is_floating_point() or name.rpartition(".")[2] in COMPUTED_TABLES:
        return True
    part = name.partition(".")[0]
    is_vector = tensor.squeeze().dim() < 2
    return part not in parts and (is_vector or part.lower().startswith(TRAINING_HEAD_PREFIX))


def _explain_misfit(
    fit: StateDictMismatch, unwrapped: UnwrappedNames, expected: Tensors, tied: TiedNames
) -> tuple[str, str | None]:
    """Return what does not fit, and what would make it fit, where that is known."""
    trouble = replace(fit, unexpected=tuple(map(unwrapped.find_file_name, fit.unexpected))).describe(expected)
    if fit.is_head_only(expected) and fit.shapes:
        count = next(iter(fit.shapes.values()))[0]
        return trouble, f"its classifier is for {count} classes: {NEW_HEAD_ADVICE}"
    if fit.missing and (order := _find_any_order(unwrapped, expected, tied)):
        return _describe_other_names(order, unwrapped, expected)
    if fit.is_head_only(expected):
        return trouble, f"no classifier: {NEW_HEAD_ADVICE}"
    colour_layers = [name for name, shape in fit.shapes.items() if len(shape) > 1 and shape[1] == 3]
    is_whole = not fit.missing and not fit.unexpected
    if is_whole and colour_layers and expected[colour_layers[0]].shape[1] == 1:
        return trouble, "dataset.channels=3 gives grey images three channels"
    return trouble, None


def _find_any_order(unwrapped: UnwrappedNames, expected: Tensors, tied: TiedNames) -> dict[str, Tensor] | None:
    return find_order(unwrapped.order, expected, tied) or find_order(unwrapped.tensors, expected, tied)


def _describe_other_names(order: dict[str, Tensor], unwrapped: UnwrappedNames, expected: Tensors) -> tuple[str, str]:
    """Return that names are others, and how to go by the order, with a fresh classifier where its classes differ."""
    names = {id(tensor): name for name, tensor in unwrapped.order.items()}
    own, theirs = next((own, names[id(tensor)]) for own, tensor in order.items() if names[id(tensor)] != own)
    trouble = f"its names are others ({unwrapped.find_file_name(theirs)} is {own} here)"
    last = list(order)[-1]
    if order[last].shape == expected[last].shape:
        return trouble, "their order and shapes are the network's: add --by-order to go by it"
    classes = format_shape(order[last].shape[:1])
    return trouble, f"order and shapes are the network's but for {classes} classes: add --by-order --new-head"


def _add_batch_counters(tensors: Tensors, expected: Tensors) -> dict[str, Tensor]:
    """Let a batch norm that counts no batches begin at 0; nothing in evaluation depends on it."""
    absent = [name for name in expected if name.endswith(BATCH_COUNTER_NAME) and name not in tensors]
    counters = {name: torch.zeros((), dtype=expected[name].dtype) for name in absent}
    return {**tensors, **counters}


def _check_values(tensors: Tensors, tied: TiedNames, source: str) -> None:
    """Refuse values that are not numbers, and values that differ where the network has one tensor."""
    bad = [name for name, tensor in tensors.items() if not bool(_to_computable(tensor).isfinite().all())]
    if bad:
        raise UserError(
            f"{source}: {len(bad)} tensors hold values that are not finite numbers ({format_first_names(bad)})"
        )
    if differing := find_unequal_tied_names(tensors, tied):
        raise UserError(f"{source}: {' and '.join(differing)} differ, the network has one tensor for both names")


def _to_computable(tensor: Tensor) -> Tensor:
    """Return a tensor that torch counts with: types of a byte it only stores."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
