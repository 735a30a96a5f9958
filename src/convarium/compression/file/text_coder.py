"""Short text as arithmetic code, each bit by what followed the bytes before it, here and in a fixed sample.

A context's estimate is its own counts and half a count of the next shorter context's (a Dirichlet hierarchy: Teh 2006,
in binary). The sample is counted first, so that what is usual costs next to nothing. It is part of the file format.
"""

from functools import cache

from convarium.compression.file.range_coder import HIGH, LEAST, LOW, ONE, PLACE, begin, step, tail
from convarium.compression.file.varint import read_varint, varint
from convarium.errors import UserError

Counts = dict[bytes, dict[int, int]]
ORDERS = (1, 3, 6)
MOST = 1 << 16
SAMPLE = (
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


def pack(text: bytes) -> bytes:
    """Code text: its length (varint) and a stream."""
    data = bytearray(len(text) * 12 + 16)
    state = [0] * 5
    begin(state, data, 0)
    _code(state, data, bytearray(text))
    return varint(len(text)) + bytes(data[: state[PLACE]]) + tail(state[LOW], state[HIGH])


def unpack(data: memoryview, longest: int) -> bytes:
    """Decode all of `data`, a text of at most `longest` bytes.

    Raises:
        UserError: it is not what `pack` makes.
    """
    length, first = read_varint(data)
    if length > longest:
        raise UserError("a coded text is too long")
    text, state, coded = bytearray(length), [0] * 5, data[first:]
    begin(state, coded, 1)
    _code(state, coded, text)
    last = tail(state[LOW], state[HIGH])
    if bytes(coded[max(0, state[PLACE] - 4) :]) != last:
        raise UserError("a coded text is cut or damaged")
    return bytes(text)


def _code(state: list[int], data: bytearray | memoryview, text: bytearray) -> None:
    """Code each byte of `text`, or decode it into its place."""
    sampled = _sampled()
    counts: Counts = {}
    before = SAMPLE[-ORDERS[-1] :]
    for place, byte in enumerate(text):
        if state[PLACE] > len(data) + 8:
            raise UserError("a coded text ends too early")
        found = _contexts(counts, before, sampled)
        node = 1
        for bit in range(7, -1, -1):
            one = step(state, data, [_estimate(found, node)], [0], 0, byte >> bit & 1)
            _count(found, node, one)
            node = node * 2 | one
        text[place] = node & 255
        before = before[1:] + text[place : place + 1]


def _contexts(counts: Counts, before: bytes, sampled: Counts) -> list[dict[int, int]]:
    """What followed the last bytes `before`: by the bits so far of a byte, zeros << 20 | ones.

    Counts begin as those of the sample; of more than MOST contexts nothing is kept.
    """
    found = []
    for order in ORDERS:
        key = before[len(before) - order :]
        own = counts.get(key)
        if own is None:
            own = dict(sampled.get(key, ()))
            if len(counts) < MOST:
                counts[key] = own
        found.append(own)
    return found


def _estimate(found: list[dict[int, int]], node: int) -> int:
    odd = ONE // 2
    for own in found:
        if node in own:
            zeros, ones = divmod(own[node], 1 << 20)
            odd = (2 * ones * ONE + odd) // (2 * (zeros + ones) + 1)
    return min(max(odd, LEAST), ONE - LEAST)


def _count(found: list[dict[int, int]], node: int, one: int) -> None:
    for own in found:
        own[node] = own.get(node, 0) + (1 if one else 1 << 20)


@cache
def _sampled() -> Counts:
    """The counts after the sample."""
    counts: Counts = {}
    text = bytes(ORDERS[-1]) + SAMPLE
    for place, byte in enumerate(SAMPLE):
        found = _contexts(counts, text[place : place + ORDERS[-1]], {})
        for bit in range(7, -1, -1):
            _count(found, (256 | byte) >> bit + 1, byte >> bit & 1)
    return counts
