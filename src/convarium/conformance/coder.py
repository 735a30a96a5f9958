"""What every coder must do."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np
import pytest

from convarium.coding.coder import MAX_INTEGER, Coder, Numbers, Places
from convarium.conformance.cases import parametrize_cases
from convarium.errors import UserError

TRAILING_BYTES = b"\xff\x00\x7f"
Decode = Callable[[memoryview], tuple[Any, int]]


@dataclass(frozen=True)
class CodingCase:
    """Numbers, and the two ways that must lead there and back."""

    numbers: Any
    encode: Callable[[], bytes]
    decode: Decode


class CoderSuite:
    """Inherit it and give `coders`: instances of `convarium.coding.coder.Coder`, by a name for people."""

    coders: ClassVar[Mapping[str, Coder]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        parametrize_cases(metafunc, coder=self.coders, kind=CASE_GENERATORS)

    def test_numbers_come_back_and_their_own_bytes_are_taken(self, coder: Coder, kind: "CaseGenerator") -> None:
        for case in kind(coder):
            data = case.encode()
            numbers, used = case.decode(memoryview(data + TRAILING_BYTES))
            assert used == len(data)
            assert has_same_numbers(numbers, case.numbers)

    def test_the_same_numbers_give_the_same_bytes(self, coder: Coder, kind: "CaseGenerator") -> None:
        assert [case.encode() for case in kind(coder)] == [case.encode() for case in kind(coder)]

    def test_truncated_bytes_are_refused(self, coder: Coder, kind: "CaseGenerator") -> None:
        for case in kind(coder):
            data = case.encode()
            for length in {*range(0, len(data), -(-len(data) // 6) or 1), len(data) - 1} & {*range(len(data))}:
                with pytest.raises(UserError):
                    case.decode(memoryview(data)[:length])

    def test_bytes_of_a_stranger_are_refused_or_numbers_that_were_asked_for(self, coder: Coder) -> None:
        drawn = np.random.default_rng(0)
        for size in (0, 1, 2, 3, 8, 40) * 8:
            data = memoryview(drawn.bytes(size))
            for symbols in _decode_unless_refused(coder.decode_symbols, data, 20, 5, None):
                assert len(symbols) == 20
                assert 0 <= symbols.min() <= symbols.max() < 5
            for positions in _decode_unless_refused(coder.decode_positions, data, 9, (7, 5)):
                assert len(positions) == 9
                assert 0 <= positions[0] <= positions[-1] < 35
                assert (np.diff(positions) > 0).all()
            for integers in _decode_unless_refused(coder.decode_integers, data, (3, 4), 3, False, None):
                assert integers.shape == (3, 4)
                assert integers.all()
                assert np.abs(integers).max() <= 3


CaseGenerator = Callable[[Coder], Iterator[CodingCase]]


def generate_value_cases(coder: Coder) -> Iterator[CodingCase]:
    """Bytes of numbers of 1, 4 and 8 bytes."""
    drawn = np.random.default_rng(0)
    for item, count in ((1, 1), (4, 0), (4, 37), (8, 5)):
        yield _build_value_case(coder, drawn.bytes(item * count), item)


def generate_symbol_cases(coder: Coder) -> Iterator[CodingCase]:
    """Whole numbers of alphabets from 1 to 65,536 symbols: even, one far more often than others, only one of them."""
    drawn = np.random.default_rng(0)
    for size in (1, 2, 3, 31, 256, 65_536):
        often = np.where(drawn.random(200) < 0.9, 0, drawn.integers(0, size, 200))
        for numbers in (drawn.integers(0, size, 0), drawn.integers(0, size, 300), often, np.full(9, size - 1)):
            yield _build_symbol_case(coder, numbers, size)


def generate_position_cases(coder: Coder) -> Iterator[CodingCase]:
    """None, all, the first, the last, some, in tensors of odd shapes."""
    for shape in ((), (1,), (0, 4), (7,), (13, 5), (4, 3, 3, 5), (9_377, 7)):
        for chosen in _list_position_choices(prod(shape)):
            yield _build_position_case(coder, chosen, shape)


def generate_integer_cases(coder: Coder) -> Iterator[CodingCase]:
    """Signed whole numbers, with and without zeros, of whole tensors and of those at some positions."""
    drawn = np.random.default_rng(0)
    for largest, zeros in ((0, True), (1, True), (1, False), (3, True), (15, False), (127, True), (MAX_INTEGER, False)):
        for shape in ((), (1,), (0, 4), (7,), (13, 5), (6, 3, 3, 3)):
            numbers = _draw_signed(drawn, shape, largest, zeros)
            yield _build_integer_case(coder, numbers, largest, zeros, None)
            yield _build_integer_case(coder, numbers, largest, zeros, Places(None, shape))
        numbers = _draw_signed(drawn, (20,), largest, zeros)
        kept = np.sort(drawn.permutation(65)[:20])
        yield _build_integer_case(coder, numbers, largest, zeros, Places(kept, (13, 5)))


CASE_GENERATORS: Mapping[str, CaseGenerator] = {
    "values": generate_value_cases,
    "symbols": generate_symbol_cases,
    "positions": generate_position_cases,
    "integers": generate_integer_cases,
}


def has_same_numbers(found: Any, numbers: Any) -> bool:
    """Whether the same numbers came back, in the same shape."""
    if isinstance(numbers, bytes):
        return bytes(found) == numbers
    return np.shape(found) == np.shape(numbers) and bool((np.asarray(found) == numbers).all())


def _list_position_choices(size: int) -> list[Numbers]:
    drawn = np.random.default_rng(0)
    some = np.sort(drawn.permutation(size)[: min(size // 3, 1000)])
    ends = [np.array([place]) for place in (0, size - 1) if size]
    every = [np.arange(size)] if size < 1000 else []
    return [np.zeros(0, dtype=np.int64), *ends, some, *every]


def _draw_signed(drawn: np.random.Generator, shape: tuple[int, ...], largest: int, zeros: bool) -> Numbers:
    sizes = drawn.integers(0 if zeros else 1, largest + 1, shape)
    return np.asarray(sizes * drawn.choice([-1, 1], shape))


def _build_value_case(coder: Coder, data: bytes, item: int) -> CodingCase:
    return CodingCase(
        data,
        lambda: coder.encode_values(data, item, None),
        lambda read: coder.decode_values(read, len(data), item, None),
    )


def _build_symbol_case(coder: Coder, numbers: Numbers, size: int) -> CodingCase:
    return CodingCase(
        numbers,
        lambda: coder.encode_symbols(numbers, size, None),
        lambda read: coder.decode_symbols(read, len(numbers), size, None),
    )


def _build_position_case(coder: Coder, chosen: Numbers, shape: tuple[int, ...]) -> CodingCase:
    return CodingCase(
        chosen,
        lambda: coder.encode_positions(chosen, shape),
        lambda read: coder.decode_positions(read, len(chosen), shape),
    )


def _build_integer_case(coder: Coder, numbers: Numbers, largest: int, zeros: bool, places: Places | None) -> CodingCase:
    return CodingCase(
        numbers,
        lambda: coder.encode_integers(numbers, largest, zeros, places),
        lambda read: coder.decode_integers(read, numbers.shape, largest, zeros, places),
    )


def _decode_unless_refused(decode: Callable[..., tuple[Numbers, int]], *asked: Any) -> list[Numbers]:
    """Return what came of bytes, nothing if they are refused."""
    try:
        return [decode(*asked)[0]]
    except UserError:
        return []
