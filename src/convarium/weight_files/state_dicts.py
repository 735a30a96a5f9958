"""Which of the things in a checkpoint is the state dict: the one at a key, else the usual one, else the only one."""

from collections.abc import Mapping
from math import prod
from typing import Any

from torch import Tensor

from convarium.config.messages import shorten
from convarium.errors import UserError
from convarium.weight_files.advice import SAVE_ADVICE
from convarium.weight_files.inert_unpickler import Stub
from convarium.weight_files.pickled_arrays import PickledArray
from convarium.weight_files.pickled_tensors import OddTensor

# Where trainings keep the network, the likeliest first.
STATE_DICT_KEYS = (
    "state_dict", "model_state_dict", "model", "module", "network", "net", "weights", "model_state", "model_weights",
    "net_state_dict",
)  # fmt: skip
TENSOR_CLASS_ENDINGS = ("Tensor", "Parameter")
OPTIMIZER_KEY_PART = "optim"  # in the keys of what a training keeps beside its weights
OPTIMIZER_KEY = "opt"  # fastai's
OPTIMIZER_KEYS = {"state", "param_groups"}  # of an optimiser's own state, whatever it is kept under
LAYER_TENSOR_NAMES = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
MAX_KEYS_LISTED = 5
MAX_DEPTH = 50  # of containers in each other
MAX_STATE_DICTS = 50  # that one container may hold

StateDict = dict[str, Any]
NamedStateDicts = list[tuple[str, StateDict]]


def select_state_dict(found: Any, where: str, key: str | None) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors by name, and what was taken and left, in words.

    Args:
        found: what the file holds.
        where: the file, for mistakes.
        key: of the state dict, with those above it joined by dots, which may leave out what lies below it.

    Raises:
        UserError: there is none, or not at the key, or several and none is the usual one; a tensor of it is no plain
            one.
    """
    state_dicts = dict(_find_state_dicts(found, {}))
    if key is None and _is_split_by_layer(state_dicts):
        return _read_tensors(_join_layers(found), where), ["taken from a dict for each layer"]
    path = _choose_path(state_dicts, key)
    if path is None and key is not None and (part := _find_part(state_dicts, key)):
        return _read_tensors(part, where), [f"taken from the names that begin with '{key}.'"]
    if path is None:
        raise UserError(_describe_failure(found, state_dicts, where, key))
    notes = [f"taken from '{path}'"] if path else []
    others = [f"'{shorten(other)}'" for other in state_dicts if other != path]
    if others:
        notes.append(f"the file also holds {_join_first(others)}: --from takes another one")
    return _read_tensors(state_dicts[path], where), notes


def select_part(tensors: Mapping[str, Any], key: str) -> StateDict:
    """Return the tensors whose names begin with a key and a dot, by the rest of their names."""
    prefix = f"{key}."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _find_part(state_dicts: Mapping[str, StateDict], key: str) -> StateDict:
    """Return the tensors below a key that is a prefix of their names, with or without the state dict's own keys."""
    for path, state_dict in state_dicts.items():
        part = select_part(state_dict, key.removeprefix(f"{path}."))
        if part:
            return part
    return {}


def _choose_path(state_dicts: Mapping[str, StateDict], key: str | None) -> str | None:
    """Return the path of the state dict that is meant, None where none or several may be."""
    if key is None:
        usual = [path for path in state_dicts if _is_usual(path)]
        fitting = sorted(usual, key=_rank_path)[:1] or list(state_dicts)
    elif key in state_dicts:
        return key
    else:
        fitting = [path for path in state_dicts if path.startswith(f"{key}.")]
    return fitting[0] if len(fitting) == 1 else None


def _is_usual(path: str) -> bool:
    return not path or all(key in STATE_DICT_KEYS for key in path.split("."))


def _rank_path(path: str) -> list[int]:
    """Return the places of a usual path's keys in the list of these."""
    return [STATE_DICT_KEYS.index(key) for key in path.split(".")] if path else []


def _find_state_dicts(found: Any, searched: dict[int, NamedStateDicts], depth: int = 0) -> NamedStateDicts:
    """Return every mapping of names to weights with its keys, joined by dots; the state of an optimiser is none.

    Args:
        found: a container, or anything else.
        searched: what was found in containers so far, by their ids: one may hold itself, or lie in several others.
    """
    if id(found) in searched:
        return searched[id(found)]
    searched[id(found)] = []
    entries = _list_entries(found)
    if entries.keys() >= OPTIMIZER_KEYS or depth > MAX_DEPTH:
        return []
    nested: NamedStateDicts = []
    for key, value in entries.items():
        if OPTIMIZER_KEY_PART not in key.lower() and key != OPTIMIZER_KEY:
            below = _find_state_dicts(value, searched, depth + 1)
            nested += [(f"{key}.{path}" if path else key, state_dict) for path, state_dict in below]
    searched[id(found)] = _choose_level(found, entries, nested[:MAX_STATE_DICTS])
    return searched[id(found)]


