"""Stored results that are used again: that they are what a plan asks for, and intact."""

import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from convarium.errors import UserError
from convarium.host.provenance import hash_source
from convarium.noun_count import format_noun_count
from convarium.planning.plan import Node, Plan
from convarium.store.result_folder import ResultFolder
from convarium.store.result_record import format_repair_hint
from convarium.store.signature import canonical_json
from convarium.store.store import Store

DIGEST_BYTES = 32  # sha256, at the end of every compressed file


def check_stored_inputs(plan: Plan, store: Store, signatures: Iterable[str]) -> None:
    """Compare the inputs of stored results with those of the plan's nodes.

    A signature is the start of a hash of these inputs, so they differ only if a record was changed or moved, or two
    hashes collide.

    Raises:
        UserError: a result was made from other inputs than the node of its signature has.
    """
    for signature in signatures:
        record = store.find_record(signature)
        if record is None:
            continue
        if format_record_inputs(record) != _format_node_inputs(plan.nodes[signature]):
            folder = store.find_folder(signature)
            raise UserError(f"{folder}: done.json tells another config than the one asked for; move the folder away")


def print_source_warning(store: Store, signatures: Iterable[str]) -> None:
    """Print one line on stderr if stored results were made by other source code than this; they stay valid."""
    records = [store.find_record(signature) for signature in signatures]
    other_source_count = sum(record is not None and record.get("source") != hash_source() for record in records)
    if other_source_count:
        results = format_noun_count(other_source_count, "stored result")
        were = "was" if other_source_count == 1 else "were"
        print(f"convarium: {results} {were} made by other source code than this", file=sys.stderr)


def format_damaged_parent_hint(line: str, parents: Iterable[str], store: Store) -> str:
    """Return what to do about a parent's damaged network where an error's `line` names its file, else ""."""
    for signature in parents:
        folder = store.find_folder(signature)
        if folder is None:
            continue
        network_file = ResultFolder(folder).network
        if str(network_file) in line and not _is_network_intact(network_file):
            return f"; {format_repair_hint(folder)}"
    return ""


def format_record_inputs(record: dict[str, Any]) -> str:
    """Return the inputs of a result, those that its signature hashes, as canonical JSON."""
    inputs = [record[key] for key in ("stage", "version", "stage_config", "parents", "fingerprint")]
    return canonical_json(inputs)


def _format_node_inputs(node: Node) -> str:
    inputs = [node.stage, node.version, node.stage_config, list(node.parents), node.fingerprint]
    return canonical_json(inputs)


def _is_network_intact(network: Path) -> bool:
    """Whether a compressed file exists and ends with the digest of all bytes before it."""
    if not network.is_file():
        return False
    data = network.read_bytes()
    return sha256(data[:-DIGEST_BYTES]).digest() == data[-DIGEST_BYTES:]
