"""Every coder's stream of today is read tomorrow; those of our own coders are written alike, too."""

from hashlib import sha256

import pytest
import torch
from torch import Tensor

from convarium.coding.site_streams import CODERS, SiteReader, SiteWriter

SHAPE = (40, 90)
SIZE = 40 * 90
NUMBERS = [(place * place * 7919 + place * 104_729) % 1_000_003 for place in range(SIZE)]
KEPT = torch.tensor([place for place, number in enumerate(NUMBERS) if number % 10 == 0])
WHOLE = torch.tensor([number % 31 - 15 for number in NUMBERS]).view(SHAPE)
FLOATS = torch.tensor([(number % 255 - 127) / 64 for number in NUMBERS])


def write_stream(coder: str) -> SiteWriter:
    writer = SiteWriter(coder)
    writer.write_positions("indices", KEPT, SHAPE)
    writer.write_symbols("weights", WHOLE.flatten()[KEPT] + 15, 31)
    writer.write_integers("weights", WHOLE, 15, True)
    writer.write_values("codebooks", FLOATS)
    return writer


def read_stream(coder: str, data: bytes) -> list[Tensor]:
    reader = SiteReader(memoryview(data), coder)
    return [
        reader.read_positions("indices", len(KEPT), SHAPE),
        reader.read_symbols("weights", len(KEPT), 31),
        reader.read_integers("weights", SHAPE, 15, True),
        reader.read_values("codebooks", SIZE, torch.float32),
    ]


def assert_is_read_back(coder: str, data: bytes) -> None:
    kept, symbols, whole, floats = read_stream(coder, data)
    assert torch.equal(kept, KEPT)
    assert torch.equal(symbols.long(), WHOLE.flatten()[KEPT] + 15)
    assert torch.equal(whole.long(), WHOLE)
    assert torch.equal(floats, FLOATS)


@pytest.mark.parametrize(
    ("coder", "digest"),
    [("fixed", "520167119f0fe3cd"), ("huffman", "5541b963eacee22f"), ("arithmetic", "96cd1106eff9a911")],
)
def test_a_stream_of_our_own_coders_stays_what_it_is(coder: str, digest: str) -> None:
    data = bytes(write_stream(coder).data)
    assert sha256(data).hexdigest()[:16] == digest
    assert_is_read_back(coder, data)


def test_a_stream_of_lzma_is_read_whichever_version_wrote_it() -> None:
    """Another liblzma may write other bytes, so only a stream that was kept is held, not how it is written now."""
    kept = bytes.fromhex("15e000ff000d0000000054e82a601c8fb127b8000000")
    reader = SiteReader(memoryview(kept), "xz")
    assert reader.read_integers("weights", (8, 32), 3, True).flatten().tolist() == [
        place % 7 - 3 for place in range(256)
    ]
    assert_is_read_back("xz", bytes(write_stream("xz").data))


def test_every_coder_has_a_stream_that_is_held() -> None:
    assert set(CODERS) == {"fixed", "huffman", "arithmetic", "xz"}
