"""Arrays of numpy in a pickle: rebuilt from their bytes, by none of numpy's own unpickling."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

NUMBER_KINDS = "biufc"  # numpy's letters for types of numbers; any other may hold objects


class PickledType:
    """A `numpy.dtype` of a pickle: its letters, then its byte order."""

    def __init__(self, letters: Any = "", *_: Any) -> None:
        self.letters = letters
        self.byte_order = "="

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.byte_order = state[1]

    def find_number_type(self) -> "np.dtype[Any] | None":
        """Return the type, None of one that holds no numbers."""
        try:
            found: np.dtype[Any] = np.dtype(str(self.letters)).newbyteorder(self.byte_order)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None
        return found if found.kind in NUMBER_KINDS and found.fields is None else None


class PickledArray:
    """A `numpy.ndarray` of a pickle; its content comes by `__setstate__`."""

    def __init__(self, *_: Any) -> None:
        self.shape: tuple[int, ...] = ()
        self.element_type: Any = None
        self.is_fortran = False
        self.data: Any = b""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            return
        _, shape, self.element_type, self.is_fortran, self.data = state
        if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
            self.shape = shape

    def find_tensor(self) -> Tensor | None:
        """Return the array as a tensor, None where it holds no numbers that torch knows.

        Raises:
            ValueError: it has fewer bytes than its shape says.
        """
        number_type = self.element_type.find_number_type() if isinstance(self.element_type, PickledType) else None
        data = self.data.encode("latin1") if isinstance(self.data, str) else self.data
        if number_type is None or not isinstance(data, bytes | bytearray):
            return None
        array = np.frombuffer(data, number_type).reshape(self.shape, order="F" if self.is_fortran else "C")
        try:
            return torch.from_numpy(array.astype(number_type.newbyteorder("="), order="C"))
        except TypeError:
            return None


def build_array_from_buffer(data: Any, element_type: Any, shape: Any, order: Any) -> PickledArray:
    """Return an array that a pickle of protocol 5 holds as a buffer."""
    array = PickledArray()
    array.__setstate__((1, shape, element_type, order == "F", data))
    return array
