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
    """Print the result at a signature: what it was made from, by which command, where and how fast; or its log."""
    options, prefix = build_parser().parse_with_word("signature", argv)
    from convarium.cli import output
    from convarium.compose.named_store import open_named_store

    store = open_named_store(options.overrides)
    signature = store.resolve_signature(prefix)
    if options.log:
        log = _read_log(store, signature)
        if options.json:
            output.print_json({"signature": signature, "log": log})
        else:
            print(log, end="")
        return 0
    with output.redirect_to_stderr():
        description = describe_signature(store, signature)
    if options.json:
        output.print_json(description)
    else:
        _print_description(description)
    return 0


def describe_signature(store: "Store", signature: str) -> Json:
    """Return what is known of a signature: its record or its failure, its files, and the results around it."""
    from convarium.cli.class_accuracy import count_right_by_class, find_latest_measurement
    from convarium.cli.result_command import find_result_command

    record, folder = store.find_record(signature), store.find_folder(signature)
    assert folder is not None
    parents = record["parents"] if record else []
    children = store.find_children(signature)
    state = record or {"signature": signature, "failed": store.find_failure(signature)}
    description: Json = {
        **state,
        "path": str(folder),
        "command": find_result_command(store, signature),
        "seed": _find_typed_seed(store, signature),
        "log": ResultFolder(folder).find_log(),
        "files": _list_files(folder),
        "parents": [_identify_relative(store.find_record(parent), parent) for parent in parents],
        "children": [_identify_relative(child, child["signature"]) for child in children],
    }
    classes = count_right_by_class(state, store)
    measurement = find_latest_measurement(signature, store)
    if classes:
        description["classes"] = classes
    if measurement:
        description["measured"] = measurement["result"]["metrics"]
    # The share of the network that methods can work on, which a measurement of any stage may hold.
    measured_result = (measurement or record or {}).get("result", {})
    return description | {key: measured_result[key] for key in ("coverage", "uncovered") if key in measured_result}


def _read_log(store: "Store", signature: str) -> str:
    from convarium.workers import stage_log

    folder = store.find_folder(signature)
    text = stage_log.read_log(folder) if folder else None
    if text is None:
        raise UserError(f"{signature} has no log: it was made before there were any, or printed elsewhere")
    return text


def _list_files(folder: Path) -> list[Json]:
    all_paths = [Path(parent) / name for parent, _, names in os.walk(folder) for name in names]
    paths = sorted(path for path in all_paths if path.is_file())
    return [{"name": str(path.relative_to(folder)), "bytes": path.stat().st_size} for path in paths]


def _identify_relative(record: Mapping[str, Any] | None, signature: str) -> Json:
    stage, name = (record["stage"], record["name"]) if record else (None, None)
    return {"signature": signature, "stage": stage, "name": name}


def _print_description(description: Json) -> None:
    import yaml

    sections = _format_finished(description) if "stage" in description else _format_unfinished(description)
    print(yaml.safe_dump(sections, sort_keys=False, allow_unicode=True, width=YAML_LINE_CHARS), end="")


def _format_finished(description: Json) -> Json:
    from convarium.cli.class_accuracy import format_class_accuracies
    from convarium.comparison.coverage_text import describe_coverage

    result = description["result"]
    host = description.get("host", {}).get("name", "?")
    device, threads = description.get("device", "?"), description.get("threads", "?")
    sections: Json = {
        **{key: description[key] for key in ("signature", "stage", "name")},
        "command": description["command"] or "no command asks for it any more",
        "made": f"{description['started']}, in {description['seconds']:g} s, on {host} ({device}, threads {threads})",
        **_format_surroundings(description),
        "metrics": description.get("measured") or result["metrics"],
    }
    if "coverage" in description:
        coverage = describe_coverage(description["coverage"], description["uncovered"])
        if coverage:
            sections["coverage"] = coverage
    short_results = {key: value for key, value in result.items() if key not in LONG_RESULT_KEYS and value != {}}
    if short_results:
        sections["result"] = short_results
    if "classes" in description:
        sections["accuracy_by_class"] = format_class_accuracies(description["classes"])
    return {
        **sections,
        "config": {key: description[key] for key in ("version", "fingerprint")} | _format_stage_config(description),
        "versions": description.get("versions", {}),
    }


def _format_stage_config(description: Json) -> Json:
    """Return the config that the stage got; a seed that was derived from the one typed is named as such."""
    stage_config: Json = description["stage_config"]
    if "step" not in stage_config:
        return stage_config
    typed_seed = description["seed"]
    origin = "derived" if typed_seed is None else f"derived from seed {typed_seed}"
    return stage_config | {"seed": f"{stage_config['seed']} ({origin})"}


def _find_typed_seed(store: "Store", signature: str) -> int | None:
    """Return the seed that was typed: that of the training that the network begins with; None of adopted weights."""
    seed: int | None = None
    for record in store.walk_chain(signature):
        seed = record["stage_config"].get("seed")
    return seed


def _format_unfinished(description: Json) -> Json:
    """Return the sections of what failed, runs, or was stopped."""
    failure = description["failed"]
    state: Json = {"state": "not done: it runs, or was stopped"}
    if failure:
        keys = ("stage", "name", "error", "cause", "attempts", "host", "ended")
        state = {"failed": {key: failure[key] for key in keys if key in failure}}
    return {
        "signature": description["signature"],
        **state,
        "command": description["command"] or "no stored plan holds it",
        **_format_surroundings(description),
    }


def _format_surroundings(description: Json) -> Json:
    children = [_format_relative(child) for child in description["children"]]
    if len(children) > MAX_CHILDREN_SHOWN:
        children[MAX_CHILDREN_SHOWN:] = [f"and {len(children) - MAX_CHILDREN_SHOWN} more (--json)"]
    return {
        "path": description["path"],
        "files": {file["name"]: f"{file['bytes']:,} bytes" for file in description["files"]},
        "log": description["log"] and f"{description['log']} (show --log prints it)",
        # A dense network's own measurement has it as a parent twice: as what is measured and as the dense network.
        "parents": list(dict.fromkeys(_format_relative(parent) for parent in description["parents"])),
        "children": children,
    }


def _format_relative(relative: Json) -> str:
    return f"{relative['signature']} {relative['stage'] or 'not stored any more'} {relative['name'] or ''}".rstrip()
