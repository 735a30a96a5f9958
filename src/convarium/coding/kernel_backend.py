"""Lists and Python's own loops, or arrays and loops compiled by numba where it is installed: the same numbers."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from convarium.coding import coding_kernels, range_coder
from convarium.coding.coder import Numbers

MIN_COMPILED_VALUES = 1 << 20


class PythonBackend:
    """Runs the kernels on plain lists."""

    def call_kernel(self, kernel: Callable[..., Any], *given: Any) -> Any:
        """Run a kernel."""
        return kernel(*given)

    def make_numbers(self, given: Numbers) -> Any:
        """Whole numbers that a kernel often looks at, to be changed by it."""
        return given.tolist()

    def make_bulk_numbers(self, given: Numbers) -> Any:
        """Whole numbers that a kernel looks at once each, to be changed by it, eight bytes a number."""
        return np.array(given, dtype=np.int64).data

    def make_range(self, count: int) -> Any:
        """0, 1, … count - 1."""
        return range(count)

    def allocate_bytes(self, size: int) -> Any:
        """So many bytes to be filled."""
        return bytearray(size)

    def make_readable_bytes(self, data: memoryview) -> Any:
        """Bytes to be read."""
        return data


class NumbaBackend(PythonBackend):
    """Runs the kernels compiled, on arrays."""

    def call_kernel(self, kernel: Callable[..., Any], *given: Any) -> Any:
        """Run a kernel; compiled once, and kept beside its source."""
        return _compile_kernel(kernel)(*given)

    def make_numbers(self, given: Numbers) -> Any:
        """Whole numbers as an array of its own."""
        return np.array(given, dtype=np.int64)

    make_bulk_numbers = make_numbers

    def make_range(self, count: int) -> Any:
        """0, 1, … count - 1."""
        return np.arange(count)

    def allocate_bytes(self, size: int) -> Any:
        """So many bytes to be filled."""
        return np.zeros(size, dtype=np.uint8)

    def make_readable_bytes(self, data: memoryview) -> Any:
        """Bytes to be read."""
        return np.array(data, dtype=np.uint8)


@cache
def _compile_kernel(kernel: Callable[..., Any]) -> Callable[..., Any]:
    from numba import njit
    from numba.extending import register_jitable

    for inner in (range_coder.code_bit, coding_kernels.code_size_bits):
        register_jitable(inner)
    try:
        compiled: Callable[..., Any] = njit(cache=True)(kernel)
    except RuntimeError:  # no place to keep it
        compiled = njit(kernel)
    return compiled


def select_backend(size: int) -> PythonBackend:
    """The one that is faster for so many values; starting numba takes a second."""
    return NumbaBackend() if size >= MIN_COMPILED_VALUES and find_spec("numba") else PythonBackend()
