"""Convarium trains, compresses, searches and compares convolutional networks. Importing it imports nothing heavy."""

from importlib import import_module
from typing import Any

LAZY_EXPORTS = {
    "load": ("convarium.portable.loaders", "load"),
    "open": ("convarium.notebook", "open_stored"),
    "results": ("convarium.notebook", "results"),
}
__all__ = ["load", "open", "results"]


def __getattr__(name: str) -> Any:
    if name not in LAZY_EXPORTS:
        raise AttributeError(f"module 'convarium' has no attribute '{name}'")
    module_name, attribute = LAZY_EXPORTS[name]
    return getattr(import_module(module_name), attribute)
