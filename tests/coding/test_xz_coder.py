import lzma

import pytest
import torch

from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.coding.varint import encode_varint
from convarium.coding.xz_coder import _build_lzma_filter
from convarium.errors import UserError


def test_equal_values_take_few_bytes_and_noise_as_many_as_it_has() -> None:
    writer = SiteWriter("xz")
    writer.write_values("weights", torch.full((5000,), 0.25))
    assert len(writer.data) < 100
    writer = SiteWriter("xz")
    writer.write_values("weights", torch.randint(0, 256, (500,), dtype=torch.uint8))
    assert len(writer.data) == 501


def test_trained_values_are_told_apart_byte_by_byte() -> None:
    """The exponents of weights repeat; a filter that didn't know of four-byte values would miss it."""
    writer = SiteWriter("xz")
    writer.write_values("weights", torch.randn(5000) * 0.05)
    assert len(writer.data) < 0.95 * 20_000


@pytest.mark.parametrize(
    "packed",
    [
        b"no stream at all",
        b"\x01",
        lzma.compress(b"\0" * 41, lzma.FORMAT_RAW, filters=[_build_lzma_filter(4)]),
        b"\x05\0\0",
    ],
)
def test_other_streams_are_refused(packed: bytes) -> None:
    with pytest.raises(UserError):
        SiteReader(memoryview(encode_varint(len(packed)) + packed), "xz").read_values("weights", 10, torch.float32)


def test_a_stream_of_far_more_than_was_asked_for_is_refused_soon() -> None:
    packed = lzma.compress(b"\0" * (1 << 26), lzma.FORMAT_RAW, filters=[_build_lzma_filter(4)])
    assert len(packed) < 20_000
    with pytest.raises(UserError, match="another length"):
        SiteReader(memoryview(encode_varint(len(packed)) + packed), "xz").read_values("weights", 10, torch.float32)
