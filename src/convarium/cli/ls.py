"""`convarium ls`: what is stored, and what failed."""

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.cli.failure_words import format_state
from convarium.errors import UserError
from convarium.store.disk import pause_gc

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]
DESCRIPTION = """List the stored results, oldest first; runtime.store=… names another store.

  convarium ls --stage measure --where 'accuracy>0.97' --where dataset.name=mnist5k
  convarium ls compression.magnitude.sparsity=0.9 --newest 5
"""


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("ls", DESCRIPTION)
    parser.usage = "convarium ls [key=value ...] [options]"
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--stage", help="one stage only, such as train or measure")
    parser.add_argument("--name", metavar="TEXT", help="a part of the name; * and ? match anything")
    parser.add_argument(
        "--where", action="append", default=[], metavar="EXPR", help="a figure or a key: 'accuracy>0.97'"
    )
    parser.add_argument("--failed", action="store_true", help="what failed and is not done")
    parser.add_argument("--newest", type=int, metavar="N", help="the last N only")
    parser.add_argument("--since", metavar="WHEN", help="a date such as 2026-05-01, or an age: 90m, 12h, 7d")
    return parser


@pause_gc()
def main(argv: Sequence[str]) -> int:
    """List the stored results, or failures, that meet all conditions, oldest first."""
    options = build_parser().parse_overrides(argv)
    from convarium.cli import output
    from convarium.compose.named_store import open_named_store
    from convarium.compose.store_access import print_empty, print_unreadable, require_store

    if options.newest is not None and options.newest < 1:
        raise UserError(f"--newest {options.newest}: expected int of at least 1")
    keys = [override for override in options.overrides if override.group != "runtime"]
    store = open_named_store([override for override in options.overrides if override not in keys])
    require_store(store, read_only=True)
    rows = sorted(_select_rows(store, options, keys), key=lambda row: str(row["started"]))
    if options.newest:
        rows = rows[-options.newest :]
    if options.json:
        output.print_json({"results": rows})
    elif rows or any(store.list_folders()):
        _print_rows(rows)
    else:
        print_empty(store)
    print_unreadable(store)
    return 0


def _select_rows(store: "Store", options: Namespace, keys: Sequence[str]) -> Iterator[Json]:
    from convarium.cli.record_selection import is_name_match, parse_since, select_records

    stage = _check_stage(store, options.stage)
    if options.failed and (options.where or keys):
        raise UserError(
            "--failed: what failed has no figures and no config here; choose it by --stage, --name, --since"
        )
    if options.failed:
        rows = [_build_failure_row(failure) for failure in _iterate_failures(store, stage)]
    else:
        records = select_records(store, store.read_records(stage), [*options.where, *keys])
        rows = [_build_result_row(record) for record in records]
    earliest = parse_since(options.since) if options.since else ""
    for row in rows:
        if str(row["started"]) >= earliest and is_name_match(row["name"], options.name):
            yield row


def _check_stage(store: "Store", stage: str | None) -> str | None:
    from convarium.config.messages import suggest_nearest
    from convarium.stages.declaration import find_stages

    # A store may also hold results of stages that this version does not have.
    stages = {*find_stages(), *(folder.parent.name for _, folder in store.list_folders())}
    if stage is not None and stage not in stages:
        raise UserError(f"--stage {stage}: no such stage{suggest_nearest(stage, stages)}")
    return stage


def _iterate_failures(store: "Store", stage: str | None) -> Iterator[Json]:
    for signature, folder in store.list_folders():
        if stage not in (None, folder.parent.name):
            continue
        failure = store.find_failure(signature)
        if failure:
            yield {"signature": signature, "stage": folder.parent.name, "name": folder.name, **failure}


def _build_result_row(record: Mapping[str, Any]) -> Json:
    row = {key: record[key] for key in ("signature", "stage", "name", "started", "seconds")}
    return {**row, "metrics": record["result"]["metrics"]}


def _build_failure_row(failure: Mapping[str, Any]) -> Json:
    return {
        **{key: failure[key] for key in ("signature", "stage", "name")},
        "started": failure.get("ended", ""),
        **{key: failure.get(key) for key in ("error", "kind", "cause", "attempts", "host")},
    }


def _print_rows(rows: Sequence[Json]) -> None:
    """Print plain columns; in a terminal too narrow for them, name and figures below the other columns."""
    # A table of rich takes seconds for thousands of rows.
    lines = [("signature", "stage", "seconds", "name", "figures"), *map(_format_row, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    total_width = sum(widths) + 2 * (len(widths) - 1)
    terminal_width = get_terminal_size().columns if sys.stdout.isatty() else total_width
    for line in lines:
        texts = [text.ljust(width) for text, width in zip(line, widths, strict=True)]
        if total_width <= terminal_width:
            print("  ".join(texts).rstrip())
            continue
        print("  ".join(texts[:3]).rstrip())
        for text in line[3:]:
            print(fill(text, terminal_width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))


def _format_row(row: Json) -> tuple[str, str, str, str, str]:
    from convarium.workers.progress import MAIN_METRICS, format_figures

    seconds = f"{row['seconds']:.1f}" if "seconds" in row else format_state("failed", row["cause"])
    figures = row["error"] if "error" in row else format_figures(row["metrics"], MAIN_METRICS)
    return row["signature"], row["stage"], seconds, row["name"], figures
