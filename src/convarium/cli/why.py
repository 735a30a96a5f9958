"""`convarium why SIG`: which keys make a result another one than its nearest neighbour."""

from collections.abc import Mapping, Sequence
from typing import Any

from convarium.cli.arguments import Arguments
from convarium.errors import UserError


def main(argv: Sequence[str]) -> int:
    """Print the keys in which a stored result differs from the nearest one of its stage."""
    parser = Arguments("why", "Print what makes a result another one than its nearest neighbour of the same stage.")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options, prefix = parser.read_with("signature", argv)
    from convarium.cli import output
    from convarium.cli.stored import store_named

    store = store_named(options.overrides)
    signature = store.resolve(prefix)
    done = store.done(signature)
    if done is None:
        raise UserError(f"{signature} is not done; `convarium show {signature}` says why")
    found = nearest(done, [other for other in store.results(done["stage"]) if other["signature"] != signature])
    if options.json:
        output.document(found)
    else:
        _show(found)
    return 0


def nearest(done: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the other result with the fewest differing keys, and those keys with both values."""
    one = identity(done)
    pairs = [(_differences(one, identity(other)), other) for other in others]
    differs, other = min(pairs, key=lambda pair: (len(pair[0]), pair[1]["name"]), default=({}, None))
    named = {key: done[key] for key in ("signature", "stage", "name")}
    return {**named, "nearest": other and {key: other[key] for key in ("signature", "name")}, "differs": differs}


def identity(done: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a signature is made of, as dotted keys."""
    parts = {"version": done["version"], "fingerprint": done["fingerprint"], "parents": list(done["parents"])}
    return flat({**done["own"], **parts})


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested keys as dotted ones; an empty dict or list stays a value."""
    inner = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else ()
    pairs = [flat(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in inner]
    return {key: value for pair in pairs for key, value in pair.items()} if pairs else {prefix: values}


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key) or (key in one) != (key in other)]
    return {key: [one.get(key), other.get(key)] for key in keys}


def _show(found: Mapping[str, Any]) -> None:
    if found["nearest"] is None:
        print(f"{found['signature']} {found['name']}: the only result of stage {found['stage']}")
        return
    print(f"{found['signature']} {found['name']}, nearest {found['nearest']['signature']} {found['nearest']['name']}:")
    for key, (here, there) in found["differs"].items():
        print(f"  {key}: {here} here, {there} there")
