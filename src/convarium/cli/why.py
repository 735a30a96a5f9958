"""`convarium why SIG [OTHER]`: which keys make a result another one than its nearest neighbour, or than a given one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli.arguments import Arguments
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]
Done = Mapping[str, Any]


def main(argv: Sequence[str]) -> int:
    """Print the keys in which a stored result differs from another, those of what they were made from included."""
    parser = Arguments(
        "why", "Print what makes a result another one than its nearest of the same stage, or than OTHER."
    )
    parser.usage = "convarium why SIGNATURE [OTHER] [key=value ...] [options]"
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options, prefix = parser.read_with("signature", argv, further=1)
    from convarium.cli import output
    from convarium.cli.stored import store_named

    store = store_named(options.overrides)
    done = _done(store, prefix)
    others = [_done(store, text) for text in options.further]
    found = nearest(done, others or store.results(done["stage"]), store)
    if options.json:
        output.document(found)
    else:
        _show(found, store)
    return 0


def nearest(done: Done, others: Iterable[Done], store: "Store") -> Json:
    """Return the other result with the fewest differing keys, and those keys with both values.

    A key of a parent, or of a parent's parent, stands behind the parent's place: `parents.0.recipe.lr`. Parents that
    are the same result differ in nothing; a pair that is met twice is told once.
    """
    differences = Differences(store)
    pairs = [(differences.of(done, other), other) for other in others if other["signature"] != done["signature"]]
    differs, other = min(pairs, key=lambda pair: (len(pair[0]), pair[1]["name"]), default=({}, None))
    named = {key: done[key] for key in ("signature", "stage", "name")}
    return {**named, "nearest": other and {key: other[key] for key in ("signature", "name")}, "differs": differs}


class Differences:
    """Finds what differs between results, and between what they were made from."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def of(self, one: Done, other: Done) -> Json:
        """Return the differing keys with both values."""
        return dict(self._of(one, other, set()))

    def _of(self, one: Done, other: Done, met: set[tuple[str, str]]) -> Iterator[tuple[str, list[Any]]]:
        yield from _differing(_identity(one), _identity(other))
        for place in range(max(len(one["parents"]), len(other["parents"]))):
            pair = _at(one["parents"], place), _at(other["parents"], place)
            if pair[0] != pair[1] and pair not in met:
                met.add(pair)
                for key, both in self._parents(*pair, met):
                    yield f"parents.{place}{key}", both

    def _parents(self, one: str, other: str, met: set[tuple[str, str]]) -> Iterator[tuple[str, list[Any]]]:
        here, there = self._store.done(one), self._store.done(other)
        if here is None or there is None or here["stage"] != there["stage"]:
            yield "", [_named(here, one), _named(there, other)]
        else:
            yield from ((f".{key}", both) for key, both in self._of(here, there, met))


def _identity(done: Done) -> Json:
    return {**done["own"], **{key: done[key] for key in ("stage", "version", "fingerprint")}}


def _differing(here: Done, there: Done, prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield the dotted keys with different values, and both; equal branches are not entered."""
    for key in {**here, **there}:
        one, other = here.get(key), there.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if one != other:
                yield from _differing(one, other, f"{prefix}{key}.")
        elif one != other or (key in here) != (key in there):
            yield f"{prefix}{key}", [one, other]


def _at(parents: Sequence[str], place: int) -> str:
    return parents[place] if place < len(parents) else ""


def _named(done: Done | None, signature: str) -> str | None:
    return f"{signature} {done['stage']} {done['name']}" if done else signature or None


def _done(store: "Store", prefix: str) -> Done:
    signature = store.resolve(prefix)
    done = store.done(signature)
    if done is None:
        raise UserError(f"{signature} is not done; `convarium show {signature}` says why")
    return done


def _show(found: Json, store: "Store") -> None:
    if found["nearest"] is None:
        print(f"{found['signature']} {found['name']}: the only result of stage {found['stage']}")
        return
    print(f"{found['signature']} {found['name']}, nearest {found['nearest']['signature']} {found['nearest']['name']}:")
    for key, (here, there) in found["differs"].items():
        print(f"  {_told(key, store.done(found['signature']), store)}: {here} here, {there} there")


def _told(key: str, done: Done | None, store: "Store") -> str:
    """Return a key with the stage it belongs to in place of the way to it: "recipe.lr of its train"."""
    of = ""
    while key.startswith("parents.") and done is not None:
        _, place, *rest = key.split(".", 2)
        parent = store.done(_at(done["parents"], int(place)))
        if parent is None:
            return f"parent {place}{of}"
        key, of, done = rest[0] if rest else "itself", f" of {parent['stage']} {parent['name']}", parent
    return f"{key}{of}"
