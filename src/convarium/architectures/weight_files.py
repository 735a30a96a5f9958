"""Read the tensors of a weights file: safetensors, a torch checkpoint, or a dense `.cvm`; no code of it is run."""

import pickletools
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from convarium.architectures.weights import Weights
from convarium.config.messages import shorten
from convarium.errors import UserError

STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model", "module", "network", "net", "weights")
ZIP_MAGIC, PICKLE_MAGIC = b"PK", b"\x80"
OPTIMIZER_KEY_PART = "optim"  # in the keys of what a training keeps beside its weights
SAFE_IMPORT_PREFIXES = ("torch.", "collections.", "__torch__.")
REFUSED_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def read_weights(path: str | Path, key: str | None = None) -> Weights:
    """Read a file by its content, whatever its name.

    Args:
        key: which of the state dicts of a torch checkpoint; those that lie deeper are named by keys joined by dots.

    Raises:
        UserError: it can't be read, is not a weights file, or is a pickle that wants to import something; it holds
            nothing at the key, or without one several state dicts of which none is the usual one.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    is_checkpoint = start[:2] == ZIP_MAGIC or start[:1] == PICKLE_MAGIC
    if key is not None and not is_checkpoint:
        raise UserError(f"--from {key} chooses among the state dicts of a torch checkpoint, {path} is none")
    if start[:4] == b"CVM1":
        return _read_network_file(path)
    if start[8:9] == b"{":
        return Weights(_read_safetensors(path))
    if not is_checkpoint:
        raise UserError(f"{path} is not a weights file: expected safetensors, a torch checkpoint or a .cvm")
    return _select_state_dict(_read_checkpoint(Path(path)), str(path), key)


def _read_safetensors(path: str | Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is not a valid safetensors file: {_format_first_sentence(error)}") from None


def _read_network_file(path: str | Path) -> Weights:
    from convarium.cvm import container
    from convarium.representations.dense import Dense

    file = container.read_cvm(path)
    represented = [name for name, found in file.sites.items() if not isinstance(found, Dense)]
    if represented or file.header["surgery"]:
        what = represented[0] if represented else "its structure"
        raise UserError(f"{path} is compressed ({what}): adopt a dense network, then compress it")
    given = file.header["input"]
    tensors = container.materialise_network(file).state_dict()
    scaled = {"value_range": tuple(given["value_range"])} if "value_range" in given else {}
    return Weights(tensors, mean=tuple(given["mean"]), std=tuple(given["std"]), **scaled)


def _read_checkpoint(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's file: torch raises what its unpickler meets
        named = REFUSED_GLOBAL.search(str(error))
        wanted = named[1] if named else _find_unsafe_import(path)
        if wanted:
            advice = "save the tensors alone: torch.save(network.state_dict(), …)"
            raise UserError(f"{path} would import {wanted} to be read, and is refused; {advice}") from None
        raise UserError(f"{path} is not a torch checkpoint of tensors: {_format_first_sentence(error)}") from None


def _find_unsafe_import(path: Path) -> str | None:
    """Return the first name a pickle imports that tensors don't need, told from its bytes alone."""
    with suppress(ValueError, IndexError, BadZipFile, KeyError, OSError):
        return next(
            (name for name in _iterate_imports(_read_pickle_bytes(path)) if not name.startswith(SAFE_IMPORT_PREFIXES)),
            None,
        )
    return None


def _iterate_imports(data: bytes) -> Iterator[str]:
    strings: list[str] = []
    for operation, value, _ in pickletools.genops(data):
        if operation.name in ("GLOBAL", "INST"):
            yield str(value).replace(" ", ".")
        elif operation.name == "STACK_GLOBAL":
            yield ".".join(strings[-2:])
        elif isinstance(value, str):
            strings.append(value)


def _read_pickle_bytes(path: Path) -> bytes:
    if path.read_bytes()[:2] != ZIP_MAGIC:
        return path.read_bytes()
    with ZipFile(path) as archive:
        return archive.read(next((name for name in archive.namelist() if name.endswith("data.pkl")), "data.pkl"))


def _select_state_dict(found: Any, where: str, key: str | None) -> Weights:
    """Take one of the state dicts of a checkpoint: the one at `key`, else the usual one, else the only one."""
    usual, held = _find_usual_state_dict(found), dict(_find_state_dicts(found))
    if usual is not None:
        held |= usual
    fitting = [path for path in held if key in (None, path) or path.startswith(f"{key}.")]
    path = next(iter(usual)) if usual is not None and key is None else fitting[0] if len(fitting) == 1 else None
    if path is None:
        told = f"{where} holds no tensors by name" if key is None else f"--from {key}: {where} holds no tensors there"
        raise UserError(f"{told} but {_describe_contents(found, held)}")
    said = [f"taken from '{path}'"] if path else []
    if others := [f"'{one}'" for one in held if one != path]:
        said.append(f"the file also holds {', '.join(others)}: --from takes another one")
    for name, tensor in held[path].items():
        if kind := _describe_odd_tensor(tensor):
            raise UserError(f"{where}: {shorten(str(name))} is {kind}; save plain tensors of numbers")
    return Weights({str(name): tensor.detach() for name, tensor in held[path].items()}, tuple(said))


def _find_usual_state_dict(found: Any) -> dict[str, Mapping[Any, Tensor]] | None:
    """Go into `state_dict`, `model` and the like until there are tensors; return these by the keys, joined by dots."""
    keys: list[str] = []
    while isinstance(found, Mapping) and not _is_all_tensors(found):
        key = next((key for key in STATE_DICT_KEYS if isinstance(found.get(key), Mapping)), None)
        if key is None:
            return None
        keys.append(key)
        found = found[key]
    return {".".join(keys): found} if isinstance(found, Mapping) and found else None


def _find_state_dicts(found: Any, path: str = "") -> Iterator[tuple[str, Mapping[Any, Tensor]]]:
    """Yield every mapping of names to weights by the keys, joined by dots; an optimiser's state is none."""
    if not isinstance(found, Mapping) or not found:
        return
    if _is_all_tensors(found):
        if any(tensor.dim() > 1 for tensor in found.values()):
            yield path, found
        return
    for key, value in found.items():
        if isinstance(key, str) and OPTIMIZER_KEY_PART not in key.lower():
            yield from _find_state_dicts(value, f"{path}.{key}" if path else key)


def _describe_contents(found: Any, held: Mapping[str, Any]) -> str:
    if "" in held:
        return "at its top: leave --from out"
    if held:
        return f"at {', '.join(held)}: choose one by --from KEY"
    if isinstance(found, Mapping):
        return f"the keys {', '.join(shorten(str(key)) for key in list(found)[:5])}; expected a state_dict"
    return f"{type(found).__name__}; expected a state_dict"


def _describe_odd_tensor(tensor: Tensor) -> str | None:
    """Say what a tensor is that holds no number for each place, None of a plain one."""
    if tensor.is_nested:
        return "a nested tensor, of rows of several lengths"
    if tensor.layout != torch.strided:
        return f"stored as {str(tensor.layout).removeprefix('torch.')}: tensor.to_dense() is plain"
    if tensor.is_meta:
        return "on the meta device and has no values"
    return "quantised: tensor.dequantize() is plain" if tensor.is_quantized else None


def _is_all_tensors(found: Mapping[Any, Any]) -> bool:
    return all(isinstance(value, Tensor) for value in found.values())


def _format_first_sentence(error: Exception) -> str:
    """The first sentence of what a library says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0][:120]
