"""What a decider owes: checked before anything is changed, so that a mistake of an outside one is a line."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from convarium.compression import edits, representations
from convarium.compression.deciders.view import Decision
from convarium.compression.file.streams import Reader, Writer
from convarium.compression.representations.base import Representation
from convarium.errors import UserError
from convarium.names import packages


def decision(decided: Any, decider: str) -> Decision:
    """Return what a decider decided.

    Raises:
        UserError: no Decision or mapping of Representations, or a representation from outside that does not round trip.
    """
    found = Decision(representations=decided) if isinstance(decided, Mapping) else decided
    if not isinstance(found, Decision):
        raise UserError(f"{decider} returned {type(decided).__name__}, expected a Decision or {{name: Representation}}")
    _check(found.representations, Representation, f"{decider} returned a representation")
    _check(found.values, Tensor, f"{decider} returned a value")
    if not isinstance(found.edits, Sequence):
        raise UserError(f"{decider} returned edits of type {type(found.edits).__name__}, expected a list")
    edits.check(list(found.edits))
    for site, representation in found.representations.items():
        if packages(representation.spec()):
            _check_round_trip(representation, f"site {site}: representation {representation.kind} does not round trip")
    return found


def _check(given: Any, kind: type, owner: str) -> None:
    if not isinstance(given, Mapping):
        raise UserError(f"{owner} that is {type(given).__name__}, expected {{name: {kind.__name__}}}")
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, kind):
            raise UserError(f"{owner} for {str(name)[:80]!r} that is {type(value).__name__}, expected {kind.__name__}")


def _check_round_trip(representation: Representation, owner: str) -> None:
    """Encode it and decode the bytes: every bit of the tensor must come back, and no byte be left."""
    try:
        spec = json.loads(json.dumps(representation.spec()))
        writer = Writer()
        representation.encode(representation.stored, writer)
        reader = Reader(memoryview(bytes(writer.data)))
        with torch.device("meta"):
            again = representations.from_spec(spec, representation.shape)
        again.decode(reader)
        same = _bits(again.materialised()) == _bits(representation.materialised())
    except Exception as error:
        said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        raise UserError(f"{owner}: {' '.join(said.split())[:200]}") from None
    if reader.data or not same:
        what = f"{len(reader.data)} bytes are left over" if reader.data else "other values come back"
        raise UserError(f"{owner}: {what}")


def _bits(dense: Tensor) -> bytes:
    return dense.detach().contiguous().numpy().tobytes()
