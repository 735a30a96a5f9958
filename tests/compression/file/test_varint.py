import pytest

from convarium.compression.file.varint import read_varint, varint
from convarium.errors import UserError


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**62])
def test_a_number_comes_back(number: int) -> None:
    data = varint(number)
    assert read_varint(memoryview(data + b"\xff")) == (number, len(data))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\xff" * 20])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UserError):
        read_varint(memoryview(data))
