"""Convarium trains, compresses, searches and compares convolutional networks. Importing it imports nothing heavy."""

from importlib import import_module
from typing import Any

PLACES = {
    "load": ("convarium.portable.served", "load"),
    "open": ("convarium.notebook", "open_stored"),
    "results": ("convarium.notebook", "results"),
}
__all__ = ["load", "open", "results"]


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module 'convarium' has no attribute '{name}'")
    module, called = PLACES[name]
    return getattr(import_module(module), called)
