"""Whole numbers in as many bytes as they need, seven bits a byte, lowest first (LEB128)."""

from convarium.errors import UserError


def encode_varint(number: int) -> bytes:
    """Encode a number >= 0."""
    encoded = bytearray()
    while number >= 128:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def decode_varint(data: memoryview) -> tuple[int, int]:
    """Decode the number at the start of `data`, below 2**63; also return how many bytes it took.

    Raises:
        UserError: `data` ends before, or the number has needless bytes.
    """
    number = 0
    for place, byte in enumerate(data[:9]):
        number |= (byte & 127) << 7 * place
        if byte < 128:
            if not byte and place:
                raise UserError("a number has needless bytes")
            return number, place + 1
    raise UserError("a number is too long or cut")
