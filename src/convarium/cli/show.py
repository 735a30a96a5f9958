"""`convarium show SIG`: what is stored at a signature, and what made it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.arguments import Arguments
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]
SHOWN = 12
UNBROKEN = 1 << 20
LONG = ("correct", "per_class", "metrics", "coverage", "uncovered")


def main(argv: Sequence[str]) -> int:
    """Print what a stage made at a signature, from what, by which command, where and how fast; or its log."""
    parser = Arguments("show", "Print what is stored at a signature (any unique prefix).")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--log", action="store_true", help="what it printed, and nothing else")
    options, prefix = parser.read_with("signature", argv)
    from convarium.cli import output
    from convarium.cli.stored import store_named

    store = store_named(options.overrides)
    signature = store.resolve(prefix)
    if options.log:
        text = _log(store, signature)
        output.document({"signature": signature, "log": text}) if options.json else print(text, end="")
        return 0
    with output.aside():
        found = stored(store, signature)
    if options.json:
        output.document(found)
    else:
        _show(found)
    return 0


def stored(store: "Store", signature: str) -> Json:
    """Return all that is known of a signature: its record, or its failure, and what stands around it."""
    from convarium.cli.classes import by_class, measurement
    from convarium.cli.origin import command

    done, folder = store.done(signature), store.path(signature)
    assert folder is not None
    record = done or {"signature": signature, "failed": store.failed(signature)}
    classes, measured = by_class(record, store), measurement(signature, store)
    return {
        **record,
        "path": str(folder),
        "command": command(store, signature),
        "log": _log_file(folder),
        "files": _files(folder),
        "parents": [_named(store.done(parent), parent) for parent in (done or {}).get("parents", [])],
        "children": [_named(child, child["signature"]) for child in store.results() if signature in child["parents"]],
        **({"classes": classes} if classes else {}),
        **({"measured": measured["result"]["metrics"]} if measured else {}),
        **_coverage(measured or record),
    }


def _coverage(measured: Mapping[str, Any]) -> Json:
    """How much of the network methods can work on, where a measurement tells."""
    result = measured.get("result", {})
    return {key: result[key] for key in ("coverage", "uncovered") if key in result}


def _log(store: "Store", signature: str) -> str:
    from convarium.store import log

    folder = store.path(signature)
    text = log.read(folder) if folder else None
    if text is None:
        raise UserError(f"{signature} has no log: it was made before there were any, or printed elsewhere")
    return text


def _log_file(folder: Path) -> str | None:
    from convarium.store import log

    path = folder / log.NAME
    return str(path) if path.is_file() else None


def _files(folder: Path) -> list[Json]:
    inside = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    paths = sorted(path for path in inside if path.is_file())
    return [{"name": str(path.relative_to(folder)), "bytes": path.stat().st_size} for path in paths]


def _named(done: Mapping[str, Any] | None, signature: str) -> Json:
    return {"signature": signature, **{key: done[key] if done else None for key in ("stage", "name")}}


def _show(found: Json) -> None:
    import yaml

    shown = _done(found) if "stage" in found else _open(found)
    print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=UNBROKEN), end="")


def _done(found: Json) -> Json:
    from convarium.cli.classes import told

    host, result = found.get("host", {}).get("name", "?"), found["result"]
    made = f"{found['started']}, in {found['seconds']:g} s, on {host}"
    made += f" ({found.get('device', '?')}, threads {found.get('threads', '?')})"
    return {
        **{key: found[key] for key in ("signature", "stage", "name")},
        "command": found["command"] or "no command asks for it any more",
        "made": made,
        **_around(found),
        "metrics": found.get("measured") or result["metrics"],
        **_covered(found),
        **({"result": rest} if (rest := _rest(result)) else {}),
        **({"accuracy_by_class": told(found["classes"])} if "classes" in found else {}),
        "config": {key: found[key] for key in ("version", "fingerprint")} | found["stage_config"],
        "versions": found.get("versions", {}),
    }


def _covered(found: Json) -> Json:
    from convarium.comparison.coverage import describe

    said = describe(found["coverage"], found["uncovered"]) if "coverage" in found else None
    return {"coverage": said} if said else {}


def _rest(result: Json) -> Json:
    return {key: value for key, value in result.items() if key not in LONG and value != {}}


def _open(found: Json) -> Json:
    """What is not done: it failed, or was stopped."""
    failed = found["failed"]
    named = {key: failed[key] for key in ("stage", "name", "error", "attempts", "host", "ended") if key in failed or {}}
    state = {"failed": named} if failed else {"state": "not done: it runs, or was stopped"}
    again = found["command"] or "no stored plan holds it"
    return {"signature": found["signature"], **state, "command": again, **_around(found)}


def _around(found: Json) -> Json:
    lines = {key: [_line(one) for one in found[key]] for key in ("parents", "children")}
    children = lines["children"]
    if len(children) > SHOWN:
        children[SHOWN:] = [f"and {len(children) - SHOWN} more (--json)"]
    return {
        "path": found["path"],
        "files": {one["name"]: f"{one['bytes']:,} bytes" for one in found["files"]},
        "log": found["log"] and f"{found['log']} (show --log prints it)",
        "parents": lines["parents"],
        "children": children,
    }


def _line(one: Json) -> str:
    return f"{one['signature']} {one['stage'] or 'not stored any more'} {one['name'] or ''}".rstrip()
