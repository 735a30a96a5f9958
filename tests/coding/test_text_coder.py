import random

import pytest

from convarium.coding import text_coder
from convarium.coding.varint import encode_varint
from convarium.errors import UserError

HEADER = (
    b'{"architecture":{"img_size":28,"in_chans":1,"kwargs":{},"name":"lenet5","num_classes":10,"source":"own",'
    b'"stem":"native"},"mean":[0.13061517],"std":[0.30805032],"task":"classification"}'
)


@pytest.mark.parametrize("text", [b"", b"{", bytes(range(256)), HEADER, HEADER * 5, "Käse, 茶".encode()])
def test_text_comes_back(text: bytes) -> None:
    assert text_coder.decode_text(memoryview(text_coder.encode_text(text)), len(text)) == text


def test_what_is_usual_costs_next_to_nothing() -> None:
    assert len(text_coder.encode_text(HEADER)) < 25
    assert len(text_coder.encode_text(text_coder.SAMPLE_TEXT)) < 60
    assert len(text_coder.encode_text(random.Random(0).randbytes(500))) < 580


def test_the_format_stays_what_it_is() -> None:
    assert text_coder.encode_text(HEADER).hex() == "b801902979c70bf8b93e185644a3097e"


def test_other_bytes_are_refused() -> None:
    data = text_coder.encode_text(HEADER)
    for end in range(len(data)):
        with pytest.raises(UserError):
            text_coder.decode_text(memoryview(data[:end]), 1000)
    with pytest.raises(UserError):
        text_coder.decode_text(memoryview(data + b"\0"), 1000)


def test_a_text_longer_than_the_limit_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(UserError, match="too long"):
        text_coder.decode_text(memoryview(encode_varint(1 << 40) + b"\0" * 20), 1 << 17)
