"""A stored result is reused only for exactly what is asked."""

import sys
from collections.abc import Iterable
from typing import Any

from convarium.errors import UserError
from convarium.host.provenance import hash_source
from convarium.planning.plan import Node, Plan
from convarium.store.signature import canonical_json
from convarium.store.store import Store


def check_stored_inputs(plan: Plan, store: Store, signatures: Iterable[str]) -> None:
    """Compare what is stored at `signatures` with what the plan asks for.

    Raises:
        UserError: a result was made from something else than its signature says.
    """
    for signature in signatures:
        record = store.find_record(signature)
        if record is not None and format_record_inputs(record) != _node_inputs_json(plan.nodes[signature]):
            folder = store.find_folder(signature)
            raise UserError(f"{folder}: done.json tells another config than the one asked for; move the folder away")


def print_source_warning(store: Store, signatures: Iterable[str]) -> None:
    """Print one line on stderr if stored results were made by other source than this."""
    records = [store.find_record(signature) for signature in signatures]
    changed = sum(record is not None and record.get("source") != hash_source() for record in records)
    if changed:
        print(f"convarium: {changed} stored results were made by other source code than this", file=sys.stderr)


def format_record_inputs(record: dict[str, Any]) -> str:
    """Return all that a result was made from, as canonical JSON."""
    return canonical_json([record[key] for key in ("stage", "version", "stage_config", "parents", "fingerprint")])


def _node_inputs_json(node: Node) -> str:
    return canonical_json([node.stage, node.version, node.stage_config, list(node.parents), node.fingerprint])
