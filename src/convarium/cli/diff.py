"""`convarium diff SIG [OTHER]`: in which keys a result differs from its nearest neighbour, or from a given one."""

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
    """Print the keys in which a stored result differs from another, those of what they were made from included."""
    options, prefix = build_parser().parse_with_word("signature", argv, further=1)
    from convarium.cli import output
    from convarium.compose.named_store import open_named_store

    store = open_named_store(options.overrides)
    done = _read_record(store, prefix)
    others = [_read_record(store, text) for text in options.further]
    if any(other["signature"] == done["signature"] for other in others):
        raise UserError(f"{options.further[0]} is the same result; name another one")
    found = find_nearest_result(done, others or store.read_records(done["stage"]), store)
    if options.json:
        output.print_json(found)
    else:
        _print_differences(found)
    return 0


def find_nearest_result(record: Record, others: Iterable[Record], store: "Store") -> Json:
    """Return the other result with the fewest differing keys, and those keys with both values, null where not set.

    Keys are those that are typed, wherever on the way from training they were set. Those of a method that only one of
    two chains holds count for how near they are; of what differs then, `compression` tells. As near as another seed,
    another value of a key comes first.
    """
    identities, told = ResultKeys(store), record["signature"]
    pairs = [(identities.find_differing_keys(record, other), other) for other in others if other["signature"] != told]
    differs, other = min(pairs, key=lambda pair: (len(pair[0]), "seed" in pair[0], pair[1]["name"]), default=({}, None))
    differs = identities.drop_unshared_knobs(differs, record, other) if other else {}
    named = {key: record[key] for key in ("signature", "stage", "name")}
    return {**named, "nearest": other and {key: other[key] for key in ("signature", "name")}, "differs": differs}


class ResultKeys:
    """Tells what a result follows from: its config by the keys that are typed, and the versions of its stages."""

    def __init__(self, store: "Store") -> None:
        from convarium.cli.result_configs import ResultConfigs

        self._store, self._configs = store, ResultConfigs(store)

    def find_differing_keys(self, one: Record, other: Record) -> Json:
        """Return the differing keys with both values."""
        here, there = self._collect_keys(one), self._collect_keys(other)
        return {key: [here.get(key), there.get(key)] for key in {**here, **there} if here.get(key) != there.get(key)}

    def drop_unshared_knobs(self, differs: Json, one: Record, other: Record) -> Json:
        """Leave out the keys of methods that only one of them has; tell the parents where nothing is left."""
        alone = set(self._collect_keys(one)["compression"]) ^ set(self._collect_keys(other)["compression"])
        kept = {key: both for key, both in differs.items() if not _is_knob_of(key, alone)}
        return kept or {"parents": [one["parents"], other["parents"]]}

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
    done = store.find_record(signature)
    if done is None:
        raise UserError(f"{signature} is not done; `convarium show {signature}` says why")
    return done


def _print_differences(found: Json) -> None:
    if found["nearest"] is None:
        print(f"{found['signature']} {found['name']}: the only result of stage {found['stage']}")
        return
    print(f"{found['signature']} {found['name']}, nearest {found['nearest']['signature']} {found['nearest']['name']}:")
    for key, (here, there) in found["differs"].items():
        print(f"  {key}: {_format_optional_value(here)} here, {_format_optional_value(there)} there")


def _format_optional_value(value: Any) -> str:
    from convarium.config.messages import format_value

    return "not set" if value is None else format_value(value)
