"""`convarium inspect`: a network layer by layer, untrained or as it is stored, and what its maps respond to."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli import deconvnet
from convarium.cli.arguments import Arguments
from convarium.config.paths import path

if TYPE_CHECKING:
    from convarium.catalogue.rows import Row
    from convarium.cli.subject import Stored, Subject

DESCRIPTION = """A network: its size, its layers (--table), and what its maps respond to (--deconvnet).

  convarium inspect architecture=resnet18 --table                  # at its paper's input; dataset=NAME for another's
  convarium inspect SIGNATURE --table                              # a stored network, as compressed
  convarium inspect net.cvm --deconvnet maps.png --images FOLDER   # pictures of Zeiler and Fergus 2014
"""
COUNTED = "multiply-accumulates of convolutions and matrix products, one image"
BYTES = 4
RANK = ("parameters", "MACs", "bytes", "type", "output", "nonzeros", "calls")

Json = dict[str, Any]


def main(argv: Sequence[str]) -> int:
    """Print what a network is made of; write the pictures of its maps if they are asked for."""
    parser = Arguments("inspect", DESCRIPTION)
    parser.usage = "convarium inspect [SIGNATURE | FILE.cvm] [architecture=NAME] [key=value ...] [options]"
    parser.add_argument("--table", action="store_true", help="a row a layer: shape, parameters, MACs")
    parser.add_argument("--deconvnet", type=path, metavar="FILE.png", help="what the maps of a layer respond to")
    parser.add_argument("--layer", metavar="NAME", help="its layer; else the last convolution that a chain leads to")
    parser.add_argument("--maps", type=int, metavar="N", help="how many maps; else 9")
    parser.add_argument("--images", type=path, metavar="PATH", help="a picture or a folder; else the validation images")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options, word = parser.read_perhaps_with(argv)
    deconvnet.refuse(options)
    from convarium.cli import output
    from convarium.cli.layered import rows
    from convarium.cli.subject import subject

    with output.aside():
        found = subject(word, options.overrides)
        pictures = {"deconvnet": deconvnet.pictured(found, options)} if options.deconvnet else {}
        document = {**summary(found), **({"layers": rows(found)} if options.table else {}), **pictures}
    output.document(document) if options.json else _show(document)
    return 0


def summary(subject: "Subject") -> Json:
    """Return what a network is made of, and where it comes from."""
    from convarium.measurement.macs import macs

    network, architecture = subject.network, subject.architecture
    parameters = list(network.parameters())
    total = sum(one.numel() for one in parameters)
    return {
        "source": architecture["source"],
        "name": architecture["name"],
        **(_of_name(subject) if subject.named else _of_file(subject.stored) if subject.stored else {}),
        "input": {"shape": list(subject.shape), "classes": architecture["num_classes"], "images": subject.images},
        "parameters": total,
        "trainable_parameters": sum(one.numel() for one in parameters if one.requires_grad),
        **({"nonzeros": sum(int(one.count_nonzero()) for one in parameters)} if subject.stored else {}),
        "buffers": sum(one.numel() for one in network.buffers()),
        "macs": macs(network, subject.shape),
        "dense_bytes": BYTES * total,
    }


def _of_name(subject: "Subject") -> Json:
    from convarium.cli.subject import file_of

    assert subject.named is not None
    row = subject.named.row
    return {
        "option": f"architecture={subject.named.option}",
        "file": file_of(subject.named.option),
        "changed": list(subject.named.changed),
        "catalogue": row and _of_row(row),
    }


def _of_row(row: "Row") -> Json:
    """Return a row and what its counts are of: fixed tables with the parameters, a form that `kwargs` makes."""
    from convarium.catalogue.networks import counts_tables, images_of

    keys = ("id", "name", "source", "year", "section", "published", "parameters", "macs", "input")
    told = {key: getattr(row, key) for key in keys}
    return {**told, "counts_tables": counts_tables(row), "kwargs": dict(images_of(row).kwargs)}


def _of_file(stored: "Stored") -> Json:
    return {
        "signature": stored.signature,
        "file": str(stored.path),
        "file_bytes": stored.path.stat().st_size,
        "bytes": stored.file.bytes,
        "edits": len(stored.file.header["surgery"]),
    }


def _show(found: Json) -> None:
    for name, text in _lines(found):
        print(f"{name:<13} {text}")
    if "layers" in found:
        _table(found["layers"])
    if "deconvnet" in found:
        made = found["deconvnet"]
        maps = ", ".join(str(one["map"]) for one in made["maps"])
        print(f"{made['file']}: layer {made['layer']}, maps {maps} of {made['of']}, {made['images']}")


def _lines(found: Json) -> Iterator[tuple[str, str]]:
    """Yield the summary, name by name."""
    stored, shape = "file_bytes" in found, "x".join(map(str, found["input"]["shape"]))
    place = found["file"] + (f", {found['signature']}" if stored and found["signature"] else "")
    yield "network", f"{found['source']} {found['name']} ({'' if stored else found['option'] + ', '}{place})"
    if not stored:
        yield "catalogue", _row(found)
    yield "input", f"{shape}, {found['input']['classes']:,} classes, {found['input']['images']}"
    fixed = found["parameters"] - found["trainable_parameters"]
    yield "parameters", f"{found['parameters']:,}, " + (f"{fixed:,} of them not trained" if fixed else "all trained")
    if stored:
        yield "nonzeros", f"{found['nonzeros']:,}"
    yield "buffers", f"{found['buffers']:,} values"
    yield "MACs", f"{found['macs']:,} ({COUNTED})"
    yield "dense bytes", f"{found['dense_bytes']:,} ({BYTES} a parameter)"
    if stored:
        kinds = ", ".join(f"{kind} {size:,}" for kind, size in found["bytes"].items() if size)
        yield "file bytes", f"{found['file_bytes']:,} ({kinds})"
        yield "surgery", f"{found['edits']} edits" if found["edits"] else "none"


def _row(found: Json) -> str:
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


def _table(rows: Sequence[Json]) -> None:
    from rich.table import Column, Table

    from convarium import columns
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
    columns.show(output.console(), table, RANK, markup=False)
