"""What every coder must do."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np
import pytest

from convarium.compression.file.coder import LARGEST, Coder, Numbers, Places
from convarium.conformance.cases import each
from convarium.errors import UserError

BEHIND = b"\xff\x00\x7f"
Decode = Callable[[memoryview], tuple[Any, int]]


@dataclass(frozen=True)
class Case:
    """Numbers, and the two ways that must lead there and back."""

    numbers: Any
    encode: Callable[[], bytes]
    decode: Decode


class CoderSuite:
    """Inherit it and give `coders`: instances of `convarium.compression.file.coder.Coder`, by a name for people."""

    coders: ClassVar[Mapping[str, Coder]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        each(metafunc, coder=self.coders, kind=KINDS)

    def test_numbers_come_back_and_their_own_bytes_are_taken(self, coder: Coder, kind: "Kind") -> None:
        for case in kind(coder):
            data = case.encode()
            numbers, used = case.decode(memoryview(data + BEHIND))
            assert used == len(data)
            assert same(numbers, case.numbers)

    def test_the_same_numbers_give_the_same_bytes(self, coder: Coder, kind: "Kind") -> None:
        assert [case.encode() for case in kind(coder)] == [case.encode() for case in kind(coder)]

    def test_truncated_bytes_are_refused(self, coder: Coder, kind: "Kind") -> None:
        for case in kind(coder):
            data = case.encode()
            for length in {*range(0, len(data), -(-len(data) // 6) or 1), len(data) - 1} & {*range(len(data))}:
                with pytest.raises(UserError):
                    case.decode(memoryview(data)[:length])

    def test_bytes_of_a_stranger_are_refused_or_numbers_that_were_asked_for(self, coder: Coder) -> None:
        drawn = np.random.default_rng(0)
        for size in (0, 1, 2, 3, 8, 40) * 8:
            data = memoryview(drawn.bytes(size))
            for symbols in _tried(coder.decode_symbols, data, 20, 5, None):
                assert len(symbols) == 20
                assert 0 <= symbols.min() <= symbols.max() < 5
            for positions in _tried(coder.decode_positions, data, 9, (7, 5)):
                assert len(positions) == 9
                assert 0 <= positions[0] <= positions[-1] < 35
                assert (np.diff(positions) > 0).all()
            for integers in _tried(coder.decode_integers, data, (3, 4), 3, False, None):
                assert integers.shape == (3, 4)
                assert integers.all()
                assert np.abs(integers).max() <= 3


Kind = Callable[[Coder], Iterator[Case]]


def values(coder: Coder) -> Iterator[Case]:
    """Bytes of numbers of 1, 4 and 8 bytes."""
    drawn = np.random.default_rng(0)
    for item, count in ((1, 1), (4, 0), (4, 37), (8, 5)):
        yield _values(coder, drawn.bytes(item * count), item)


def symbols(coder: Coder) -> Iterator[Case]:
    """Whole numbers of alphabets from 1 to 65,536 symbols: even, one far more often than others, only one of them."""
    drawn = np.random.default_rng(0)
    for size in (1, 2, 3, 31, 256, 65_536):
        often = np.where(drawn.random(200) < 0.9, 0, drawn.integers(0, size, 200))
        for numbers in (drawn.integers(0, size, 0), drawn.integers(0, size, 300), often, np.full(9, size - 1)):
            yield _symbols(coder, numbers, size)


def positions(coder: Coder) -> Iterator[Case]:
    """None, all, the first, the last, some, in tensors of odd shapes."""
    for shape in ((), (1,), (0, 4), (7,), (13, 5), (4, 3, 3, 5), (9_377, 7)):
        for chosen in _chosen(prod(shape)):
            yield _positions(coder, chosen, shape)


def integers(coder: Coder) -> Iterator[Case]:
    """Signed whole numbers, with and without zeros, of whole tensors and of those at some positions."""
    drawn = np.random.default_rng(0)
    for largest, zeros in ((0, True), (1, True), (1, False), (3, True), (15, False), (127, True), (LARGEST, False)):
        for shape in ((), (1,), (0, 4), (7,), (13, 5), (6, 3, 3, 3)):
            numbers = _signed(drawn, shape, largest, zeros)
            yield _integers(coder, numbers, largest, zeros, None)
            yield _integers(coder, numbers, largest, zeros, Places(None, shape))
        numbers = _signed(drawn, (20,), largest, zeros)
        kept = np.sort(drawn.permutation(65)[:20])
        yield _integers(coder, numbers, largest, zeros, Places(kept, (13, 5)))


KINDS: Mapping[str, Kind] = {"values": values, "symbols": symbols, "positions": positions, "integers": integers}


def same(found: Any, numbers: Any) -> bool:
    """Whether the same numbers came back, in the same shape."""
    if isinstance(numbers, bytes):
        return bytes(found) == numbers
    return np.shape(found) == np.shape(numbers) and bool((np.asarray(found) == numbers).all())


def _chosen(size: int) -> list[Numbers]:
    drawn = np.random.default_rng(0)
    some = np.sort(drawn.permutation(size)[: min(size // 3, 1000)])
    ends = [np.array([place]) for place in (0, size - 1) if size]
    every = [np.arange(size)] if size < 1000 else []
    return [np.zeros(0, dtype=np.int64), *ends, some, *every]


def _signed(drawn: np.random.Generator, shape: tuple[int, ...], largest: int, zeros: bool) -> Numbers:
    sizes = drawn.integers(0 if zeros else 1, largest + 1, shape)
    return np.asarray(sizes * drawn.choice([-1, 1], shape))


def _values(coder: Coder, data: bytes, item: int) -> Case:
    return Case(
        data,
        lambda: coder.encode_values(data, item, None),
        lambda read: coder.decode_values(read, len(data), item, None),
    )


def _symbols(coder: Coder, numbers: Numbers, size: int) -> Case:
    return Case(
        numbers,
        lambda: coder.encode_symbols(numbers, size, None),
        lambda read: coder.decode_symbols(read, len(numbers), size, None),
    )


def _positions(coder: Coder, chosen: Numbers, shape: tuple[int, ...]) -> Case:
    return Case(
        chosen,
        lambda: coder.encode_positions(chosen, shape),
        lambda read: coder.decode_positions(read, len(chosen), shape),
    )


def _integers(coder: Coder, numbers: Numbers, largest: int, zeros: bool, places: Places | None) -> Case:
    return Case(
        numbers,
        lambda: coder.encode_integers(numbers, largest, zeros, places),
        lambda read: coder.decode_integers(read, numbers.shape, largest, zeros, places),
    )


def _tried(decode: Callable[..., tuple[Numbers, int]], *asked: Any) -> list[Numbers]:
    """Return what came of bytes, nothing if they are refused."""
    try:
        return [decode(*asked)[0]]
    except UserError:
        return []
