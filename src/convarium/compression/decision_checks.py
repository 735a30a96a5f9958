"""Checks of what a decider returns, before the network is changed, so that an outside decider fails with one line."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from convarium import edits, representations
from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.compression.deciders.interface import Decision
from convarium.errors import UserError
from convarium.lookup import find_named_packages
from convarium.representations.base import Representation

# What outside code can put into an error's one line.
MAX_NAME_CHARS = 80
MAX_REASON_CHARS = 200


def check_decision(answer: Any, decider: str) -> Decision:
    """Return what a decider answered, as a Decision.

    Args:
        answer: a Decision, or the representations alone by site.
        decider: name of the decider, for messages.

    Raises:
        UserError: `answer` is neither, holds values of other types or an invalid edit, or an outside package's
            representation does not survive encoding and decoding.
    """
    decision = Decision(representations=answer) if isinstance(answer, Mapping) else answer
    if not isinstance(decision, Decision):
        raise UserError(f"{decider} returned {type(answer).__name__}, expected a Decision or {{name: Representation}}")
    _check_mapping(decision.representations, Representation, f"{decider} returned a representation")
    _check_mapping(decision.values, Tensor, f"{decider} returned a value")
    if not isinstance(decision.edits, Sequence):
        raise UserError(f"{decider} returned edits of type {type(decision.edits).__name__}, expected a list")
    edits.check_surgery(list(decision.edits))
    for site, representation in decision.representations.items():
        # Only those of outside packages: the conformance tests check the round trip of ours.
        if find_named_packages(representation.to_spec()):
            _check_round_trip(representation, f"site {site}: representation {representation.kind} does not round trip")
    return decision


def _check_mapping(mapping: Any, kind: type, message_start: str) -> None:
    if not isinstance(mapping, Mapping):
        raise UserError(f"{message_start} that is {type(mapping).__name__}, expected {{name: {kind.__name__}}}")
    for name, value in mapping.items():
        if not isinstance(name, str) or not isinstance(value, kind):
            shown_name = str(name)[:MAX_NAME_CHARS]
            raise UserError(
                f"{message_start} for {shown_name!r} that is {type(value).__name__}, expected {kind.__name__}"
            )


def _check_round_trip(representation: Representation, message_start: str) -> None:
    """Encode a representation and decode its bytes: every bit of the tensor must come back, and every byte be read."""
    try:
        # Through JSON, as the file's header takes it: tuples become lists, keys become strings.
        spec = json.loads(json.dumps(representation.to_spec()))
        writer = SiteWriter()
        representation.encode(representation.stored_tensors, writer)
        reader = SiteReader(memoryview(bytes(writer.data)))
        with torch.device("meta"):
            decoded = representations.build_representation(spec, representation.shape)
        decoded.decode(reader)
        decoded_bytes = _get_raw_bytes(decoded.materialise())
        original_bytes = _get_raw_bytes(representation.materialise())
    except Exception as error:  # outside code may raise anything
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        one_line = " ".join(reason.split())
        raise UserError(f"{message_start}: {one_line[:MAX_REASON_CHARS]}") from None
    if reader.data:
        raise UserError(f"{message_start}: {len(reader.data)} bytes are left over")
    if decoded_bytes != original_bytes:
        raise UserError(f"{message_start}: other values come back")


def _get_raw_bytes(dense: Tensor) -> bytes:
    """Bytes of a tensor: unlike `torch.equal`, they tell -0 from 0 and find NaN equal to itself."""
    return dense.detach().contiguous().numpy().tobytes()
