"""`convarium show SIG`: what is stored at a signature, and what made it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.errors import UserError
from convarium.store.result_folder import ResultFolder

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]
MAX_CHILDREN_SHOWN = 12
YAML_LINE_CHARS = 1 << 20
LONG_RESULT_KEYS = ("correct", "per_class", "metrics", "coverage", "uncovered")


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("show", "Print what is stored at a signature (any unique prefix).")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--log", action="store_true", help="what it printed, and nothing else")
    return parser


def main(argv: Sequence[str]) -> int:
    """Print what a stage made at a signature, from what, by which command, where and how fast; or its log."""
    options, prefix = build_parser().parse_with_word("signature", argv)
    from convarium.cli import output
    from convarium.compose.named_store import open_named_store

    store = open_named_store(options.overrides)
    signature = store.resolve_signature(prefix)
    if options.log:
        text = _read_log(store, signature)
        output.print_json({"signature": signature, "log": text}) if options.json else print(text, end="")
        return 0
    with output.redirect_to_stderr():
        found = describe_signature(store, signature)
    if options.json:
        output.print_json(found)
    else:
        _print_description(found)
    return 0


def describe_signature(store: "Store", signature: str) -> Json:
    """Return all that is known of a signature: its record, or its failure, and what stands around it."""
    from convarium.cli.class_accuracy import count_right_by_class, find_latest_measurement
    from convarium.cli.result_command import find_result_command

    done, folder = store.find_record(signature), store.find_folder(signature)
    assert folder is not None
    record = done or {"signature": signature, "failed": store.find_failure(signature)}
    classes, measured = count_right_by_class(record, store), find_latest_measurement(signature, store)
    return {
        **record,
        "path": str(folder),
        "command": find_result_command(store, signature),
        "log": _find_log_file(folder),
        "files": _list_files(folder),
        "parents": [
            _identify_relative(store.find_record(parent), parent) for parent in (done or {}).get("parents", [])
        ],
        "children": [
            _identify_relative(child, child["signature"])
            for child in store.read_records()
            if signature in child["parents"]
        ],
        **({"classes": classes} if classes else {}),
        **({"measured": measured["result"]["metrics"]} if measured else {}),
        **_select_coverage(measured or record),
    }


def _select_coverage(measured: Mapping[str, Any]) -> Json:
    """How much of the network methods can work on, where a measurement tells."""
    result = measured.get("result", {})
    return {key: result[key] for key in ("coverage", "uncovered") if key in result}


def _read_log(store: "Store", signature: str) -> str:
    from convarium.workers import stage_log

    folder = store.find_folder(signature)
    text = stage_log.read_log(folder) if folder else None
    if text is None:
        raise UserError(f"{signature} has no log: it was made before there were any, or printed elsewhere")
    return text


def _find_log_file(folder: Path) -> str | None:

    path = ResultFolder(folder).log
    return str(path) if path.is_file() else None


def _list_files(folder: Path) -> list[Json]:
    inside = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    paths = sorted(path for path in inside if path.is_file())
    return [{"name": str(path.relative_to(folder)), "bytes": path.stat().st_size} for path in paths]


def _identify_relative(record: Mapping[str, Any] | None, signature: str) -> Json:
    return {"signature": signature, **{key: record[key] if record else None for key in ("stage", "name")}}


def _print_description(found: Json) -> None:
    import yaml

    shown = _format_done(found) if "stage" in found else _format_unfinished(found)
    print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=YAML_LINE_CHARS), end="")


def _format_done(found: Json) -> Json:
    from convarium.cli.class_accuracy import format_class_accuracies

    host, result = found.get("host", {}).get("name", "?"), found["result"]
    made = f"{found['started']}, in {found['seconds']:g} s, on {host}"
    made += f" ({found.get('device', '?')}, threads {found.get('threads', '?')})"
    return {
        **{key: found[key] for key in ("signature", "stage", "name")},
        "command": found["command"] or "no command asks for it any more",
        "made": made,
        **_format_surroundings(found),
        "metrics": found.get("measured") or result["metrics"],
        **_format_coverage(found),
        **({"result": rest} if (rest := _select_short_results(result)) else {}),
        **({"accuracy_by_class": format_class_accuracies(found["classes"])} if "classes" in found else {}),
        "config": {key: found[key] for key in ("version", "fingerprint")} | found["stage_config"],
        "versions": found.get("versions", {}),
    }


def _format_coverage(found: Json) -> Json:
    from convarium.comparison.coverage_text import describe_coverage

    said = describe_coverage(found["coverage"], found["uncovered"]) if "coverage" in found else None
    return {"coverage": said} if said else {}


def _select_short_results(result: Json) -> Json:
    return {key: value for key, value in result.items() if key not in LONG_RESULT_KEYS and value != {}}


def _format_unfinished(found: Json) -> Json:
    """What is not done: it failed, or was stopped."""
    failed = found["failed"]
    named = {key: failed[key] for key in ("stage", "name", "error", "attempts", "host", "ended") if key in failed or {}}
    state = {"failed": named} if failed else {"state": "not done: it runs, or was stopped"}
    again = found["command"] or "no stored plan holds it"
    return {"signature": found["signature"], **state, "command": again, **_format_surroundings(found)}


def _format_surroundings(found: Json) -> Json:
    lines = {key: [_format_relative(one) for one in found[key]] for key in ("parents", "children")}
    children = lines["children"]
    if len(children) > MAX_CHILDREN_SHOWN:
        children[MAX_CHILDREN_SHOWN:] = [f"and {len(children) - MAX_CHILDREN_SHOWN} more (--json)"]
    return {
        "path": found["path"],
        "files": {one["name"]: f"{one['bytes']:,} bytes" for one in found["files"]},
        "log": found["log"] and f"{found['log']} (show --log prints it)",
        "parents": lines["parents"],
        "children": children,
    }


def _format_relative(relative: Json) -> str:
    return f"{relative['signature']} {relative['stage'] or 'not stored any more'} {relative['name'] or ''}".rstrip()
