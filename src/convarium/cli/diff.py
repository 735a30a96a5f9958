"""`convarium diff SIG [OTHER]`: the keys in which a result differs from the most similar one, or from a given one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.errors import UserError
from convarium.store.disk import pause_gc

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]
Record = Mapping[str, Any]


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser(
        "diff", "Print what makes a result another one than its nearest of the same stage, or than OTHER."
    )
    parser.usage = "convarium diff SIGNATURE [OTHER] [key=value ...] [options]"
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


@pause_gc()
def main(argv: Sequence[str]) -> int:
    """Print the keys in which a stored result, or a network that it was made from, differs from another."""
    options, prefix = build_parser().parse_with_word("signature", argv, further=1)
    from convarium.cli import output
    from convarium.compose.named_store import open_named_store

    store = open_named_store(options.overrides)
    record = _read_record(store, prefix)
    others = [_read_record(store, other_prefix) for other_prefix in options.further]
    if any(other["signature"] == record["signature"] for other in others):
        raise UserError(f"{options.further[0]} is the same result; name another one")
    document = find_nearest_result(record, others or store.read_records(record["stage"]), store)
    if options.json:
        output.print_json(document)
    else:
        _print_differences(document)
    return 0


def find_nearest_result(record: Record, others: Iterable[Record], store: "Store") -> Json:
    """Return the other result with the fewest differing keys, and those keys with both values, null where not set.

    Keys are those that are typed, of all stages from training on. Knobs of a method that only one of the two chains has
    count as differences, but are not returned: `compression` says it. Of two results that are equally near, one with
    another value comes before one with another seed.
    """
    document = {key: record[key] for key in ("signature", "stage", "name")}
    result_keys = ResultKeys(store)
    candidates = [
        (result_keys.find_differing_keys(record, other), other)
        for other in others
        if other["signature"] != record["signature"]
    ]
    if not candidates:
        return {**document, "nearest": None, "differs": {}}
    differences, nearest = min(
        candidates, key=lambda candidate: (len(candidate[0]), "seed" in candidate[0], candidate[1]["name"])
    )
    return {
        **document,
        "nearest": {key: nearest[key] for key in ("signature", "name")},
        "differs": result_keys.drop_unshared_knobs(differences, record, nearest),
    }


class ResultKeys:
    """What results follow from: their configs by the keys that are typed, and the versions of their stages."""

    def __init__(self, store: "Store") -> None:
        from convarium.cli.result_configs import ResultConfigs

        self._store, self._configs = store, ResultConfigs(store)

    def find_differing_keys(self, first: Record, second: Record) -> Json:
        """Return the differing keys with both values."""
        first_keys, second_keys = self._collect_keys(first), self._collect_keys(second)
        differences = {}
        for key in {**first_keys, **second_keys}:
            values = [first_keys.get(key), second_keys.get(key)]
            if values[0] != values[1]:
                differences[key] = values
        return differences

    def drop_unshared_knobs(self, differences: Json, first: Record, second: Record) -> Json:
        """Return the differences without knobs of methods that only one result has; the parents if none are left."""
        first_methods = set(self._collect_keys(first)["compression"])
        unshared_methods = first_methods ^ set(self._collect_keys(second)["compression"])
        kept = {key: values for key, values in differences.items() if not _is_knob_of(key, unshared_methods)}
        return kept or {"parents": [first["parents"], second["parents"]]}

    def _collect_keys(self, result: Record) -> Json:
        chain = self._store.walk_chain(result["signature"])
        versions = {f"version of {record['stage']}": record["version"] for record in chain}
        return {
            **self._configs.flatten_config(result),
            **versions,
            "stage": result["stage"],
            "fingerprint": result["fingerprint"],
        }


def _is_knob_of(key: str, methods: set[str]) -> bool:
    return key.startswith("compression.") and key.split(".")[1] in methods


def _read_record(store: "Store", prefix: str) -> Record:
    signature = store.resolve_signature(prefix)
    record = store.find_record(signature)
    if record is None:
        raise UserError(f"{signature} is not done; `convarium show {signature}` says why")
    return record


def _print_differences(document: Json) -> None:
    nearest = document["nearest"]
    if nearest is None:
        print(f"{document['signature']} {document['name']}: the only result of stage {document['stage']}")
        return
    print(f"{document['signature']} {document['name']}, nearest {nearest['signature']} {nearest['name']}:")
    for key, (here, there) in document["differs"].items():
        print(f"  {key}: {_format_optional_value(here)} here, {_format_optional_value(there)} there")


def _format_optional_value(value: Any) -> str:
    from convarium.config.messages import format_value

    return "not set" if value is None else format_value(value)
