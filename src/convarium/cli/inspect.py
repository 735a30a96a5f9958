"""`convarium inspect`: a network layer by layer, untrained or as it is stored, and what its maps respond to."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli import deconvnet_figure
from convarium.cli.command_parser import CommandParser
from convarium.config.paths import parse_path

if TYPE_CHECKING:
    from convarium.catalogue.rows import CatalogueRow
    from convarium.cli.inspected_network import InspectedFile, InspectedNetwork, NamedArchitecture

DESCRIPTION = """A network: its size, its layers (--table), and what its maps respond to (--deconvnet).

  convarium inspect architecture=resnet18 --table                  # at its paper's input; dataset=NAME for another's
  convarium inspect SIGNATURE --table                              # a stored network, as compressed
  convarium inspect net.cvm --deconvnet maps.png --images FOLDER   # figures of Zeiler and Fergus 2014
"""
MACS_DEFINITION = "multiply-accumulates of convolutions and matrix products, one image"
BYTES_PER_PARAMETER = 4
COLUMN_RANK = ("parameters", "MACs", "bytes", "type", "output", "nonzeros", "calls")

Json = dict[str, Any]


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("inspect", DESCRIPTION)
    parser.usage = "convarium inspect [SIGNATURE | FILE.cvm] [architecture=NAME] [key=value ...] [options]"
    parser.add_argument("--table", action="store_true", help="a row a layer: shape, parameters, MACs")
    parser.add_argument("--deconvnet", type=parse_path, metavar="FILE.png", help="what the maps of a layer respond to")
    parser.add_argument("--layer", metavar="NAME", help="its layer; else the last convolution that a chain leads to")
    parser.add_argument("--maps", type=int, metavar="N", help="how many maps; else 9")
    parser.add_argument(
        "--images", type=parse_path, metavar="PATH", help="an image or a folder; else the validation images"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Print what a network is made of; draw its maps if asked to."""
    options, word = build_parser().parse_with_optional_word(argv)
    deconvnet_figure.check_deconvnet_options(options)
    from convarium.cli import output
    from convarium.cli.inspected_network import resolve_network
    from convarium.cli.layer_rows import build_layer_rows

    with output.redirect_to_stderr():
        inspected = resolve_network(word, options.overrides)
        # The figure first: an image that can't be read is reported before anything is counted.
        figure = deconvnet_figure.write_deconvnet_figure(inspected, options) if options.deconvnet else None
        document = summarise_network(inspected)
        if options.table:
            document["layers"] = build_layer_rows(inspected)
        if figure is not None:
            document["deconvnet"] = figure
    if options.json:
        output.print_json(document)
    else:
        _print_summary(document)
    return 0


def summarise_network(inspected: "InspectedNetwork") -> Json:
    """Return what a network is made of, what it costs, and where it comes from."""
    from convarium.cost.network_cost import Cost

    architecture = inspected.architecture
    origin: Json = {}
    if inspected.named:
        origin = _summarise_named(inspected.named)
    elif inspected.stored:
        origin = _summarise_file(inspected.stored)
    cost = Cost(inspected.network, inspected.shape)
    return {
        "source": architecture["source"],
        "name": architecture["name"],
        **origin,
        "input": {
            "shape": list(inspected.shape),
            "classes": architecture["num_classes"],
            "images": inspected.input_source,
        },
        "parameters": cost.parameters,
        "trainable_parameters": cost.trainable_parameters,
        **({"nonzeros": cost.nonzeros} if inspected.stored else {}),
        "buffers": cost.buffers,
        "macs": cost.macs,
        "dense_bytes": BYTES_PER_PARAMETER * cost.parameters,
    }


def _summarise_named(named: "NamedArchitecture") -> Json:
    from convarium.cli.inspected_network import find_architecture_file

    row = named.catalogue_row
    return {
        "option": f"architecture={named.option}",
        "file": find_architecture_file(named.option),
        "changed": list(named.changed_overrides),
        "catalogue": row and _summarise_catalogue_row(row),
    }


def _summarise_catalogue_row(row: "CatalogueRow") -> Json:
    """Return a row, whether its parameters include fixed tables, and the kwargs of the form that it counts."""
    from convarium.catalogue.paper_inputs import get_paper_input, has_counted_tables

    keys = ("id", "name", "source", "year", "section", "published", "parameters", "macs", "input")
    return {
        **{key: getattr(row, key) for key in keys},
        "counts_tables": has_counted_tables(row),
        "kwargs": dict(get_paper_input(row).kwargs),
    }


