"""Checks of what a decider returns, before anything is changed, so that a mistake of an outside one is a line."""

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

MAX_NAME_CHARS = 80
MAX_REASON_CHARS = 200


def check_decision(answer: Any, decider: str) -> Decision:
    """Return what the decider of that name answered, as a whole decision.

    Raises:
        UserError: no Decision or mapping of Representations, or a representation from outside that does not round trip.
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
        # The conformance tests hold ours to it.
        if find_named_packages(representation.to_spec()):
            _check_round_trip(representation, f"site {site}: representation {representation.kind} does not round trip")
    return decision


def _check_mapping(mapping: Any, kind: type, message_start: str) -> None:
    if not isinstance(mapping, Mapping):
        raise UserError(f"{message_start} that is {type(mapping).__name__}, expected {{name: {kind.__name__}}}")
    for name, value in mapping.items():
        if not isinstance(name, str) or not isinstance(value, kind):
            place = f"for {str(name)[:MAX_NAME_CHARS]!r} that is {type(value).__name__}"
            raise UserError(f"{message_start} {place}, expected {kind.__name__}")


def _check_round_trip(representation: Representation, message_start: str) -> None:
    """Encode it and decode the bytes: every bit of the tensor must come back, and no byte be left."""
    try:
        spec = json.loads(json.dumps(representation.to_spec()))
        writer = SiteWriter()
        representation.encode(representation.stored_tensors, writer)
        reader = SiteReader(memoryview(bytes(writer.data)))
        with torch.device("meta"):
            decoded = representations.build_representation(spec, representation.shape)
        decoded.decode(reader)
        is_equal = _get_raw_bytes(decoded.materialise()) == _get_raw_bytes(representation.materialise())
    except Exception as error:  # whatever outside code may raise
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        raise UserError(f"{message_start}: {' '.join(reason.split())[:MAX_REASON_CHARS]}") from None
    if reader.data:
        raise UserError(f"{message_start}: {len(reader.data)} bytes are left over")
    if not is_equal:
        raise UserError(f"{message_start}: other values come back")


def _get_raw_bytes(dense: Tensor) -> bytes:
    return dense.detach().contiguous().numpy().tobytes()
