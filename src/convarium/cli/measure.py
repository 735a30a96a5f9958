"""`convarium measure FILE`: quality and cost of a network file that need not be stored."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convarium.cli.command_parser import CommandParser
from convarium.config.paths import parse_path


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("measure", "Measure a network file: convarium measure net.cvm dataset=mnist5k")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the quality, bytes and MACs of a network file on a dataset."""
    options, file = build_parser().parse_with_word("file", argv)
    from convarium.cli import output
    from convarium.compose.points import compose_points
    from convarium.errors import UserError
    from convarium.lookup import allow_packages, find_named_packages

    with output.redirect_to_stderr():
        points = compose_points(options.overrides).check_points()
        if len(points) > 1:
            raise UserError(f"measure takes one dataset, not {len(points)} points; a file has no compression to sweep")
        with allow_packages(find_named_packages(points[0].config)):
            measurement = _measure_network(str(parse_path(file)), points[0].config)
    if options.json:
        output.print_json(measurement)
        return 0
    bytes_by_kind = {f"bytes of {kind}": size for kind, size in measurement["bytes"].items()}
    for name, value in {**measurement["metrics"], **bytes_by_kind}.items():
        print(f"{name:<22} {_format_figure(value)}")
    return 0


def _format_figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.4f}" if isinstance(value, float) else f"{value:,}"


def _measure_network(file: str, config: dict[str, Any]) -> dict[str, Any]:
    from convarium.host.provenance import count_cores
    from convarium.measurement.quality import measure_file
    from convarium.store.disk import cache_folder_of

    runtime, dataset = config["runtime"], config["dataset"]
    threads = runtime["threads"] or count_cores()
    measurement: dict[str, Any] = measure_file(
        file,
        None,
        {key: value for key, value in dataset.items() if key != "root"},
        config["task"],
        dataset["root"],
        threads,
        runtime["accelerator"],
        cache_folder=str(cache_folder_of(Path(runtime["store"]))),
    )
    return {key: measurement[key] for key in ("metrics", "bytes", "images")}
