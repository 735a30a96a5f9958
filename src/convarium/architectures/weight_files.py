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
from convarium.config.words import brief
from convarium.errors import UserError

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "network", "net", "weights")
ZIP, PICKLE = b"PK", b"\x80"
HARMLESS = ("torch.", "collections.", "__torch__.")
GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def read(path: str | Path) -> Weights:
    """Read a file by its content, whatever its name.

    Raises:
        UserError: it can't be read, is no weights file, or is a pickle that wants to import something.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    if start[:4] == b"CVM1":
        return _network_file(path)
    if start[8:9] == b"{":
        return Weights(_safetensors(path))
    if start[:2] != ZIP and start[:1] != PICKLE:
        raise UserError(f"{path} is no weights file: expected safetensors, a torch checkpoint or a .cvm")
    return _unwrapped(_checkpoint(Path(path)), str(path))


def _safetensors(path: str | Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is no sound safetensors file: {_line(error)}") from None


def _network_file(path: str | Path) -> Weights:
    from convarium.compression.file import container
    from convarium.compression.representations.dense import Dense

    file = container.read(path)
    represented = [name for name, found in file.sites.items() if not isinstance(found, Dense)]
    if represented or file.header["surgery"]:
        what = represented[0] if represented else "its structure"
        raise UserError(f"{path} is compressed ({what}): adopt a dense network, then compress it")
    given = file.header["input"]
    tensors = container.network(file).state_dict()
    scaled = {"value_range": tuple(given["value_range"])} if "value_range" in given else {}
    return Weights(tensors, mean=tuple(given["mean"]), std=tuple(given["std"]), **scaled)


def _checkpoint(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's file: torch raises what its unpickler meets
        named = GLOBAL.search(str(error))
        wanted = named[1] if named else _imported(path)
        if wanted:
            advice = "save the tensors alone: torch.save(network.state_dict(), …)"
            raise UserError(f"{path} would import {wanted} to be read, and is refused; {advice}") from None
        raise UserError(f"{path} is no torch checkpoint of tensors: {_line(error)}") from None


def _imported(path: Path) -> str | None:
    """Return the first name a pickle imports that tensors don't need, told from its bytes alone."""
    with suppress(ValueError, IndexError, BadZipFile, KeyError, OSError):
        return next((name for name in _imports(_pickle(path)) if not name.startswith(HARMLESS)), None)
    return None


def _imports(data: bytes) -> Iterator[str]:
    strings: list[str] = []
    for operation, value, _ in pickletools.genops(data):
        if operation.name in ("GLOBAL", "INST"):
            yield str(value).replace(" ", ".")
        elif operation.name == "STACK_GLOBAL":
            yield ".".join(strings[-2:])
        elif isinstance(value, str):
            strings.append(value)


def _pickle(path: Path) -> bytes:
    if path.read_bytes()[:2] != ZIP:
        return path.read_bytes()
    with ZipFile(path) as archive:
        return archive.read(next((name for name in archive.namelist() if name.endswith("data.pkl")), "data.pkl"))


def _unwrapped(found: Any, where: str) -> Weights:
    """Go into `state_dict`, `model` and the like until there are tensors."""
    said: list[str] = []
    while isinstance(found, Mapping) and not _is_tensors(found):
        key = next((key for key in WRAPPERS if isinstance(found.get(key), Mapping)), None)
        if key is None:
            break
        found = found[key]
        said.append(f"taken from '{key}'")
    if not isinstance(found, Mapping) or not found or not _is_tensors(found):
        keys = ", ".join(brief(str(key)) for key in list(found)[:5]) if isinstance(found, Mapping) else None
        shown = type(found).__name__ if keys is None else f"the keys {keys}"
        raise UserError(f"{where} holds no tensors by name but {shown}; expected a state_dict")
    for name, tensor in found.items():
        if kind := _odd_kind(tensor):
            raise UserError(f"{where}: {brief(str(name))} is {kind}; save plain tensors of numbers")
    return Weights({str(name): tensor.detach() for name, tensor in found.items()}, tuple(said))


def _odd_kind(tensor: Tensor) -> str | None:
    """Say what a tensor is that holds no number for each place, None of a plain one."""
    if tensor.is_nested:
        return "a nested tensor, of rows of several lengths"
    if tensor.layout != torch.strided:
        return f"stored as {str(tensor.layout).removeprefix('torch.')}: tensor.to_dense() is plain"
    if tensor.is_meta:
        return "on the meta device and has no values"
    return "quantised: tensor.dequantize() is plain" if tensor.is_quantized else None


def _is_tensors(found: Mapping[Any, Any]) -> bool:
    return all(isinstance(value, Tensor) for value in found.values())


def _line(error: Exception) -> str:
    """The first sentence of what a library says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0][:120]
