"""What export and verify share: where things lie, the comparison in a fresh process, and how it is told."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.config import places
from convarium.config.paths import path as path_of
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.portable.origin import Origin
    from convarium.store.store import Store

OURS = ("runtime.", "dataset.root=")

Json = dict[str, Any]


def given(overrides: Sequence[str], command: str) -> Json:
    """Return a config in which `runtime` and `dataset.root` say where things lie.

    Raises:
        UserError: an override of anything else: what a network is, its signature says.
    """
    from convarium.cli.points import ask

    for text in overrides:
        if not text.lstrip("+").startswith(OURS):
            raise UserError(f"{text}: {command} takes runtime.… and dataset.root=FOLDER; the signature says the rest")
    config: Json = ask(overrides).accepted()[0].config
    return config


def images_of(store: "Store", signature: str, config: Mapping[str, Any]) -> tuple[Json, str | None]:
    """Return the config of a network's images, and where they lie: as given, else as their YAML says."""
    from convarium.portable.origin import dataset

    found = dataset(store, signature)
    root = config["dataset"]["root"] or _usual_root(found["name"])
    return found, str(path_of(root).absolute()) if root else None


def compared(path: Path, origin: "Origin", store: "Store", config: Mapping[str, Any]) -> Json:
    """Compare a file with a stored network in a fresh process (`convarium.portable.parity`)."""
    from convarium.names import allowing
    from convarium.store.disk import beside
    from convarium.store.fresh import fresh
    from convarium.store.provenance import cores

    data, root = images_of(store, origin.signature, config)
    threads, cache = config["runtime"]["threads"] or cores(), str(beside(store.root))
    with allowing(origin.allow):
        found: Json = fresh(
            "convarium.portable.parity:compare",
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


def described(path: Path, form: str, origin: "Origin", judged: Json | None) -> Json:
    """Return what is told of a file; of 8-bit integers also whose scales they have, and which tensors had others."""
    found = {"file": str(path), "format": form, "signature": origin.signature, "bytes": path.stat().st_size}
    return found | (_quantizer(origin) if form == "onnx_int8" else {}) | {"parity": judged}


def _quantizer(origin: "Origin") -> Json:
    from convarium.compression.file import container
    from convarium.portable.quantized import requantized

    return {"quantized_by": "onnxruntime", "requantized": requantized(container.read(origin.path, origin.allow).sites)}


def show(found: Mapping[str, Any]) -> None:
    """Print the file, whose scales its integers have, and a row of how it compares."""
    from rich.table import Column, Table

    from convarium import columns
    from convarium.cli import output

    print(found["file"])
    if "quantized_by" in found:
        print(f"quantized by {found['quantized_by']}, to 8 bits by scales of its own{_others(found['requantized'])}")
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
    table.add_row(found["format"], f"{found['bytes']:,}", found["signature"], *figures, _verdict(judged))
    rank = ("difference", "test accuracy", "stored", "bytes", "relative", "of")
    columns.show(output.console(), table, rank, markup=False)


def _others(requantized: Sequence[str]) -> str:
    shown = ", ".join(requantized[:3]) + (", …" if len(requantized) > 3 else "")
    return f", not by those of the stored network ({shown})" if requantized else ""


def _verdict(judged: Mapping[str, Any]) -> str:
    word = "yes" if judged["parity"] else "no"
    if judged["measure"] == "pp":
        return f"{word}: accuracy differs by {judged['accuracy_delta_pp']:.2f} pp (at most {judged['bound']:g})"
    return f"{word}: at most {judged['bound']:g}"


def _usual_root(dataset: str) -> str | None:
    if (file := places.file("conf", f"dataset/{dataset}")) is None:
        return None
    import yaml

    root = yaml.safe_load(places.text(file)).get("root")
    return None if root == "???" else root
