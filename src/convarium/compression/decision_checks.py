"""What a decider owes: checked before anything is changed, so that a mistake of an outside one is a line."""

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


def check_decision(decided: Any, decider: str) -> Decision:
    """Return what a decider decided.

    Raises:
        UserError: no Decision or mapping of Representations, or a representation from outside that does not round trip.
    """
    found = Decision(representations=decided) if isinstance(decided, Mapping) else decided
    if not isinstance(found, Decision):
        raise UserError(f"{decider} returned {type(decided).__name__}, expected a Decision or {{name: Representation}}")
    _check_mapping(found.representations, Representation, f"{decider} returned a representation")
    _check_mapping(found.values, Tensor, f"{decider} returned a value")
    if not isinstance(found.edits, Sequence):
        raise UserError(f"{decider} returned edits of type {type(found.edits).__name__}, expected a list")
    edits.check_surgery(list(found.edits))
    for site, representation in found.representations.items():
        if find_named_packages(representation.to_spec()):
            _check_round_trip(representation, f"site {site}: representation {representation.kind} does not round trip")
    return found


def _check_mapping(given: Any, kind: type, owner: str) -> None:
    if not isinstance(given, Mapping):
        raise UserError(f"{owner} that is {type(given).__name__}, expected {{name: {kind.__name__}}}")
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, kind):
            raise UserError(f"{owner} for {str(name)[:80]!r} that is {type(value).__name__}, expected {kind.__name__}")


def _check_round_trip(representation: Representation, owner: str) -> None:
    """Encode it and decode the bytes: every bit of the tensor must come back, and no byte be left."""
    try:
        spec = json.loads(json.dumps(representation.to_spec()))
        writer = SiteWriter()
        representation.encode(representation.stored_tensors, writer)
        reader = SiteReader(memoryview(bytes(writer.data)))
        with torch.device("meta"):
            again = representations.build_representation(spec, representation.shape)
        again.decode(reader)
        same = _get_raw_bytes(again.materialise()) == _get_raw_bytes(representation.materialise())
    except Exception as error:
        said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        raise UserError(f"{owner}: {' '.join(said.split())[:200]}") from None
    if reader.data or not same:
        what = f"{len(reader.data)} bytes are left over" if reader.data else "other values come back"
        raise UserError(f"{owner}: {what}")


def _get_raw_bytes(dense: Tensor) -> bytes:
    return dense.detach().contiguous().numpy().tobytes()
