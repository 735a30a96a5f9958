import pytest

from convarium.coding.varint import decode_varint, encode_varint
from convarium.errors import UserError


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**62])
def test_a_number_comes_back(number: int) -> None:
    data = encode_varint(number)
    assert decode_varint(memoryview(data + b"\xff")) == (number, len(data))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\xff" * 20])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UserError):
        decode_varint(memoryview(data))
