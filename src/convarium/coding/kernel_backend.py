"""What the kernels run on: lists in Python, or arrays and numba where it is installed. Both give equal bytes."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from convarium.coding import coding_kernels, range_coder
from convarium.coding.coder import Numbers

MIN_COMPILED_VALUES = 1 << 20  # below it, starting numba (a second) takes longer than it saves


class PythonBackend:
    """Runs the kernels in Python, on lists."""

    def call_kernel(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        """Run a kernel."""
        return kernel(*arguments)

    def make_numbers(self, numbers: Numbers) -> Any:
        """Return a copy of whole numbers that a kernel reads often and may change."""
        return numbers.tolist()

    def make_bulk_numbers(self, numbers: Numbers) -> Any:
        """Return a copy of whole numbers that a kernel reads once each and may change; eight bytes a number."""
        # A list of as many Python ints as a tensor has values would take several times the memory.
        return np.array(numbers, dtype=np.int64).data

    def make_range(self, count: int) -> Any:
        """Return the numbers 0 to count - 1."""
        return range(count)

    def allocate_bytes(self, size: int) -> Any:
        """Return a buffer of zeros for a kernel to fill."""
        return bytearray(size)

    def make_readable_bytes(self, data: memoryview) -> Any:
        """Return `data` in the form that a kernel reads."""
        return data


class NumbaBackend(PythonBackend):
    """Runs the kernels compiled, on arrays."""

    def call_kernel(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        """Run a kernel, compiled at its first call."""
        return _compile_kernel(kernel)(*arguments)

    def make_numbers(self, numbers: Numbers) -> Any:
        """Return a copy of whole numbers, as an array."""
        return np.array(numbers, dtype=np.int64)

    make_bulk_numbers = make_numbers

    def make_range(self, count: int) -> Any:
        """Return the numbers 0 to count - 1."""
        return np.arange(count)

    def allocate_bytes(self, size: int) -> Any:
        """Return an array of zeros for a kernel to fill."""
        return np.zeros(size, dtype=np.uint8)

    def make_readable_bytes(self, data: memoryview) -> Any:
        """Return `data` as an array."""
        return np.array(data, dtype=np.uint8)


@cache
def _compile_kernel(kernel: Callable[..., Any]) -> Callable[..., Any]:
    from numba import njit
    from numba.extending import register_jitable

    # Functions that kernels call: numba finds them by this, and plain Python keeps calling them as they are.
    for function in (range_coder.code_bit, coding_kernels.code_size_bits):
        register_jitable(function)
    try:
        compiled: Callable[..., Any] = njit(cache=True)(kernel)
    except RuntimeError:  # numba found no folder that it can write its cache to
        compiled = njit(kernel)
    return compiled


def select_backend(size: int) -> PythonBackend:
    """Return the backend that is faster for so many values."""
    if size >= MIN_COMPILED_VALUES and find_spec("numba"):
        return NumbaBackend()
    return PythonBackend()
