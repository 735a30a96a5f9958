"""`convarium measure FILE`: a network file, by itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convarium.cli.arguments import Arguments
from convarium.config.paths import path


def main(argv: Sequence[str]) -> int:
    """Print the quality, bytes and MACs of a network file on a dataset."""
    parser = Arguments("measure", "Measure a network file: convarium measure net.cvm dataset=mnist5k")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options, file = parser.read_with("file", argv)
    from convarium.cli import output
    from convarium.cli.points import ask
    from convarium.errors import UserError
    from convarium.names import allowing, packages

    with output.aside():
        points = ask(options.overrides).accepted()
        if len(points) > 1:
            raise UserError(f"measure takes one dataset, not {len(points)} points; a file has no compression to sweep")
        with allowing(packages(points[0].config)):
            found = _measured(str(path(file)), points[0].config)
    if options.json:
        output.document(found)
        return 0
    kinds = {f"bytes of {kind}": size for kind, size in found["bytes"].items()}
    for name, value in {**found["metrics"], **kinds}.items():
        print(f"{name:<22} {'' if value is None else format(value, ',.4f' if isinstance(value, float) else ',')}")
    return 0


def _measured(file: str, config: dict[str, Any]) -> dict[str, Any]:
    from convarium.measurement.quality import measure_file
    from convarium.store.disk import beside
    from convarium.store.provenance import cores

    runtime, dataset = config["runtime"], config["dataset"]
    threads = runtime["threads"] or cores()
    data = {key: value for key, value in dataset.items() if key != "root"}
    found: dict[str, Any] = measure_file(
        file, None, data, config["task"], dataset["root"], threads, runtime["accelerator"],
        cache=str(beside(Path(runtime["store"]))),
    )  # fmt: skip
    return {key: found[key] for key in ("metrics", "bytes", "images")}
