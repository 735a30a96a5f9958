"""What a compression method makes of a network with random weights: the stage itself, without data or retraining."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from convarium.architectures import library
from convarium.cli.points import ask
from convarium.compression import phases
from convarium.compression.file import container
from convarium.conformance.architecture import build, header, shape
from convarium.conformance.values import logits
from convarium.errors import UserError
from convarium.measurement.macs import macs
from convarium.store.runtime import Runtime

METHODS: Mapping[str, tuple[str, ...]] = {
    "pruning/filter_l1": ("compression.filter_l1.epochs=0",),
    "quantization/kmeans": ("compression.kmeans.epochs=0", "compression.kmeans.max_iterations=1"),
    "decomposition/svd": ("compression.svd.epochs=0",),
}


@dataclass(frozen=True)
class Tried:
    """What came of it.

    Attributes:
        refused: the line that says why it can't be; None where it can.
        bytes: of the compressed file over those of the dense one.
        macs: of the compressed network over those of the dense one.
        decoded: whether the file, read and built anew, gives the network's logits bit for bit.
    """

    refused: str | None = None
    bytes: float = 1.0
    macs: float = 1.0
    decoded: bool = False


def tried(described: Mapping[str, Any], method: str) -> Tried:
    """Compress an architecture's network by one of METHODS, and read the file it gives.

    Raises:
        Exception: whatever the method does but refuse in one line.
    """
    described = library.delivered(described)
    with TemporaryDirectory() as name:
        folder = Path(name)
        network = build(described)
        container.write(folder / "dense.cvm", network, header(described), {})
        dense = macs(network, shape(described))
        del network
        try:
            compressed = _compressed(described, method, folder)
        except UserError as error:
            return Tried(str(error))
        sizes = [(folder / file).stat().st_size for file in ("compressed.cvm", "dense.cvm")]
        again = container.load(folder / "compressed.cvm")
        seen = shape(described)
        same = torch.equal(logits(again, seen), logits(compressed, seen))
        return Tried(None, sizes[0] / sizes[1], macs(again, seen) / dense, same)


def _compressed(described: Mapping[str, Any], method: str, folder: Path) -> nn.Module:
    """Refuse, or run the method's phases on dense.cvm and write compressed.cvm, as a stage of a run does."""
    step = _step(method)
    phases.check(library.trial(described), step)
    runtime = Runtime(
        folder=folder, checkpoints=folder, threads=1, accelerator="cpu", root=None,
        report=lambda **figures: None, check=lambda: None, fresh=lambda *_: None,
    )  # fmt: skip
    file = container.read(folder / "dense.cvm")
    work = phases.run(file, {"step": step, "seed": 0, "dataset": {}}, runtime, {})
    surgery = {**file.header, "surgery": work.surgery}
    container.write(folder / "compressed.cvm", work.network, surgery, work.coders)
    return work.network


@cache
def _step(method: str) -> Mapping[str, Any]:
    (point,) = ask(("dataset=cifar10", f"compression={method}", *METHODS[method])).accepted()
    step: Mapping[str, Any] = point.config["compression"][0]
    return step
