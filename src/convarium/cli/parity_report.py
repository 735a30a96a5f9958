"""What export and verify share: where things lie, the comparison in a fresh process, and how it is told."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.config import search_path
from convarium.config.override import Override
from convarium.config.paths import parse_path as path_of
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.portable.stored_network import StoredNetwork
    from convarium.store.store import Store


Json = dict[str, Any]


def compose_locations(overrides: Sequence[Override], command: str) -> Json:
    """Return a config in which `runtime` and `dataset.root` say where things lie.

    Raises:
        UserError: an override of anything else: what a network is, its signature says.
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
    """Return the config of a network's images, and where they lie: as given, else as their YAML says."""
    from convarium.portable.stored_network import resolve_dataset_config

    found = resolve_dataset_config(store, signature)
    root = config["dataset"]["root"] or _read_default_root(found["name"])
    return found, str(path_of(root).absolute()) if root else None


def compare_in_fresh_process(path: Path, origin: "StoredNetwork", store: "Store", config: Mapping[str, Any]) -> Json:
    """Compare a file with a stored network in a fresh process (`convarium.portable.verify_export`)."""
    from convarium.host.provenance import count_cores
    from convarium.lookup import allow_packages
    from convarium.store.disk import cache_folder_of
    from convarium.workers.fresh_process import run_in_fresh_process

    data, root = find_network_images(store, origin.signature, config)
    threads, cache = config["runtime"]["threads"] or count_cores(), str(cache_folder_of(store.root))
    with allow_packages(origin.allowed_packages):
        found: Json = run_in_fresh_process(
            "convarium.portable.verify_export:compare_with_stored",
            str(path.absolute()),
            str(origin.path.absolute()),
            data,
            root,
            threads,
            cache,
            threads=threads,
            log=Path(os.devnull),
        )
    return found


def describe_file(path: Path, format_name: str, origin: "StoredNetwork", comparison: Json | None) -> Json:
    """Return what is told of a file; of 8-bit integers also whose scales they have, and which tensors had others."""
    found = {"file": str(path), "format": format_name, "signature": origin.signature, "bytes": path.stat().st_size}
    return found | (_describe_quantizer(origin) if format_name == "onnx_int8" else {}) | {"parity": comparison}


def _describe_quantizer(origin: "StoredNetwork") -> Json:
    from convarium.cvm import container
    from convarium.portable.onnx_int8_file import find_requantized_tensors

    return {
        "quantized_by": "onnxruntime",
        "requantized": find_requantized_tensors(container.read_cvm(origin.path, origin.allowed_packages).sites),
    }


def print_parity(found: Mapping[str, Any]) -> None:
    """Print the file, whose scales its integers have, and a row of how it compares."""
    from rich.table import Column, Table

    from convarium import terminal_table
    from convarium.cli import output

    print(found["file"])
    if "quantized_by" in found:
        print(
            f"quantized by {found['quantized_by']}, to 8 bits by scales of its"
            f" own{_format_requantized(found['requantized'])}"
        )
    verdict = Column("parity", overflow="fold")
    table = Table("format", "bytes", "of", "difference", "relative", "test accuracy", "stored", verdict, box=None)
    judged = found["parity"]
    if judged is None:
        return
    test = judged["accuracy"]["test"]
    figures = (
        f"{judged['difference']:.2e}",
        f"{judged['relative']:.2e}",
        f"{test['file']:.4f}",
        f"{test['stored']:.4f}",
    )
    table.add_row(found["format"], f"{found['bytes']:,}", found["signature"], *figures, _format_verdict(judged))
    rank = ("difference", "test accuracy", "stored", "bytes", "relative", "of")
    terminal_table.print_fitting_table(output.build_console(), table, rank, markup=False)


def _format_requantized(requantized: Sequence[str]) -> str:
    shown = ", ".join(requantized[:3]) + (", …" if len(requantized) > 3 else "")
    return f", not by those of the stored network ({shown})" if requantized else ""


def _format_verdict(comparison: Mapping[str, Any]) -> str:
    word = "yes" if comparison["parity"] else "no"
    if comparison["measure"] == "pp":
        return f"{word}: accuracy differs by {comparison['accuracy_delta_pp']:.2f} pp (at most {comparison['bound']:g})"
    return f"{word}: at most {comparison['bound']:g}"


def _read_default_root(dataset: str) -> str | None:
    if (file := search_path.find_config_file("conf", f"dataset/{dataset}")) is None:
        return None
    import yaml

    root = yaml.safe_load(search_path.read_config_text(file)).get("root")
    return None if root == "???" else root
