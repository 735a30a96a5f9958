"""What every coder promises of every kind of number: it comes back, and no stream that was changed does harm."""

import random
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convarium.coding.site_streams import CODERS, SiteReader, SiteWriter
from convarium.errors import UserError

Piece = tuple[Callable[[SiteWriter], None], Callable[[SiteReader], torch.Tensor], torch.Tensor]
SHAPES = [(0,), (1,), (7,), (), (1, 1), (3, 1, 5), (20, 1, 5, 5), (17, 33), (300, 4), (2, 900)]


def signed(shape: tuple[int, ...], largest: int, density: float, seed: int = 0) -> torch.Tensor:
    """Whole numbers of -largest..largest, of which a share is not 0."""
    drawn = np.random.default_rng(seed)
    values = drawn.integers(1, largest + 1, shape) * drawn.choice([-1, 1], shape) * (drawn.random(shape) < density)
    return torch.from_numpy(np.asarray(values))


def integers(values: torch.Tensor, largest: int, zeros: bool) -> Piece:
    return (
        lambda writer: writer.write_integers("weights", values, largest, zeros),
        lambda reader: reader.read_integers("weights", values.shape, largest, zeros),
        values.to(torch.int32),
    )


def symbols(values: torch.Tensor, size: int) -> Piece:
    return (
        lambda writer: writer.write_symbols("weights", values, size),
        lambda reader: reader.read_symbols("weights", len(values), size),
        values.to(torch.int32),
    )


def positions(kept: torch.Tensor, shape: tuple[int, ...]) -> Piece:
    return (
        lambda writer: writer.write_positions("indices", kept, shape),
        lambda reader: reader.read_positions("indices", len(kept), shape),
        kept,
    )


def floats(values: torch.Tensor) -> Piece:
    return (
        lambda writer: writer.write_values("weights", values),
        lambda reader: reader.read_values("weights", values.numel(), values.dtype),
        values.flatten(),
    )


def written(coder: str, *pieces: Piece) -> bytes:
    writer = SiteWriter(coder)
    for write, _, _ in pieces:
        write(writer)
    return bytes(writer.data)


def assert_back(coder: str, *pieces: Piece) -> bytes:
    """All pieces come back one after another, and exactly their bytes are taken."""
    data = written(coder, *pieces)
    reader = SiteReader(memoryview(data + b"\x9emore"), coder)
    for _, read, expected in pieces:
        assert torch.equal(read(reader), expected)
    assert bytes(reader.data) == b"\x9emore"
    assert reader.bytes_by_kind.total() == len(data)
    return data


def sparse(values: torch.Tensor, largest: int) -> tuple[Piece, ...]:
    """A tensor as its positions and what lies there."""
    kept = values.flatten().nonzero().flatten()
    return positions(kept, tuple(values.shape)), integers(values.flatten()[kept], largest, False)


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("density", [0.0, 0.05, 0.6, 1.0])
def test_tensors_of_odd_shapes_come_back(shape: tuple[int, ...], density: float, coder: str) -> None:
    for largest in (1, 3, 15, 16, 17, 127):
        values = signed(shape, largest, density)
        assert_back(coder, integers(values, largest, True))
        assert_back(coder, *sparse(values, largest))
        ids = values.flatten() + largest
        assert_back(coder, symbols(ids, 2 * largest + 1), integers(values, largest, True))


@pytest.mark.parametrize("coder", CODERS)
def test_extreme_and_equal_values_come_back(coder: str) -> None:
    extreme = torch.tensor([32767, -32767, 0, 1, -1, 32767])
    assert_back(coder, integers(extreme, 32767, True))
    assert_back(coder, integers(torch.full((4, 50), -5), 5, False))
    assert_back(coder, integers(torch.zeros(4, 50, dtype=torch.int64), 9, True))
    assert_back(coder, symbols(torch.full((99,), 65535), 65536), symbols(torch.zeros(99, dtype=torch.int64), 1))
    assert_back(coder, positions(torch.tensor([999_999]), (1000, 1000)), positions(torch.tensor([0]), (1,)))
    assert_back(
        coder, floats(torch.tensor([float("nan"), float("inf"), -0.0])[1:]), floats(torch.tensor([True, False]))
    )
    assert_back(coder, floats(torch.zeros(0)), floats(torch.arange(3)), floats(torch.randn(50, 3)))