def _choose_level(found: Any, entries: StateDict, nested: NamedStateDicts) -> NamedStateDicts:
    """Return the container itself if the tensors in it are a network's, else the state dicts below it."""
    tensors = {key: value for key, value in entries.items() if _is_tensor(value)}
    has_weights = isinstance(found, Mapping | Stub) and any(map(_is_weight, tensors.values()))
    has_usual_key = any(path in STATE_DICT_KEYS for path, _ in nested)
    largest = max((_count_numbers(state_dict) for _, state_dict in nested), default=0)
    # What lies beside a state dict (a confusion matrix) or in it (a layer's extra state) is smaller than it.
    if has_weights and not has_usual_key and _count_numbers(tensors) > largest:
        return [("", tensors)]
    return nested


def _list_entries(found: Any) -> dict[str, Any]:
    """Return what a container holds, by its keys that are texts; entries of a list by their places."""
    if isinstance(found, Stub):
        found = found.entries
    if isinstance(found, Mapping):
        return {key: value for key, value in found.items() if isinstance(key, str)}
    if isinstance(found, list | tuple):
        # Of a list only what may be a state dict: it can be as long as a training's history.
        held = [(place, entry) for place, entry in enumerate(found[:100]) if isinstance(entry, Mapping | list | tuple)]
        return {str(place): entry for place, entry in held}
    return {}


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor | PickledArray | OddTensor) or _is_tensor_stub(value)


def _is_tensor_stub(value: Any) -> bool:
    """Whether it stands for a tensor of a class of its own, such as a share of one in training on many machines."""
    if not isinstance(value, Stub):
        return False
    return value.origin.startswith("torch.") and value.origin.endswith(TENSOR_CLASS_ENDINGS)


def _is_weight(value: Any) -> bool:
    """Whether it may be a weight: statistics and curves have one dimension."""
    if isinstance(value, OddTensor | Stub):
        return True
    return len(value.shape) > 1


def _count_numbers(tensors: StateDict) -> int:
    count = 1
    for value in tensors.values():
        if isinstance(value, Tensor):
            count += value.numel()
        elif isinstance(value, PickledArray):
            count += prod(value.shape)
    return count


def _is_split_by_layer(state_dicts: Mapping[str, StateDict]) -> bool:
    return len(state_dicts) > 1 and all(state_dict.keys() <= LAYER_TENSOR_NAMES for state_dict in state_dicts.values())


def _join_layers(found: Any, path: str = "") -> StateDict:
    """Return all tensors by their keys, joined by dots."""
    tensors: StateDict = {}
    for key, value in _list_entries(found).items():
        name = f"{path}.{key}" if path else key
        if _is_tensor(value):
            tensors[name] = value
        else:
            tensors |= _join_layers(value, name)
    return tensors


def _read_tensors(state_dict: StateDict, where: str) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, value in state_dict.items():
        tensor = _read_tensor(value)
        if isinstance(tensor, OddTensor):
            raise UserError(f"{where}: {shorten(name)} is {tensor.description}; save plain tensors of numbers")
        tensors[name] = tensor.detach()
    return tensors


def _read_tensor(value: Any) -> Tensor | OddTensor:
    if isinstance(value, Tensor | OddTensor):
        return value
    if isinstance(value, Stub):
        return OddTensor(f"a {shorten(value.origin)}")
    try:
        tensor = value.find_tensor()
    except ValueError:
        return OddTensor("an array that is cut off")
    return OddTensor("an array without numbers") if tensor is None else tensor


def _describe_failure(found: Any, state_dicts: Mapping[str, StateDict], where: str, key: str | None) -> str:
    told = f"{where} holds no tensors by name" if key is None else f"--from {key}: {where} holds no tensors there"
    if "" in state_dicts:
        return f"{told} but at its top: leave --from out"
    if state_dicts:
        return f"{told} but at {_join_first(list(map(shorten, state_dicts)))}: choose one by --from KEY"
    if module := _find_module(found, set()):
        return f"{where} holds a whole {module}, whose code is not run; {SAVE_ADVICE}"
    if _list_entries(found).keys() >= OPTIMIZER_KEYS:
        return f"{where} holds the state of an optimiser, no weights; {SAVE_ADVICE}"
    return f"{told} but {_describe_contents(found)}; {SAVE_ADVICE}"


def _join_first(names: list[str]) -> str:
    listed = ", ".join(names[:MAX_KEYS_LISTED])
    return f"{listed}, …" if len(names) > MAX_KEYS_LISTED else listed


def _find_module(found: Any, searched: set[int], depth: int = 0) -> str | None:
    """Return the class of a module that was pickled whole."""
    if isinstance(found, Stub) and isinstance(found.state, Mapping) and "_modules" in found.state:
        return shorten(found.origin)
    if depth > MAX_DEPTH or id(found) in searched or not isinstance(found, Mapping | list | tuple):
        return None
    searched.add(id(found))
    for value in found.values() if isinstance(found, Mapping) else found:
        if module := _find_module(value, searched, depth + 1):
            return module
    return None


def _describe_contents(found: Any) -> str:
    if isinstance(found, Mapping):
        return f"the keys {', '.join(shorten(str(key)) for key in list(found)[:5])}" if found else "an empty dict"
    if isinstance(found, Stub):
        return f"an object of {shorten(found.origin)}"
    if isinstance(found, list | tuple):
        return f"{type(found).__name__} of {len(found)}"
    return type(found).__name__
