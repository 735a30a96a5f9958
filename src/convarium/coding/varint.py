"""Whole numbers in as few bytes as they need, seven bits in each, the lowest ones first (LEB128)."""

from convarium.errors import UserError


def encode_varint(number: int) -> bytes:
    """Encode a number >= 0."""
    encoded = bytearray()
    while number >= 128:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def decode_varint(data: memoryview) -> tuple[int, int]:
    """Decode the number at the start of `data`, below 2**63; also return how many bytes it took.

    Raises:
        UserError: `data` ends too early, or the number has needless bytes or more than nine.
    """
    number = 0
    for index, byte in enumerate(data[:9]):
        number |= (byte & 127) << 7 * index
        if byte < 128:
            if not byte and index:
                raise UserError("a number has needless bytes")
            return number, index + 1
    raise UserError("a number is too long or cut")