@settings(max_examples=60, deadline=None)
@given(
    coder=st.sampled_from(list(CODERS)),
    shape=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    largest=st.sampled_from([1, 2, 3, 7, 15, 40, 300]),
    density=st.floats(0, 1),
    seed=st.integers(0, 10**6),
)
def test_any_tensor_comes_back(coder: str, shape: list[int], largest: int, density: float, seed: int) -> None:
    values = signed(tuple(shape), largest, density, seed)
    numbers = values.flatten()[values.flatten() != 0] / 3
    assert_back(coder, sparse(values, largest)[0], floats(numbers.float()), floats(numbers.float()), floats(values))
    data = assert_back(coder, integers(values, largest, True), *sparse(values, largest))
    assert data == written(coder, integers(values, largest, True), *sparse(values, largest))


@pytest.mark.parametrize(
    "wrong", [([4], 3, True), ([0], 3, False), ([1], 0, True), ([], 0, False), ([1], 40_000, True)]
)
def test_integers_outside_of_their_range_are_the_callers_mistake(wrong: tuple[list[int], int, bool]) -> None:
    with pytest.raises(ValueError, match="whole numbers must lie in"):
        SiteWriter().write_integers("weights", torch.tensor(wrong[0], dtype=torch.int64), *wrong[1:])


@pytest.mark.parametrize("coder", CODERS)
def test_a_stream_that_ends_early_is_refused(coder: str) -> None:
    values = signed((60, 40), 7, 0.1)
    for piece in (*sparse(values, 7), integers(values, 7, True), symbols(values.flatten() + 7, 15), floats(values)):
        data = written(coder, piece)
        for end in range(0, len(data), 1 + len(data) // 40):
            with pytest.raises(UserError):
                piece[1](SiteReader(memoryview(data[:end]), coder))


@pytest.mark.parametrize("coder", CODERS)
def test_a_changed_stream_is_refused_or_gives_numbers_in_their_range(coder: str) -> None:
    values, drawn = signed((60, 40), 7, 0.1), random.Random(0)
    kept = sparse(values, 7)[0]
    for piece, low, high in (
        (integers(values, 7, True), -7, 7),
        (symbols(values.flatten() + 7, 15), 0, 14),
        (kept, 0, 2399),
    ):
        data = written(coder, piece)
        for _ in range(60):
            wrong = bytearray(data)
            wrong[drawn.randrange(len(wrong))] ^= drawn.randrange(1, 256)
            found = _read(piece, bytes(wrong), coder)
            if found is not None:
                assert found.shape == piece[2].shape
                assert low <= int(found.min()) <= int(found.max()) <= high
                assert piece is not kept or bool((found.diff() > 0).all())


def _read(piece: Piece, data: bytes, coder: str) -> torch.Tensor | None:
    try:
        return piece[1](SiteReader(memoryview(data), coder))
    except UserError:
        return None


@pytest.mark.parametrize("coder", CODERS)
def test_a_few_bytes_of_noise_never_take_long_or_give_anything_but_numbers(coder: str) -> None:
    drawn = random.Random(1)
    for size in (0, 1, 2, 5, 20, 100):
        noise = bytes(drawn.randrange(256) for _ in range(size))
        shape: Any = (50, 50)
        for piece in (
            positions(torch.arange(60), shape),
            integers(signed(shape, 7, 1), 7, True),
            symbols(torch.arange(99), 99),
        ):
            found = _read(piece, noise, coder)
            assert found is None or found.numel() in (60, prod(shape), 99)
