"""Convarium trains, compresses, searches and compares convolutional networks. Importing it imports nothing heavy."""

from typing import Any

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from convarium.compression.file.container import load

        return load
    raise AttributeError(f"module 'convarium' has no attribute '{name}'")
