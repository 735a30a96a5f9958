"""Ascending positions as gaps (Han et al. 2016, "Deep Compression", section 2), without the paper's filler weights.

With width g, a symbol below 2**g - 1 is the number of zeros before the next weight; 2**g - 1 stands for that many zeros
and no weight. Width 1 is a bitmap: 0 is a weight, 1 a zero.
"""

import numpy as np
from numpy.typing import NDArray

from convarium.coding.fixed_width import Symbols
from convarium.errors import UserError

MAX_GAP_BITS = 15  # as many symbols as a Huffman code of 15 bits can have


def encode_gaps(positions: NDArray[np.int64], width: int) -> Symbols:
    """Return the gaps of ascending positions as symbols of `width` bits."""
    skip = (1 << width) - 1
    gaps = np.diff(positions, prepend=-1) - 1
    skips, rest = np.divmod(gaps, skip)
    symbols = np.full(len(positions) + int(skips.sum()), skip, dtype=np.uint16)
    symbols[np.cumsum(skips + 1) - 1] = rest
    return symbols


def count_gap_symbols(positions: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Return how often each symbol of `encode_gaps` occurs."""
    skip = (1 << width) - 1
    gaps = np.diff(positions, prepend=-1) - 1
    skips, rest = np.divmod(gaps, skip)
    counts = np.bincount(rest, minlength=skip + 1)
    counts[skip] = int(skips.sum())
    return counts


def decode_gaps(symbols: Symbols, width: int, nonzeros: int, size: int) -> NDArray[np.int64]:
    """Return the positions of `nonzeros` weights among `size` values.

    Raises:
        UserError: another number of weights, one outside, or a skip with no weight after it.
    """
    skip = (1 << width) - 1
    positions: NDArray[np.int64] = np.flatnonzero(symbols != skip)
    if len(positions) != nonzeros or (len(symbols) and symbols[-1] == skip):
        raise UserError("positions don't match the number of nonzeros")
    rest = symbols[positions]
    # In place, for they may be millions: first the skips before each weight, then the zeros that these stand for.
    positions -= np.arange(nonzeros)
    positions *= skip
    positions += np.arange(nonzeros)
    positions += np.cumsum(rest, dtype=np.int64)
    if len(positions) and positions[-1] >= size:
        raise UserError("a position lies outside of its tensor")
    return positions
