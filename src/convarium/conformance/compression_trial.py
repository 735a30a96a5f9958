"""What a compression method makes of a network with random weights: the stage itself, without data or retraining."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from convarium.architectures import factory
from convarium.architectures.dry_run import dry_run_architecture
from convarium.compose.points import compose_points
from convarium.compression import run_phases
from convarium.conformance.architecture import build_file_header, build_seeded_network, image_shape_of
from convarium.conformance.tensor_comparison import compute_logits
from convarium.cost.macs import count_macs
from convarium.cvm import container
from convarium.errors import UserError
from convarium.workers.runtime import Runtime

TRIED_METHODS: Mapping[str, tuple[str, ...]] = {
    "pruning/filter_l1": ("compression.filter_l1.epochs=0",),
    "quantization/kmeans": ("compression.kmeans.epochs=0", "compression.kmeans.max_iterations=1"),
    "decomposition/svd": ("compression.svd.epochs=0",),
}


@dataclass(frozen=True)
class CompressionTrial:
    """What came of it.

    Attributes:
        refusal: the line that says why it can't be; None where it can.
        bytes_share: of the compressed file over those of the dense one.
        macs_share: of the compressed network over those of the dense one.
        decodes_exactly: whether the file, read and built anew, gives the network's logits bit for bit.
    """

    refusal: str | None = None
    bytes_share: float = 1.0
    macs_share: float = 1.0
    decodes_exactly: bool = False


def try_compression(described: Mapping[str, Any], method: str) -> CompressionTrial:
    """Compress an architecture's network by one of TRIED_METHODS, and read the file it gives.

    Raises:
        Exception: whatever the method does but refuse in one line.
    """
    described = factory.condense_architecture(described)
    with TemporaryDirectory() as name:
        folder = Path(name)
        network = build_seeded_network(described)
        container.write_cvm(folder / "dense.cvm", network, build_file_header(described), {})
        dense = count_macs(network, image_shape_of(described))
        del network
        try:
            compressed = _compress_network(described, method, folder)
        except UserError as error:
            return CompressionTrial(str(error))
        sizes = [(folder / file).stat().st_size for file in ("compressed.cvm", "dense.cvm")]
        again = container.load_cvm(folder / "compressed.cvm")
        seen = image_shape_of(described)
        same = torch.equal(compute_logits(again, seen), compute_logits(compressed, seen))
        return CompressionTrial(None, sizes[0] / sizes[1], count_macs(again, seen) / dense, same)


def _compress_network(described: Mapping[str, Any], method: str, folder: Path) -> nn.Module:
    """Refuse, or run the method's phases on dense.cvm and write compressed.cvm, as a stage of a run does."""
    step = _compose_step(method)
    run_phases.check_compression_step(dry_run_architecture(described), step)
    runtime = Runtime(
        folder=folder, checkpoint_folder=folder, threads=1, accelerator="cpu", data_root=None,
        report=lambda **figures: None, check_lease=lambda: None, run_fresh=lambda *_: None,
    )  # fmt: skip
    file = container.read_cvm(folder / "dense.cvm")
    work = run_phases.run_all_phases(file, {"step": step, "seed": 0, "dataset": {}}, runtime, {})
    surgery = {**file.header, "surgery": work.surgery}
    container.write_cvm(folder / "compressed.cvm", work.network, surgery, work.coders)
    return work.network


@cache
def _compose_step(method: str) -> Mapping[str, Any]:
    (point,) = compose_points(("dataset=cifar10", f"compression={method}", *TRIED_METHODS[method])).check_points()
    step: Mapping[str, Any] = point.config["compression"][0]
    return step
