"""Short text as arithmetic code, each bit by what followed the bytes before it, here and in a fixed sample.

A context's estimate is its own counts and half a count of the next shorter context's (a Dirichlet hierarchy: Teh 2006,
in binary). The sample is counted first, so that what is usual costs next to nothing. It is part of the file format.
"""

from functools import cache

from convarium.coding.range_coder import (
    HIGH,
    LOW,
    MIN_PROBABILITY,
    NEXT_BYTE,
    PROBABILITY_ONE,
    code_bit,
    compute_stream_tail,
    start_stream,
)
from convarium.coding.varint import decode_varint, encode_varint
from convarium.errors import UserError

ContextCounts = dict[bytes, dict[int, int]]
CONTEXT_LENGTHS = (1, 3, 6)
MAX_CONTEXTS = 1 << 16
SAMPLE_TEXT = (
    b'{"architecture":{"img_size":224,"in_chans":3,"kwargs":{},"name":"mobilenetv3_small","num_classes":10,'
    b'"source":"torchvision","stem":"native"},"mean":[0.5,0.5,0.5],"sites":[0,{"channels":1,"coder":"arithmetic",'
    b'"kind":"levels","largest":127,"zeros":1},0,{"coder":"arithmetic","kind":"shared","size":16},0,'
    b'{"coder":"arithmetic","inner":{"channels":1,"kind":"levels","largest":1,"zeros":0},"kind":"sparse",'
    b'"nonzeros":20816}],"std":[0.25,0.25,0.25],"task":"classification"}{"architecture":{"img_size":32,"in_chans":3,'
    b'"kwargs":{},"name":"resnet20","num_classes":10,"source":"timm","stem":"small"},"classes":["cat","dog"],'
    b'"mean":[0.485,0.456,0.406],"sites":[0,0,0,{"coder":"arithmetic","kind":"binary"},{"coder":"huffman",'
    b'"inner":{"kind":"dense"},"kind":"sparse","nonzeros":563},{"coder":"xz","kind":"dense"}],'
    b'"std":[0.229,0.224,0.225],"task":"classification"}{"architecture":{"img_size":28,"in_chans":1,"kwargs":{},'
    b'"name":"lenet5","num_classes":10,"source":"own","stem":"native"},"mean":[0.1307],"sites":[{"channels":1,'
    b'"coder":"arithmetic","kind":"levels","largest":15,"zeros":1},{"coder":"arithmetic","inner":{"channels":1,'
    b'"kind":"levels","largest":3,"zeros":0},"kind":"sparse","nonzeros":4071},0,{"coder":"arithmetic",'
    b'"inner":{"kind":"shared","size":64},"kind":"sparse","nonzeros":982},{"channels":1,"coder":"arithmetic",'
    b'"kind":"levels","largest":7,"zeros":1}],"std":[0.3081],"surgery":[{"layers":{"conv1":[1,10],"fc1":[160,500]},'
    b'"op":"resize"},{"form":"channel","op":"factor","ranks":{"conv1":5,"fc1":30}}],"task":"classification"}'
    b'{"architecture":{"img_size":28,"in_chans":1,"kwargs":{},"name":"lenet300_100","num_classes":10,"source":"own",'
    b'"stem":"native"},"mean":[0.1307],"std":[0.3081],"task":"classification"}'
)


def encode_text(text: bytes) -> bytes:
    """Code text: its length (varint) and a stream."""
    data = bytearray(len(text) * 12 + 16)
    state = [0] * 5
    start_stream(state, data, 0)
    _code_text(state, data, bytearray(text))
    return encode_varint(len(text)) + bytes(data[: state[NEXT_BYTE]]) + compute_stream_tail(state[LOW], state[HIGH])


def decode_text(data: memoryview, max_bytes: int) -> bytes:
    """Decode all of `data`, a text of at most `max_bytes` bytes.

    Raises:
        UserError: it is not what `encode_text` makes.
    """
    length, first = decode_varint(data)
    if length > max_bytes:
        raise UserError("a coded text is too long")
    text, state, coded = bytearray(length), [0] * 5, data[first:]
    start_stream(state, coded, 1)
    _code_text(state, coded, text)
    last = compute_stream_tail(state[LOW], state[HIGH])
    if bytes(coded[max(0, state[NEXT_BYTE] - 4) :]) != last:
        raise UserError("a coded text is cut or damaged")
    return bytes(text)


def _code_text(state: list[int], data: bytearray | memoryview, text: bytearray) -> None:
    """Code each byte of `text`, or decode it into its place."""
    sampled = _count_sample()
    counts: ContextCounts = {}
    before = SAMPLE_TEXT[-CONTEXT_LENGTHS[-1] :]
    for place, byte in enumerate(text):
        if state[NEXT_BYTE] > len(data) + 8:
            raise UserError("a coded text ends too early")
        found = _find_contexts(counts, before, sampled)
        node = 1
        for bit in range(7, -1, -1):
            one = code_bit(state, data, [_estimate_probability(found, node)], [0], 0, byte >> bit & 1)
            _count_bit(found, node, one)
            node = node * 2 | one
        text[place] = node & 255
        before = before[1:] + text[place : place + 1]


def _find_contexts(counts: ContextCounts, before: bytes, sampled: ContextCounts) -> list[dict[int, int]]:
    """What followed the last bytes `before`: by the bits so far of a byte, zeros << 20 | ones.

    Counts begin as those of the sample; of more than MAX_CONTEXTS contexts nothing is kept.
    """
    found = []
    for order in CONTEXT_LENGTHS:
        key = before[len(before) - order :]
        own = counts.get(key)
        if own is None:
            own = dict(sampled.get(key, ()))
            if len(counts) < MAX_CONTEXTS:
                counts[key] = own
        found.append(own)
    return found


def _estimate_probability(found: list[dict[int, int]], node: int) -> int:
    odd = PROBABILITY_ONE // 2
    for own in found:
        if node in own:
            zeros, ones = divmod(own[node], 1 << 20)
            odd = (2 * ones * PROBABILITY_ONE + odd) // (2 * (zeros + ones) + 1)
    return min(max(odd, MIN_PROBABILITY), PROBABILITY_ONE - MIN_PROBABILITY)


def _count_bit(found: list[dict[int, int]], node: int, one: int) -> None:
    for own in found:
        own[node] = own.get(node, 0) + (1 if one else 1 << 20)


@cache
def _count_sample() -> ContextCounts:
    """The counts after the sample."""
    counts: ContextCounts = {}
    text = bytes(CONTEXT_LENGTHS[-1]) + SAMPLE_TEXT
    for place, byte in enumerate(SAMPLE_TEXT):
        found = _find_contexts(counts, text[place : place + CONTEXT_LENGTHS[-1]], {})
        for bit in range(7, -1, -1):
            _count_bit(found, (256 | byte) >> bit + 1, byte >> bit & 1)
    return counts
