"""What export and verify share: where store and images are, the comparison in a fresh process, and its report."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.config import search_path
from convarium.config.override import Override
from convarium.config.paths import parse_path
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.portable.stored_network import StoredNetwork
    from convarium.store.store import Store


Json = dict[str, Any]


def compose_locations(overrides: Sequence[Override], command: str) -> Json:
    """Return a config in which `runtime` and `dataset.root` say where the store and the images are.

    Raises:
        UserError: an override of anything else, which the network's signature already decides.
    """
    from convarium.compose.points import compose_points

    for override in overrides:
        if override.group != "runtime" and override.key != "dataset.root":
            raise UserError(
                f"{override}: {command} takes runtime.… and dataset.root=FOLDER; the signature says the rest"
            )
    config: Json = compose_points(overrides).check_points()[0].config
    return config


def find_network_images(store: "Store", signature: str, config: Mapping[str, Any]) -> tuple[Json, str | None]:
    """Return the config of a network's images, and their folder: as typed, else as the dataset's YAML says."""
    from convarium.portable.stored_network import resolve_dataset_config

    dataset = resolve_dataset_config(store, signature)
    root = config["dataset"]["root"] or _read_default_root(dataset["name"])
    return dataset, str(parse_path(root).absolute()) if root else None


def compare_in_fresh_process(path: Path, network: "StoredNetwork", store: "Store", config: Mapping[str, Any]) -> Json:
    """Compare a file with a stored network in a fresh process (`convarium.portable.verify_export`)."""
    from convarium.host.provenance import count_cores
    from convarium.lookup import allow_packages
    from convarium.store.disk import cache_folder_of
    from convarium.workers.fresh_process import run_in_fresh_process

    dataset, root = find_network_images(store, network.signature, config)
    threads = config["runtime"]["threads"] or count_cores()
    with allow_packages(network.allowed_packages):
        comparison: Json = run_in_fresh_process(
            "convarium.portable.verify_export:compare_with_stored",
            str(path.absolute()),
            str(network.path.absolute()),
            dataset,
            root,
            threads,
            str(cache_folder_of(store.root)),
            threads=threads,
            log=Path(os.devnull),
        )
    return comparison


def describe_file(path: Path, format_name: str, network: "StoredNetwork", comparison: Json | None) -> Json:
    """Return the report of an exported file as JSON.

    Of a file of 8-bit integers it also says what quantized them, and which stored tensors had other scales before.
    """
    report = {"file": str(path), "format": format_name, "signature": network.signature, "bytes": path.stat().st_size}
    if format_name == "onnx_int8":
        from convarium.cvm import container
        from convarium.portable.onnx_int8_file import find_requantized_tensors

        sites = container.read_cvm(network.path, network.allowed_packages).sites
        report |= {"quantized_by": "onnxruntime", "requantized": find_requantized_tensors(sites)}
    return report | {"parity": comparison}


def print_parity(report: Mapping[str, Any]) -> None:
    """Print the file, what quantized its integers, and a row of how it compares with the stored network."""
    from rich.table import Column, Table

    from convarium import terminal_table
    from convarium.cli import output

    print(report["file"])
    if "quantized_by" in report:
        requantized = _format_requantized(report["requantized"])
        print(f"quantized by {report['quantized_by']}, to 8 bits by scales of its own{requantized}")
    comparison = report["parity"]
    if comparison is None:
        return
    test_accuracy = comparison["accuracy"]["test"]
    verdict = Column("parity", overflow="fold")
    table = Table("format", "bytes", "of", "difference", "relative", "test accuracy", "stored", verdict, box=None)
    table.add_row(
        report["format"],
        f"{report['bytes']:,}",
        report["signature"],
        f"{comparison['difference']:.2e}",
        f"{comparison['relative']:.2e}",
        f"{test_accuracy['file']:.4f}",
        f"{test_accuracy['stored']:.4f}",
        _format_verdict(comparison),
    )
    rank = ("difference", "test accuracy", "stored", "bytes", "relative", "of")
    terminal_table.print_fitting_table(output.build_console(), table, rank)


def _format_requantized(requantized: Sequence[str]) -> str:
    if not requantized:
        return ""
    names = ", ".join(requantized[:3]) + (", …" if len(requantized) > 3 else "")
    return f", not by those of the stored network ({names})"


def _format_verdict(comparison: Mapping[str, Any]) -> str:
    answer = "yes" if comparison["parity"] else "no"
    bound = f"at most {comparison['bound']:g}"
    if comparison["measure"] == "pp":
        return f"{answer}: accuracy differs by {comparison['accuracy_delta_pp']:.2f} pp ({bound})"
    return f"{answer}: {bound}"


def _read_default_root(dataset: str) -> str | None:
    file = search_path.find_config_file("conf", f"dataset/{dataset}")
    if file is None:
        return None
    import yaml

    root = yaml.safe_load(search_path.read_config_text(file)).get("root")
    return None if root == "???" else root
