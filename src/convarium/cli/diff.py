"""`convarium diff SIG [OTHER]`: in which keys a result differs from its nearest neighbour, or from a given one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli.arguments import Arguments
from convarium.errors import UserError
from convarium.store.disk import uncollected

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]
Done = Mapping[str, Any]


@uncollected()
def main(argv: Sequence[str]) -> int:
    """Print the keys in which a stored result differs from another, those of what they were made from included."""
    parser = Arguments(
        "diff", "Print what makes a result another one than its nearest of the same stage, or than OTHER."
    )
    parser.usage = "convarium diff SIGNATURE [OTHER] [key=value ...] [options]"
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options, prefix = parser.read_with("signature", argv, further=1)
    from convarium.cli import output
    from convarium.cli.stored import store_named

    store = store_named(options.overrides)
    done = _done(store, prefix)
    others = [_done(store, text) for text in options.further]
    if any(other["signature"] == done["signature"] for other in others):
        raise UserError(f"{options.further[0]} is the same result; name another one")
    found = nearest(done, others or store.results(done["stage"]), store)
    if options.json:
        output.document(found)
    else:
        _show(found)
    return 0


def nearest(done: Done, others: Iterable[Done], store: "Store") -> Json:
    """Return the other result with the fewest differing keys, and those keys with both values, null where not set.

    Keys are those that are typed, wherever on the way from training they were set. Those of a method that only one of
    two chains holds count for how near they are; of what differs then, `compression` tells. As near as another seed,
    another value of a key comes first.
    """
    identities, told = Identities(store), done["signature"]
    pairs = [(identities.differing(done, other), other) for other in others if other["signature"] != told]
    differs, other = min(pairs, key=lambda pair: (len(pair[0]), "seed" in pair[0], pair[1]["name"]), default=({}, None))
    differs = identities.shared(differs, done, other) if other else {}
    named = {key: done[key] for key in ("signature", "stage", "name")}
    return {**named, "nearest": other and {key: other[key] for key in ("signature", "name")}, "differs": differs}


class Identities:
    """Tells what a result follows from: its config by the keys that are typed, and the versions of its stages."""

    def __init__(self, store: "Store") -> None:
        from convarium.cli.conditions import Configs

        self._store, self._configs = store, Configs(store)

    def differing(self, one: Done, other: Done) -> Json:
        """Return the differing keys with both values."""
        here, there = self._of(one), self._of(other)
        return {key: [here.get(key), there.get(key)] for key in {**here, **there} if here.get(key) != there.get(key)}

    def shared(self, differs: Json, one: Done, other: Done) -> Json:
        """Leave out the keys of methods that only one of them has; tell the parents where nothing is left."""
        alone = set(self._of(one)["compression"]) ^ set(self._of(other)["compression"])
        kept = {key: both for key, both in differs.items() if not _is_of(key, alone)}
        return kept or {"parents": [one["parents"], other["parents"]]}

    def _of(self, done: Done) -> Json:
        versions: Json = {}
        record: Done | None = done
        while record is not None:
            versions[f"version of {record['stage']}"] = record["version"]
            record = self._store.done(record["parents"][0]) if record["parents"] else None
        return {**self._configs.of(done), **versions, "stage": done["stage"], "fingerprint": done["fingerprint"]}


def _is_of(key: str, methods: set[str]) -> bool:
    return key.startswith("compression.") and key.split(".")[1] in methods


def _done(store: "Store", prefix: str) -> Done:
    signature = store.resolve(prefix)
    done = store.done(signature)
    if done is None:
        raise UserError(f"{signature} is not done; `convarium show {signature}` says why")
    return done


def _show(found: Json) -> None:
    if found["nearest"] is None:
        print(f"{found['signature']} {found['name']}: the only result of stage {found['stage']}")
        return
    print(f"{found['signature']} {found['name']}, nearest {found['nearest']['signature']} {found['nearest']['name']}:")
    for key, (here, there) in found["differs"].items():
        print(f"  {key}: {_told(here)} here, {_told(there)} there")


def _told(value: Any) -> str:
    from convarium.config.words import shown

    return "not set" if value is None else shown(value)
