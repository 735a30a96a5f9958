import numpy as np
import pytest
import torch

from convarium.coding import position_gaps
from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.errors import UserError


def some(size: int, density: float) -> np.ndarray:
    return np.flatnonzero(np.random.default_rng(0).random(size) < density)


@pytest.mark.parametrize("width", range(1, position_gaps.MAX_GAP_BITS + 1))
@pytest.mark.parametrize("positions", [some(5000, 0.08), some(9000, 0.001), np.arange(50), np.array([70_000])])
def test_positions_come_back(positions: np.ndarray, width: int) -> None:
    symbols = position_gaps.encode_gaps(positions, width)
    assert position_gaps.decode_gaps(symbols, width, len(positions), 70_001).tolist() == positions.tolist()
    assert (
        position_gaps.count_gap_symbols(positions, width).tolist()
        == np.bincount(symbols, minlength=1 << width).tolist()
    )


def test_a_long_gap_is_skipped_without_a_weight() -> None:
    assert position_gaps.encode_gaps(np.array([2, 10]), 2).tolist() == [2, 3, 3, 1]


def test_width_one_is_a_bitmap() -> None:
    assert position_gaps.encode_gaps(np.array([0, 2, 3]), 1).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("coder", ["fixed", "huffman"])
@pytest.mark.parametrize("density", [0.5, 0.1, 0.01])
def test_the_width_that_takes_the_fewest_bytes_is_chosen(density: float, coder: str) -> None:
    positions = some(20_000, density)
    sizes = {}
    for width in range(1, position_gaps.MAX_GAP_BITS + 1):
        sizes[width] = len(
            SiteWriter(coder).coder.encode_symbols(position_gaps.encode_gaps(positions, width), 1 << width, None)
        )
    writer = SiteWriter(coder)
    writer.write_positions("indices", torch.from_numpy(positions), (20_000,))
    assert writer.data[0] in [width for width in sizes if sizes[width] == min(sizes.values())]
    assert len(writer.data) <= min(sizes.values()) + 4


@pytest.mark.parametrize(
    ("symbols", "nonzeros", "size"), [([0, 1], 1, 9), ([0, 3], 1, 9), ([3, 3, 0], 1, 6), ([0, 2], 2, 3)]
)
def test_symbols_that_no_positions_give_are_refused(symbols: list[int], nonzeros: int, size: int) -> None:
    with pytest.raises(UserError):
        position_gaps.decode_gaps(np.array(symbols, dtype=np.uint8), 2, nonzeros, size)


@pytest.mark.parametrize("start", [b"\x00\x00", b"\x10\x00", b"\x02\xff\xff\xff\xff\x0f", b"\x0f\x01"])
def test_impossible_widths_and_numbers_of_skips_are_refused(start: bytes) -> None:
    with pytest.raises(UserError):
        SiteReader(memoryview(start + b"\0" * 8)).read_positions("indices", 4, (10, 10))
