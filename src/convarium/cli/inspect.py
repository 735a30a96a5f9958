"""`convarium inspect`: a network layer by layer, untrained or as it is stored, and what its maps respond to."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli import deconvnet_figure
from convarium.cli.command_parser import CommandParser
from convarium.config.paths import parse_path

if TYPE_CHECKING:
    from convarium.catalogue.rows import CatalogueRow
    from convarium.cli.inspected_network import InspectedFile, InspectedNetwork

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
        found = resolve_network(word, options.overrides)
        figure = {"deconvnet": deconvnet_figure.write_deconvnet_figure(found, options)} if options.deconvnet else {}
        document = {
            **summarise_network(found),
            **({"layers": build_layer_rows(found)} if options.table else {}),
            **figure,
        }
    output.print_json(document) if options.json else _print_summary(document)
    return 0


def summarise_network(subject: "InspectedNetwork") -> Json:
    """Return what a network is made of, and where it comes from."""
    from convarium.cost.network_cost import Cost

    architecture = subject.architecture
    cost = Cost(subject.network, subject.shape)
    return {
        "source": architecture["source"],
        "name": architecture["name"],
        **(_summarise_named(subject) if subject.named else _summarise_file(subject.stored) if subject.stored else {}),
        "input": {"shape": list(subject.shape), "classes": architecture["num_classes"], "images": subject.input_source},
        "parameters": cost.parameters,
        "trainable_parameters": cost.trainable_parameters,
        **({"nonzeros": cost.nonzeros} if subject.stored else {}),
        "buffers": cost.buffers,
        "macs": cost.macs,
        "dense_bytes": BYTES_PER_PARAMETER * cost.parameters,
    }


def _summarise_named(subject: "InspectedNetwork") -> Json:
    from convarium.cli.inspected_network import find_architecture_file

    assert subject.named is not None
    row = subject.named.catalogue_row
    return {
        "option": f"architecture={subject.named.option}",
        "file": find_architecture_file(subject.named.option),
        "changed": list(subject.named.changed_overrides),
        "catalogue": row and _summarise_catalogue_row(row),
    }


def _summarise_catalogue_row(row: "CatalogueRow") -> Json:
    """Return a row and what its counts are of: fixed tables with the parameters, a form that `kwargs` makes."""
    from convarium.catalogue.paper_inputs import get_paper_input, has_counted_tables

    keys = ("id", "name", "source", "year", "section", "published", "parameters", "macs", "input")
    told = {key: getattr(row, key) for key in keys}
    return {**told, "counts_tables": has_counted_tables(row), "kwargs": dict(get_paper_input(row).kwargs)}


def _summarise_file(stored: "InspectedFile") -> Json:
    return {
        "signature": stored.signature,
        "file": str(stored.path),
        "file_bytes": stored.path.stat().st_size,
        "bytes": stored.file.bytes_by_kind,
        "edits": len(stored.file.header["surgery"]),
    }


def _print_summary(found: Json) -> None:
    for name, text in _format_summary_lines(found):
        print(f"{name:<13} {text}")
    if "layers" in found:
        _print_layers(found["layers"])
    if "deconvnet" in found:
        made = found["deconvnet"]
        maps = ", ".join(str(one["map"]) for one in made["maps"])
        print(f"{made['file']}: layer {made['layer']}, maps {maps} of {made['of']}, {made['images']}")


def _format_summary_lines(found: Json) -> Iterator[tuple[str, str]]:
    """Yield the summary, name by name."""
    stored, shape = "file_bytes" in found, "x".join(map(str, found["input"]["shape"]))
    place = found["file"] + (f", {found['signature']}" if stored and found["signature"] else "")
    yield "network", f"{found['source']} {found['name']} ({'' if stored else found['option'] + ', '}{place})"
    if not stored:
        yield "catalogue", _format_catalogue_row(found)
    yield "input", f"{shape}, {found['input']['classes']:,} classes, {found['input']['images']}"
    fixed = found["parameters"] - found["trainable_parameters"]
    yield "parameters", f"{found['parameters']:,}, " + (f"{fixed:,} of them not trained" if fixed else "all trained")
    if stored:
        yield "nonzeros", f"{found['nonzeros']:,}"
    yield "buffers", f"{found['buffers']:,} values"
    yield "MACs", f"{found['macs']:,} ({MACS_DEFINITION})"
    yield "dense bytes", f"{found['dense_bytes']:,} ({BYTES_PER_PARAMETER} a parameter)"
    if stored:
        kinds = ", ".join(f"{kind} {size:,}" for kind, size in found["bytes"].items() if size)
        yield "file bytes", f"{found['file_bytes']:,} ({kinds})"
        yield "surgery", f"{found['edits']} edits" if found["edits"] else "none"


def _format_catalogue_row(found: Json) -> str:
    """Return the row of the catalogue in a line, with its exact counts where it has them."""
    row = found["catalogue"]
    if row is None:
        return "no row is this network"
    tables = " (with fixed tables, buffers here)" if row["counts_tables"] else ""
    named = (("parameters", f"parameters{tables}"), ("macs", f"MACs at {row['input']} pixels"))
    counts = [f"{row[key]:,} {name}" for key, name in named if row[key]]
    form = "".join(f", with {key}={value}" for key, value in row["kwargs"].items())
    changed = f"; here with {' '.join(found['changed'])}" if found["changed"] else ""
    told = f"{row['id']}: {row['name']} ({row['source']}), section {row['section']}"
    return f"{told}{'; ' if counts else ''}{' and '.join(counts)}{form}{changed}"


def _print_layers(rows: Sequence[Json]) -> None:
    from rich.table import Column, Table

    from convarium import terminal_table
    from convarium.cli import output

    counted = [key for key in ("parameters", "nonzeros", "bytes", "macs") if key in rows[0]]
    titles = {"macs": "MACs"}
    numbers = [Column(titles.get(key, key), justify="right") for key in ("calls", *counted)]
    table = Table(Column("layer", overflow="fold"), "type", "output", *numbers, box=None)
    for row in rows:
        shape = "x".join(map(str, row["output"])) if row["output"] else "not called by itself"
        figures = [f"{row[key]:,}" for key in counted]
        table.add_row(row["name"] or "(itself)", row["type"], shape, str(row["calls"]), *figures)
    totals = [f"{sum(row[key] for row in rows):,}" for key in counted]
    table.add_row("total", "", "", "", *totals, style="bold")
    terminal_table.print_fitting_table(output.build_console(), table, COLUMN_RANK, markup=False)