def _summarise_file(stored: "InspectedFile") -> Json:
    return {
        "signature": stored.signature,
        "file": str(stored.path),
        "file_bytes": stored.path.stat().st_size,
        "bytes": stored.file.bytes_by_kind,
        "edits": len(stored.file.header["surgery"]),
    }


def _print_summary(summary: Json) -> None:
    for name, text in _format_summary_lines(summary):
        print(f"{name:<13} {text}")
    if "layers" in summary:
        _print_layers(summary["layers"])
    if "deconvnet" in summary:
        figure = summary["deconvnet"]
        maps = ", ".join(str(row["map"]) for row in figure["maps"])
        print(f"{figure['file']}: layer {figure['layer']}, maps {maps} of {figure['of']}, {figure['images']}")


def _format_summary_lines(summary: Json) -> Iterator[tuple[str, str]]:
    """Yield the lines of a summary: name and text."""
    is_stored = "file_bytes" in summary
    if is_stored:
        origin = [summary["file"]] + ([summary["signature"]] if summary["signature"] else [])
    else:
        origin = [summary["option"], summary["file"]]
    yield "network", f"{summary['source']} {summary['name']} ({', '.join(origin)})"
    if not is_stored:
        yield "catalogue", _format_catalogue_row(summary["catalogue"], summary["changed"])
    shape = "x".join(map(str, summary["input"]["shape"]))
    yield "input", f"{shape}, {summary['input']['classes']:,} classes, {summary['input']['images']}"
    fixed = summary["parameters"] - summary["trainable_parameters"]
    training = f"{fixed:,} of them not trained" if fixed else "all trained"
    yield "parameters", f"{summary['parameters']:,}, {training}"
    if is_stored:
        yield "nonzeros", f"{summary['nonzeros']:,}"
    yield "buffers", f"{summary['buffers']:,} values"
    yield "MACs", f"{summary['macs']:,} ({MACS_DEFINITION})"
    yield "dense bytes", f"{summary['dense_bytes']:,} ({BYTES_PER_PARAMETER} a parameter)"
    if is_stored:
        kinds = ", ".join(f"{kind} {size:,}" for kind, size in summary["bytes"].items() if size)
        yield "file bytes", f"{summary['file_bytes']:,} ({kinds})"
        yield "surgery", f"{summary['edits']} edits" if summary["edits"] else "none"


def _format_catalogue_row(row: Json | None, changed_overrides: Sequence[str]) -> str:
    """Return a row of the catalogue in a line, with its exact counts where it has them."""
    if row is None:
        return "no row is this network"
    counts = []
    if row["parameters"]:
        tables = " (with fixed tables, buffers here)" if row["counts_tables"] else ""
        counts.append(f"{row['parameters']:,} parameters{tables}")
    if row["macs"]:
        counts.append(f"{row['macs']:,} MACs at {row['input']} pixels")
    line = f"{row['id']}: {row['name']} ({row['source']}), section {row['section']}"
    if counts:
        line += f"; {' and '.join(counts)}"
    line += "".join(f", with {key}={value}" for key, value in row["kwargs"].items())
    if changed_overrides:
        line += f"; here with {' '.join(changed_overrides)}"
    return line


def _print_layers(rows: Sequence[Json]) -> None:
    from rich.table import Column, Table

    from convarium import terminal_table
    from convarium.cli import output

    # Rows of a network that is not stored have neither nonzeros nor bytes.
    count_keys = [key for key in ("parameters", "nonzeros", "bytes", "macs") if key in rows[0]]
    titles = ["calls", *("MACs" if key == "macs" else key for key in count_keys)]
    number_columns = [Column(title, justify="right") for title in titles]
    table = Table(Column("layer", overflow="fold"), "type", "output", *number_columns, box=None)
    for row in rows:
        shape = "x".join(map(str, row["output"])) if row["output"] else "not called by itself"
        counts = [f"{row[key]:,}" for key in count_keys]
        table.add_row(row["name"] or "(itself)", row["type"], shape, str(row["calls"]), *counts)
    totals = [f"{sum(row[key] for row in rows):,}" for key in count_keys]
    table.add_row("total", "", "", "", *totals, style="bold")
    terminal_table.print_fitting_table(output.build_console(), table, COLUMN_RANK)
