"""Arithmetic code for short text: each bit is predicted by what followed the same bytes before, here and in a sample.

A context's estimate is its own counts and half a count of the next shorter context's (a Dirichlet hierarchy: Teh 2006,
in binary). The sample is counted first, so that common text costs next to nothing; it is part of the file format.
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
CONTEXT_LENGTHS = (1, 3, 6)  # bytes before the one that is coded
MAX_CONTEXTS = 1 << 16  # bounds the memory that a stranger's file can take
ONE_ZERO_BIT = 1 << 20  # zeros and ones are counted in one number, which keeps the tables small
# Headers with every source of architectures, every representation and coder, and a surgery.
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
    """Return the length of the text (varint) and a stream."""
    data = bytearray(len(text) * 12 + 16)  # eight bits a byte, at most twelve coded bits each
    state = [0] * 5
    start_stream(state, data, 0)
    _code_text(state, data, bytearray(text))
    tail = compute_stream_tail(state[LOW], state[HIGH])
    return encode_varint(len(text)) + bytes(data[: state[NEXT_BYTE]]) + tail


def decode_text(data: memoryview, max_bytes: int) -> bytes:
    """Decode all of `data`, a text of at most `max_bytes` bytes.

    Raises:
        UserError: it is not what `encode_text` makes.
    """
    length, begin = decode_varint(data)
    if length > max_bytes:
        raise UserError("a coded text is too long")
    stream = data[begin:]
    text = bytearray(length)
    state = [0] * 5
    start_stream(state, stream, 1)
    _code_text(state, stream, text)
    tail = compute_stream_tail(state[LOW], state[HIGH])
    if bytes(stream[max(0, state[NEXT_BYTE] - 4) :]) != tail:  # the decoder is four bytes ahead
        raise UserError("a coded text is cut or damaged")
    return bytes(text)


def _code_text(state: list[int], data: bytearray | memoryview, text: bytearray) -> None:
    """Code each byte of `text`, or decode it and store it there."""
    sample_counts = _count_sample()
    counts: ContextCounts = {}
    last_bytes = SAMPLE_TEXT[-CONTEXT_LENGTHS[-1] :]
    for index, byte in enumerate(text):
        # Past its end a stream reads as zeros: a cut one must not be decoded to the length that it claims.
        if state[NEXT_BYTE] > len(data) + 8:
            raise UserError("a coded text ends too early")
        contexts = _find_contexts(counts, last_bytes, sample_counts)
        node = 1  # in a binary tree: a one, then the bits so far of this byte
        for bit in range(7, -1, -1):
            probability = _estimate_probability(contexts, node)
            # Its own table for each bit: the coder's adaptation is not used, the counts here take its place.
            coded_bit = code_bit(state, data, [probability], [0], 0, byte >> bit & 1)
            _count_bit(contexts, node, coded_bit)
            node = node * 2 | coded_bit
        text[index] = node & 255
        last_bytes = last_bytes[1:] + text[index : index + 1]


def _find_contexts(counts: ContextCounts, last_bytes: bytes, sample_counts: ContextCounts) -> list[dict[int, int]]:
    """Return the counts of each context that `last_bytes` end with, the shortest first.

    Counts map a node (a one, then the bits so far of the byte that follows) to ONE_ZERO_BIT * zeros + ones. They begin
    as those of the sample. Once there are MAX_CONTEXTS contexts, new ones are not kept.
    """
    contexts = []
    for length in CONTEXT_LENGTHS:
        key = last_bytes[len(last_bytes) - length :]
        context = counts.get(key)
        if context is None:
            context = dict(sample_counts.get(key, ()))
            if len(counts) < MAX_CONTEXTS:
                counts[key] = context
        contexts.append(context)
    return contexts


def _estimate_probability(contexts: list[dict[int, int]], node: int) -> int:
    """Return the probability of a one after the bits of `node`, in units of PROBABILITY_ONE."""
    probability = PROBABILITY_ONE // 2
    for context in contexts:
        if node in context:
            zeros, ones = divmod(context[node], ONE_ZERO_BIT)
            # (ones + probability / 2) / (zeros + ones + 1 / 2): the shorter context counts as half a bit.
            probability = (2 * ones * PROBABILITY_ONE + probability) // (2 * (zeros + ones) + 1)
    return min(max(probability, MIN_PROBABILITY), PROBABILITY_ONE - MIN_PROBABILITY)


def _count_bit(contexts: list[dict[int, int]], node: int, bit: int) -> None:
    for context in contexts:
        context[node] = context.get(node, 0) + (1 if bit else ONE_ZERO_BIT)


@cache
def _count_sample() -> ContextCounts:
    """Return the counts after the sample."""
    counts: ContextCounts = {}
    longest = CONTEXT_LENGTHS[-1]
    padded = bytes(longest) + SAMPLE_TEXT
    for index, byte in enumerate(SAMPLE_TEXT):
        contexts = _find_contexts(counts, padded[index : index + longest], {})
        for bit in range(7, -1, -1):
            node = (256 | byte) >> bit + 1
            _count_bit(contexts, node, byte >> bit & 1)
    return counts
