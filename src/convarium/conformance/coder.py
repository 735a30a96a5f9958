"""What every coder must do."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np
import pytest

from convarium.coding.coder import MAX_INTEGER, Coder, Numbers, Places
from convarium.conformance.cases import TRAILING_BYTES, list_cut_lengths, parametrize_cases
from convarium.errors import UserError

Decode = Callable[[memoryview], tuple[Any, int]]


@dataclass(frozen=True)
class CodingCase:
    """Numbers, how they are encoded, and how their bytes are decoded."""

    numbers: Any
    encode: Callable[[], bytes]
    decode: Decode


class CoderSuite:
    """Inherit it and give `coders`: instances of `convarium.coding.coder.Coder` by a name for test ids."""

    coders: ClassVar[Mapping[str, Coder]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        parametrize_cases(metafunc, coder=self.coders, generate_cases=CASE_GENERATORS)

    def test_numbers_come_back_and_their_own_bytes_are_taken(
        self, coder: Coder, generate_cases: "CaseGenerator"
    ) -> None:
        for case in generate_cases(coder):
            data = case.encode()
            decoded, byte_count = case.decode(memoryview(data + TRAILING_BYTES))
            assert byte_count == len(data)
            assert has_same_numbers(decoded, case.numbers)

    def test_the_same_numbers_give_the_same_bytes(self, coder: Coder, generate_cases: "CaseGenerator") -> None:
        assert [case.encode() for case in generate_cases(coder)] == [case.encode() for case in generate_cases(coder)]

    def test_truncated_bytes_are_refused(self, coder: Coder, generate_cases: "CaseGenerator") -> None:
        for case in generate_cases(coder):
            data = case.encode()
            for length in list_cut_lengths(len(data), 6):
                with pytest.raises(UserError):
                    case.decode(memoryview(data)[:length])

    def test_bytes_of_a_stranger_are_refused_or_numbers_that_were_asked_for(self, coder: Coder) -> None:
        generator = np.random.default_rng(0)
        for byte_count in (0, 1, 2, 3, 8, 40) * 8:
            data = memoryview(generator.bytes(byte_count))
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
    """Yield bytes of values of 1, 4 and 8 bytes each."""
    generator = np.random.default_rng(0)
    for item_bytes, count in ((1, 1), (4, 0), (4, 37), (8, 5)):
        yield _build_value_case(coder, generator.bytes(item_bytes * count), item_bytes)


def generate_symbol_cases(coder: Coder) -> Iterator[CodingCase]:
    """Yield symbols of alphabets of 1 to 65,536: none, drawn evenly, mostly one of them, only the last."""
    generator = np.random.default_rng(0)
    for alphabet_size in (1, 2, 3, 31, 256, 65_536):
        is_first = generator.random(200) < 0.9
        mostly_first = np.where(is_first, 0, generator.integers(0, alphabet_size, 200))
        none = np.zeros(0, dtype=np.int64)
        even = generator.integers(0, alphabet_size, 300)
        for symbols in (none, even, mostly_first, np.full(9, alphabet_size - 1)):
            yield _build_symbol_case(coder, symbols, alphabet_size)


def generate_position_cases(coder: Coder) -> Iterator[CodingCase]:
    """Yield positions in tensors of odd shapes: none, the first, the last, some, all."""
    for shape in ((), (1,), (0, 4), (7,), (13, 5), (4, 3, 3, 5), (9_377, 7)):
        for positions in _list_position_choices(prod(shape)):
            yield _build_position_case(coder, positions, shape)


def generate_integer_cases(coder: Coder) -> Iterator[CodingCase]:
    """Yield signed whole numbers, with and without zeros, of whole tensors and of some positions."""
    generator = np.random.default_rng(0)
    for largest, zeros in ((0, True), (1, True), (1, False), (3, True), (15, False), (127, True), (MAX_INTEGER, False)):
        for shape in ((), (1,), (0, 4), (7,), (13, 5), (6, 3, 3, 3)):
            numbers = _draw_integers(generator, shape, largest, zeros)
            yield _build_integer_case(coder, numbers, largest, zeros, None)
            yield _build_integer_case(coder, numbers, largest, zeros, Places(None, shape))
        numbers = _draw_integers(generator, (20,), largest, zeros)
        positions = np.sort(generator.permutation(65)[:20])
        yield _build_integer_case(coder, numbers, largest, zeros, Places(positions, (13, 5)))


CASE_GENERATORS: Mapping[str, CaseGenerator] = {
    "values": generate_value_cases,
    "symbols": generate_symbol_cases,
    "positions": generate_position_cases,
    "integers": generate_integer_cases,
}


def has_same_numbers(decoded: Any, numbers: Any) -> bool:
    """Whether the same numbers came back, in the same shape."""
    if isinstance(numbers, bytes):
        return bytes(decoded) == numbers
    return np.shape(decoded) == np.shape(numbers) and bool((np.asarray(decoded) == numbers).all())


def _list_position_choices(size: int) -> list[Numbers]:
    none = np.zeros(0, dtype=np.int64)
    if size == 0:
        return [none]
    first, last = np.array([0]), np.array([size - 1])
    shuffled = np.random.default_rng(0).permutation(size)
    some = np.sort(shuffled[: min(size // 3, 1000)])
    choices = [none, first, last, some]
    if size < 1000:
        choices.append(np.arange(size))
    return choices


def _draw_integers(generator: np.random.Generator, shape: tuple[int, ...], largest: int, zeros: bool) -> Numbers:
    magnitudes = generator.integers(0 if zeros else 1, largest + 1, shape)
    return np.asarray(magnitudes * generator.choice([-1, 1], shape))


def _build_value_case(coder: Coder, data: bytes, item_bytes: int) -> CodingCase:
    return CodingCase(
        data,
        lambda: coder.encode_values(data, item_bytes, None),
        lambda read: coder.decode_values(read, len(data), item_bytes, None),
    )


def _build_symbol_case(coder: Coder, symbols: Numbers, alphabet_size: int) -> CodingCase:
    return CodingCase(
        symbols,
        lambda: coder.encode_symbols(symbols, alphabet_size, None),
        lambda read: coder.decode_symbols(read, len(symbols), alphabet_size, None),
    )


def _build_position_case(coder: Coder, positions: Numbers, shape: tuple[int, ...]) -> CodingCase:
    return CodingCase(
        positions,
        lambda: coder.encode_positions(positions, shape),
        lambda read: coder.decode_positions(read, len(positions), shape),
    )


def _build_integer_case(coder: Coder, numbers: Numbers, largest: int, zeros: bool, places: Places | None) -> CodingCase:
    return CodingCase(
        numbers,
        lambda: coder.encode_integers(numbers, largest, zeros, places),
        lambda read: coder.decode_integers(read, numbers.shape, largest, zeros, places),
    )


def _decode_unless_refused(decode: Callable[..., tuple[Numbers, int]], *arguments: Any) -> list[Numbers]:
    """Return a list of the decoded numbers, an empty one where the coder refuses the bytes."""
    try:
        numbers, _ = decode(*arguments)
    except UserError:
        return []
    return [numbers]
