"""Unpickle a stranger's file without running any of it: tensors, arrays and plain containers, and stubs for all else.

A pickle names the functions and classes that it wants to be called. Here each name leads to one of ours: a builder of
tensors, a plain container, or a stub that takes in whatever it is given. Nothing is imported.
"""

import pickle
from collections.abc import Callable, Mapping
from typing import IO, Any

import torch

from convarium.weight_files.pickled_arrays import PickledArray, PickledType, build_array_from_buffer
from convarium.weight_files.pickled_tensors import STORAGE_TYPES, TENSOR_BUILDERS, Builder

PLAIN_MAPPINGS = ("OrderedDict", "defaultdict", "Counter", "UserDict")
# A file that names these means harm. They would be stubs like any other: refusing the file only says so.
HARMFUL_MODULES = (
    "os", "posix", "nt", "sys", "subprocess", "pty", "runpy", "shutil", "socket", "ctypes", "importlib", "code",
    "webbrowser", "commands",
)  # fmt: skip
HARMFUL_BUILTINS = ("eval", "exec", "execfile", "compile", "open", "__import__")
BUILTINS = ("builtins", "__builtin__")

StorageLoader = Callable[[Any], Any]  # from a persistent id of torch


class HarmfulImport(Exception):
    """A pickle wants to call what runs programs or code; the message is its name."""


class PlainMapping(dict[Any, Any]):
    """A dict or one of its kin, without the factory, the order's methods or the attributes that it may have had."""

    __slots__ = ()

    def __init__(self, *arguments: Any) -> None:
        super().__init__()
        for argument in arguments:
            if isinstance(argument, Mapping | list):
                self.update(argument)

    def __setstate__(self, state: Any) -> None:
        """Ignore attributes such as a state dict's `_metadata`."""


class Stub:
    """An object of a class that is not ours to run; it keeps what it is given, and does nothing with it.

    Attributes:
        origin: the name of the class in the pickle.
        state: its attributes, where the pickle gives them.
        entries: what is set by key, where it is a mapping.
    """

    origin = "an object"

    def __new__(cls, *_: Any, **__: Any) -> "Stub":
        """Return one, whatever the arguments."""
        stub = super().__new__(cls)
        stub.state = None
        stub.entries = {}
        return stub

    state: Any
    entries: dict[Any, Any]

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> "Stub":
        """Return another one: what stands for a function is called."""
        return Stub()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def append(self, value: Any) -> None:
        """Take in an entry of a list."""

    def extend(self, values: Any) -> None:
        """Take in entries of a list."""

    def add(self, value: Any) -> None:
        """Take in an entry of a set."""


def _take_bytes(text: Any, *_: Any) -> Any:
    """Return the bytes that a pickle of protocol 2 keeps as text."""
    return text.encode("latin1") if isinstance(text, str) else text


def _take_tuple(values: Any = (), *_: Any) -> tuple[Any, ...]:
    return tuple(values)


class InertUnpickler(pickle.Unpickler):
    """An unpickler that calls nothing but what stands in this package."""

    def __init__(self, file: IO[bytes], load_storage: StorageLoader, load_nested: Callable[[bytes], Any]) -> None:
        """Prepare to read one pickle.

        Args:
            file: it begins at the current place, and ends where the pickle ends.
            load_storage: gives the storage for a persistent id of torch.
            load_nested: reads what torch saved into bytes, which stands in a pickle that torch did not write.
        """
        super().__init__(file, encoding="latin1")
        self._load_storage = load_storage
        self._load_nested = load_nested

    def persistent_load(self, pid: Any) -> Any:
        """Return the storage that torch names in the pickle and keeps beside it."""
        return self._load_storage(pid)

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return what stands for a name of the pickle; nothing is imported.

        Raises:
            HarmfulImport: a name that runs programs or code.
        """
        if (module_name, global_name) in TENSOR_BUILDERS:
            return TENSOR_BUILDERS[module_name, global_name]
        if global_name in STORAGE_TYPES and module_name.startswith("torch"):
            return _StorageType(STORAGE_TYPES[global_name])
        if module_name == "torch" and isinstance(vars(torch).get(global_name), torch.dtype):
            return vars(torch)[global_name]
        if module_name == "collections" and global_name in PLAIN_MAPPINGS:
            return PlainMapping
        if module_name.partition(".")[0] == "numpy":
            return _find_numpy_builder(global_name)
        plain: dict[tuple[str, str], Callable[..., Any]] = {
            ("_codecs", "encode"): _take_bytes,
            ("torch", "Size"): _take_tuple,
            ("torch.storage", "_load_from_bytes"): self._load_nested,
        }
        if (module_name, global_name) in plain:
            return Builder(plain[module_name, global_name])
        if _is_harmful(module_name, global_name):
            raise HarmfulImport(f"{module_name}.{global_name}")
        return type("Stub", (Stub,), {"origin": f"{module_name}.{global_name}"})


class _StorageType:
    """What a pickle calls a type of storages; a persistent id gives it."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        """Ignore what a pickle would set."""


def _find_numpy_builder(name: str) -> Any:
    builders: dict[str, Any] = {
        "ndarray": PickledArray,
        "dtype": PickledType,
        "_reconstruct": Builder(PickledArray),
        "_frombuffer": Builder(build_array_from_buffer),
    }
    return builders.get(name) or type("Stub", (Stub,), {"origin": f"numpy.{name}"})


def _is_harmful(module_name: str, global_name: str) -> bool:
    if module_name in BUILTINS:
        return global_name in HARMFUL_BUILTINS
    return module_name.partition(".")[0] in HARMFUL_MODULES
