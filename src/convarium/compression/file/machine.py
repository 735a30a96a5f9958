"""Lists and Python's own loops, or arrays and loops compiled by numba where it is installed: the same numbers."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from convarium.compression.file import kernels, range_coder
from convarium.compression.file.coder import Numbers

FAST_FROM = 1 << 20


class Machine:
    """Runs the kernels on plain lists."""

    def call(self, kernel: Callable[..., Any], *given: Any) -> Any:
        """Run a kernel."""
        return kernel(*given)

    def numbers(self, given: Numbers) -> Any:
        """Whole numbers that a kernel often looks at, to be changed by it."""
        return given.tolist()

    def bulk(self, given: Numbers) -> Any:
        """Whole numbers that a kernel looks at once each, to be changed by it, eight bytes a number."""
        return np.array(given, dtype=np.int64).data

    def upto(self, count: int) -> Any:
        """0, 1, … count - 1."""
        return range(count)

    def space(self, size: int) -> Any:
        """So many bytes to be filled."""
        return bytearray(size)

    def bytes_of(self, data: memoryview) -> Any:
        """Bytes to be read."""
        return data


class Compiled(Machine):
    """Runs the kernels compiled, on arrays."""

    def call(self, kernel: Callable[..., Any], *given: Any) -> Any:
        """Run a kernel; compiled once, and kept beside its source."""
        return _compiled(kernel)(*given)

    def numbers(self, given: Numbers) -> Any:
        """Whole numbers as an array of its own."""
        return np.array(given, dtype=np.int64)

    bulk = numbers

    def upto(self, count: int) -> Any:
        """0, 1, … count - 1."""
        return np.arange(count)

    def space(self, size: int) -> Any:
        """So many bytes to be filled."""
        return np.zeros(size, dtype=np.uint8)

    def bytes_of(self, data: memoryview) -> Any:
        """Bytes to be read."""
        return np.array(data, dtype=np.uint8)


@cache
def _compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    from numba import njit
    from numba.extending import register_jitable

    for inner in (range_coder.step, kernels.code_size):
        register_jitable(inner)
    try:
        compiled: Callable[..., Any] = njit(cache=True)(kernel)
    except RuntimeError:  # no place to keep it
        compiled = njit(kernel)
    return compiled


def machine(size: int) -> Machine:
    """The one that is faster for so many values; starting numba takes a second."""
    return Compiled() if size >= FAST_FROM and find_spec("numba") else Machine()
